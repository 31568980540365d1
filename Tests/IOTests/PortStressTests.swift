import CTestSupport
import Glibc
import Testing

@testable import IO

/// A thousand ports that go with everything in flight.
@Suite(.serialized)
struct PortStressTests {
  /// Pages that the kernel keeps from being swapped for this process, in kB: VmLck and VmPin of /proc/self/status.
  static func lockedMemory() throws -> Int {
    var sum = 0
    let text = try #require(readSmallFile("/proc/self/status"))
    for line in text.split(separator: "\n") where line.hasPrefix("VmLck:") || line.hasPrefix("VmPin:") {
      sum += try #require(Int(line.split { !$0.isNumber }.first ?? ""))
    }
    return sum
  }

  @Test(arguments: PortTests.choices.map(\.rawValue)) func aThousandPortsLeaveNothing(name: String) async {
    await #expect(processExitsWith: .success) { [name] in
      let choice = try #require(PortChoice(rawValue: name))
      let silent = try SilentListener()
      let pair = try socketPair(SOCK_STREAM)
      let datagrams = try socketPair(SOCK_DGRAM)
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 1)
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      let vectors = [iovec](repeating: iovec(iov_base: memory.baseAddress, iov_len: 4_096), count: 300)
      let locked = try PortStressTests.lockedMemory()
      let (before, threads) = (openDescriptors(), threadCount())
      try vectors.withUnsafeBufferPointer { list in
        for round in 0..<1_000 {
          let port = try openPort(choice, PortOptions(receiveBuffers: 2, operations: 16)).port
          let near = try streamSocket()
          let started = [
            port.receive(datagrams.far.raw, owner: 0),
            port.receive(pair.near.raw, into: memory, owner: 1),
            port.poll(pair.far.raw, .readable, owner: 2),
            port.connect(near.raw, silent.address, owner: 3),
            port.timer(at: .now().advanced(by: .seconds(60)), owner: 4),
            port.sendDatagrams(datagrams.near.raw, list, owner: 5),
          ]
          #expect(started.allSatisfy { $0 != nil })
          if round % 3 > 0 {
            try port.submit()
            _ = try port.reap(limit: 4) { _ in }
          }
          if round % 3 == 1 { #expect(port.tearDown() == 0) }
        }
      }
      // The test library may open one meanwhile; a thousand would be ours.
      #expect(openDescriptors().count <= before.count + 2)
      #expect(openDescriptors().allSatisfy { !target(of: $0).contains("io_uring") })
      #expect(threadCount() <= threads + 1)
      // A ring's memory is given back by a worker of the kernel's, soon after.
      let deadline = MonotonicTime.now().advanced(by: .seconds(5))
      while try PortStressTests.lockedMemory() > locked, MonotonicTime.now() < deadline { usleep(10_000) }
      #expect(try PortStressTests.lockedMemory() <= locked)
    }
  }
}
