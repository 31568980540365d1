import CTestSupport
import Foundation
import Testing

@testable import IO

@Suite struct HostFactsTests {
  @Test func factsAgreeWithTheHost() {
    let facts = HostFacts.current()
    #expect(!facts.hostname.isEmpty && facts.hostname == ProcessInfo.processInfo.hostName)
    #expect(UUID(uuidString: facts.bootID) != nil)
    #expect(facts.machineID.isEmpty || facts.machineID.count == 32)
    #expect(facts.kernelRelease.first?.isNumber == true && facts.kernelRelease.contains("."))
    #expect(facts == HostFacts.current())
  }

  @Test func aProcFilesystemThatIsNotThereSaysNothing() {
    let facts = HostFacts.current(proc: "/nowhere")
    #expect(facts.seesHostProcesses == nil && !facts.hostname.isEmpty)
  }

  /// PID 1's name counts, not ours: seen through a proc that shows this process's own namespaces as PID 1's.
  @Test func theNameIsTheOneOfPID1() async throws {
    await #expect(processExitsWith: .success) {
      let before = HostFacts.current().hostname
      let directory = try TemporaryDirectory()
      let proc = directory.file("proc/1/ns")
      try FileManager.default.createDirectory(atPath: proc, withIntermediateDirectories: true)
      try FileManager.default.createSymbolicLink(
        atPath: "\(proc)/uts", withDestinationPath: "/proc/\(getpid())/ns/uts")
      try onThread {
        try #require(ctest_unshare_hostname("elsewhere") == 0)
        let facts = HostFacts.current(proc: directory.file("proc"))
        // This thread's name is "elsewhere"; the process's main thread, which plays PID 1, kept its own.
        #expect(facts.hostname == before && before != "elsewhere")
      }
    }
  }
}

@Suite struct CapabilitiesTests {
  @Test func droppedOnesAreMissedByName() throws {
    let (before, after) = try onThread { () -> (Capabilities, Capabilities) in
      let before = Capabilities.current()
      let mask = Capabilities.sysPtrace.union(.netAdmin)
      try #require(ctest_drop_capabilities(mask.rawValue) == 0)
      return (before, Capabilities.current())
    }
    #expect(before.isSuperset(of: [.sysAdmin, .sysPtrace, .netAdmin]), "these tests run as root")
    #expect(after == before.subtracting([.sysPtrace, .netAdmin]))
    #expect(CapabilityReport(after).gaps.map(\.name) == ["CAP_SYS_PTRACE", "CAP_NET_ADMIN"])
  }

  @Test func eachGapSaysWhatItCosts() {
    let report = CapabilityReport([])
    #expect(report.gaps.map(\.name) == ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN", "CAP_DAC_READ_SEARCH"])
    #expect(report.gaps.allSatisfy { $0.description == "missing \($0.name): \($0.cost)" && $0.cost.count > 20 })
    #expect(CapabilityReport(Capabilities(rawValue: .max)).gaps.isEmpty)
  }

  @Test func statusFieldsAreFoundByTheirWholeName() {
    let status = "Name:\tx\nSeccomp_filters:\t1\nSeccomp:\t2\nCapEff:\t000001fffeffffff\n"
    #expect(ProcessStatus.field("Seccomp", in: status) == "2")
    #expect(ProcessStatus.effectiveCapabilities(in: status) == 0x1FF_FEFF_FFFF)
    #expect(ProcessStatus.field("Cap", in: status) == nil)
    #expect(ProcessStatus.effectiveCapabilities(in: "CapEff:\tnonsense\n") == nil)
  }
}

@Suite struct ResourceLimitsTests {
  @Test func limitsAreReadAndLockedMemoryIsRaised() async {
    await #expect(processExitsWith: .success) {
      #expect(ctest_limit_descriptors(77) == 0)
      #expect(ResourceLimits.current().openFiles == ResourceLimits.Limit(soft: 77, hard: 77))
      let before = ResourceLimits.current().lockedMemory
      try ResourceLimits.raiseLockedMemory(to: 1)
      #expect(ResourceLimits.current().lockedMemory == before, "nothing is lowered")
      // Lowering both limits and raising again needs CAP_SYS_RESOURCE: with it, or not, the answer is the truth.
      #expect(ctest_limit_locked_memory(8_192) == 0)
      do throws(SystemError) {
        try ResourceLimits.raiseLockedMemory(to: 16_384)
        #expect(ResourceLimits.current().lockedMemory == ResourceLimits.Limit(soft: 16_384, hard: 16_384))
        #expect(Capabilities.current().contains(.sysResource))
      } catch {
        #expect(error == SystemError("setrlimit", errno: EPERM, context: "RLIMIT_MEMLOCK 16384"))
        #expect(!Capabilities.current().contains(.sysResource))
      }
    }
  }
}
