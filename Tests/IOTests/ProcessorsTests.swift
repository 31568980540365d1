import CTestSupport
import Foundation
import Testing

@testable import IO

@Suite struct ProcessorsTests {
  @Test func thisMachineHasSome() {
    #expect((1...ProcessInfo.processInfo.processorCount).contains(Processors.usable()))
  }

  /// Affinity bounds it: of all cores, one.
  @Test func affinityCounts() throws {
    let cores = try onThread { () -> Int in
      try #require(ctest_pin_to_one_cpu() == 0)
      return Processors.usable(cgroups: "/nowhere")
    }
    #expect(cores == 1)
  }

  /// /proc/self/cgroup, the files there are, and the quota in cores.
  @Test(
    arguments: [
      ("0::/a/b\n", ["cpu.max": "max 100000\n", "a/cpu.max": "150000 100000\n", "a/b/cpu.max": "max 100000\n"], 1.5),
      ("0::/a\n", ["a/cpu.max": "400000 100000\n", "cpu.max": "50000 100000\n"], 0.5),
      ("0::/\n", ["cpu.max": "max 100000\n"], nil), ("0::/\n", [:], nil), ("", ["cpu.max": "1 1\n"], nil),
      // A container that sees the host's path of its own cgroup, which is its root.
      ("0::/kubepods/pod1/c1\n", ["cpu.max": "200000 100000\n"], 2),
      (
        "4:cpu,cpuacct:/a\n3:memory:/m\n0::/\n",
        ["cpu,cpuacct/a/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"], 2.5
      ),
      ("1:cpu:/\n", ["cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"], nil),
      ("1:cpu:/\n0::/x\n", ["unified/x/cpu.max": "100000 100000\n"], 1),
      ("0::/\n", ["cpu.max": "rubbish\n"], nil), ("0::/\n", ["cpu.max": "0 0\n"], nil),
    ] as [(String, [String: String], Double?)])
  func quotas(_ membership: String, _ files: [String: String], _ quota: Double?) throws {
    let directory = try TemporaryDirectory()
    for (name, text) in files {
      let path = directory.file(name)
      try FileManager.default.createDirectory(
        atPath: URL(filePath: path).deletingLastPathComponent().path(), withIntermediateDirectories: true)
      try text.write(toFile: path, atomically: false, encoding: .utf8)
    }
    #expect(Processors.quota(membership: membership, cgroups: directory.file("")) == quota)
  }
}

@Suite struct PortFootprintTests {
  fileprivate static func descriptors() throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
  }

  /// Bytes of address space of this process.
  fileprivate static func mapped() throws -> Int {
    let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    return try #require(text.split(separator: " ").first.flatMap { Int($0) }) * Int(getpagesize())
  }

  /// What is announced is what opening a port takes, measured in a process that has freed nothing yet. The rest of it maps
  /// little meanwhile: a megabyte is the slack. Not with the address sanitizer's allocator, which is another one.
  @Test(
    .disabled(if: getenv("ASAN_OPTIONS") != nil, "address sanitizer"), arguments: PortChoice.allCases.map(\.rawValue),
    [(4096, 8200), (1024, 64), (16, 20)])
  func announcedIsTaken(_ name: String, _ sizes: (Int, Int)) async {
    let (receiveBuffers, operations) = sizes
    await #expect(processExitsWith: .success) {
      [name, receiveBuffers = receiveBuffers as Int, operations = operations as Int] in
      let choice = try #require(PortChoice(rawValue: name))
      try #require(ctest_map_large_allocations() == 0)
      let options = PortOptions(receiveBuffers: receiveBuffers, operations: operations)
      let footprint = PortFootprint(choice, options)
      // Threads of the runtime that begin meanwhile map stacks and arenas of their own: not every time.
      var seen: [String] = []
      for _ in 0..<8 {
        let (before, descriptors) = (try PortFootprintTests.mapped(), try PortFootprintTests.descriptors())
        let opened = try openPort(choice, options)
        let taken = try PortFootprintTests.mapped() - before
        let opening = try PortFootprintTests.descriptors() - descriptors
        opened.port.tearDown()
        let isOpening = (footprint.descriptors - (choice == .auto ? 3 : 0))...footprint.descriptors ~= opening
        if abs(taken - footprint.memory) <= 1 << 20, isOpening {
          seen = []
          break
        }
        seen.append("\(taken) bytes, \(opening) descriptors")
      }
      #expect(seen.isEmpty, "\(footprint) announced")
      #expect((footprint.lockedMemory > 0) == (choice != .syscall))
    }
  }

  /// The default pipeline's ring: 2 pages of queues, 1 page of SQEs is too few for 20 operations, 1 page of buffers.
  @Test func lockedMemoryIsWholePages() {
    let footprint = PortFootprint(.ioUring, PortOptions(receiveBuffers: 16, operations: 20))
    #expect(footprint.lockedMemory % Int(getpagesize()) == 0)
    #expect((12 << 10...32 << 10).contains(footprint.lockedMemory))
  }
}
