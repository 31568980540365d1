import CTestSupport
import Glibc
import Testing

@testable import IO

/// Kernels that refuse rings, each in a process of its own, and what is said about it.
@Suite(.serialized)
struct PortRefusalTests {
  static let options = PortOptions(receiveBuffers: 4, operations: 8)

  /// `auto` falls back with the reason, `io_uring` fails with it, both within a second.
  static func expectRefusal(_ isExpected: (PortError) -> Bool, saying words: String...) throws {
    let start = MonotonicTime.now()
    do throws(PortError) {
      _ = try openPort(.ioUring, options)
      Issue.record("a ring was made")
    } catch {
      #expect(isExpected(error), "\(error)")
      for word in words { #expect(error.description.contains(word), "\(error)") }
      #expect(error.description.contains("reader.mode: syscall"))
    }
    let fallback = try openPort(.auto, options)
    #expect(fallback.port.mode == .syscall && fallback.refusal.map(isExpected) == true)
    #expect(MonotonicTime.now().since(start) < .seconds(1))
    var isFired = false
    _ = fallback.port.timer(at: .now(), owner: 0)
    try drive(fallback.port, until: { isFired }) { isFired = $0.result == 0 }
  }

  @Test func aRingWhereItCanBeHad() throws {
    let opened = try openPort(.auto, Self.options)
    #expect(opened.port.mode == .ioUring && opened.refusal == nil)
    #expect(try openPort(.syscall, Self.options).port.mode == .syscall)
  }

  @Test(arguments: [EPERM, EACCES]) func seccomp(code: Int32) async {
    await #expect(processExitsWith: .success) { [code] in
      #expect(ctest_forbid(ctest_number_of_io_uring_setup(), code) == 0)
      try PortRefusalTests.expectRefusal(
        { $0 == .refusedByFilter(errno: code, seccomp: true) }, saying: "seccomp", SystemError.name(of: code))
    }
  }

  @Test func seccompThatPretendsThereIsNoSuchCall() async {
    await #expect(processExitsWith: .success) {
      #expect(ctest_forbid(ctest_number_of_io_uring_setup(), ENOSYS) == 0)
      try PortRefusalTests.expectRefusal(
        { $0 == .refusedByFilter(errno: ENOSYS, seccomp: true) }, saying: "seccomp", "ENOSYS")
    }
  }

  /// The real sysctl. 1 spares whoever has CAP_SYS_ADMIN, hence everybody but the thread that gives it up.
  @Test func sysctlForTheUnprivileged() throws {
    let path = "/proc/sys/kernel/io_uring_disabled"
    let before = try #require(readInteger(path))
    let file = try Descriptor(open(path, O_WRONLY | O_CLOEXEC), "open", context: path)
    try #require(write(file.raw, "1", 1) == 1)
    defer { _ = pwrite(file.raw, "\(before)", 1, 0) }
    try onThread {
      #expect(ctest_drop_capabilities(Capabilities.sysAdmin.rawValue) == 0)
      try Self.expectRefusal(
        { $0 == .disabledBySysctl(value: 1) }, saying: "kernel.io_uring_disabled = 1", "kernel.io_uring_group")
    }
  }

  /// 2 would take the rings from every process of the machine: this process alone sees the file say so, and a refusal.
  @Test func sysctlForEverybody() async throws {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let file = try openAppend(path: directory.file("disabled"))
      try #require(write(file.raw, "2\n", 2) == 2)
      try #require(ctest_unshare_mounts() == 0)
      try #require(ctest_bind(directory.file("disabled"), "/proc/sys/kernel/io_uring_disabled") == 0)
      try #require(ctest_forbid(ctest_number_of_io_uring_setup(), EPERM) == 0)
      try PortRefusalTests.expectRefusal(
        { $0 == .disabledBySysctl(value: 2) }, saying: "kernel.io_uring_disabled = 2", "for all processes")
    }
  }

  @Test func lockedMemory() async {
    await #expect(processExitsWith: .success) {
      #expect(ctest_limit_locked_memory(4_096) == 0)
      #expect(ctest_drop_capabilities(Capabilities.ipcLock.rawValue) == 0)
      try PortRefusalTests.expectRefusal(
        { $0 == .lockedMemory(limit: 4_096) }, saying: "RLIMIT_MEMLOCK is 4096 bytes", "CAP_IPC_LOCK", "LimitMEMLOCK")
    }
  }

  @Test(arguments: PortChoice.allCases.map(\.rawValue)) func descriptors(name: String) async {
    await #expect(processExitsWith: .success) { [name] in
      let choice = try #require(PortChoice(rawValue: name))
      let limit = UInt64((openDescriptors().max() ?? 0) + 1)
      var taken: [Int32] = []
      #expect(ctest_limit_descriptors(limit) == 0)
      while case let copy = dup(0), copy >= 0 { taken.append(copy) }
      var failure: PortError?
      do throws(PortError) { _ = try openPort(choice, PortRefusalTests.options) } catch { failure = error }
      for copy in taken { close(copy) }
      guard case .descriptorsExhausted(limit, _) = failure else {
        Issue.record("\(name): \(String(describing: failure))")
        return
      }
      #expect(failure?.description.contains("RLIMIT_NOFILE is \(limit)") == true)
    }
  }

  @Test(arguments: ["io_uring", "syscall"]) func memory(name: String) async {
    await #expect(processExitsWith: .success) { [name] in
      let choice = try #require(PortChoice(rawValue: name))
      let before = openDescriptors()
      // 1 GiB of receive buffers does not fit into what is left of the address space.
      #expect(ctest_limit_address_space(addressSpaceInUse() + 500 << 20) == 0)
      var failure: PortError?
      do throws(PortError) {
        _ = try openPort(choice, PortOptions(receiveBuffers: 32_768, operations: 8))
      } catch { failure = error }
      guard let failure, case .system(let error) = failure else {
        Issue.record("\(String(describing: failure))")
        return
      }
      #expect(error.errno == ENOMEM)
      #expect(throws: SystemError.self) { _ = try Batch(byteCount: 1 << 30) }
      #expect(throws: SystemError.self) { _ = try Batch(byteCount: .max) }
      #expect(openDescriptors().subtracting(before).allSatisfy { !target(of: $0).contains("io_uring") })
    }
  }

  @Test func everyReasonNamesARemedy() {
    let old = PortError.unsupported("io_uring_setup", errno: EINVAL, release: "5.15.0-91-generic")
    #expect(old == .kernelTooOld(release: "5.15.0-91-generic", errno: EINVAL))
    let recent = PortError.unsupported("io_uring_setup", errno: EINVAL, release: "6.1.0")
    #expect(recent == .system(SystemError("io_uring_setup", errno: EINVAL)))
    #expect(old.description.contains("Linux 6.0") && old.description.contains("reader.mode: syscall"))
    #expect(PortError.refusedByFilter(errno: EPERM, seccomp: false).description.contains("security policy"))
    let other = PortError.explainingRing("io_uring_setup", errno: EFAULT)
    #expect(other.description == "io_uring_setup: Bad address (EFAULT)")
  }
}

/// Bytes of address space that this process uses, from the first field of /proc/self/statm (pages).
func addressSpaceInUse() -> UInt64 { UInt64(readInteger("/proc/self/statm") ?? 0) * 4_096 }
