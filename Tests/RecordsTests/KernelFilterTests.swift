import Testing

@testable import Records

/// Programs for the kernel; what they mean is compared in `RowFilterTests.agreesWithAPlainEvaluation`.
@Suite struct KernelFilterTests {
  private static func filter(
    _ keep: (inout RowFilter.Terms) -> Void = { _ in }, not drop: (inout RowFilter.Terms) -> Void = { _ in }
  )
    -> RowFilter?
  {
    var (kept, dropped) = (RowFilter.Terms(), RowFilter.Terms())
    keep(&kept)
    drop(&dropped)
    return RowFilter(keep: kept, drop: dropped)
  }

  @Test func onePortNeedsNoProgram() {
    let both = KernelFilter(
      Self.filter { ($0.sourcePorts, $0.destinationPorts) = ([443...443], [80...80, 80...80]) }, states: .all)
    #expect(both.sourcePort == 443 && both.destinationPort == 80 && both.program.isEmpty && !both.isEmpty)
    // Port 0 in a request is any.
    let listeners = KernelFilter(Self.filter { $0.destinationPorts = [0...0] }, states: .all)
    #expect(listeners.destinationPort == 0 && !listeners.program.isEmpty)
    #expect(KernelFilter(nil, states: .all).isEmpty)
    let two = KernelFilter(Self.filter { $0.sourcePorts = [443...443, 445...445] }, states: .all)
    #expect(two.sourcePort == 0 && two.program.operations == 5)
    let neighbours = KernelFilter(Self.filter { $0.sourcePorts = [443...443, 444...444] }, states: .all)
    #expect(neighbours.program.operations == 2)
  }

  @Test func aProgramIsWrittenAsTheKernelReadsIt() throws {
    let ports = KernelFilter(Self.filter { $0.destinationPorts = [8000...8999] }, states: .all)
    var bytes = [UInt8](repeating: 0xaa, count: 200)
    let length = bytes.withUnsafeMutableBytes { memory in
      DumpRequest(states: .all, extensions: 0, filter: ports).encode(sequence: 1, into: memory)
    }
    // INET_DIAG_BC_D_GE, yes 8, no 20 (beyond the end), 8000; INET_DIAG_BC_D_LE, yes 8, no 12, 8999.
    let program: [UInt8] = [4, 8, 20, 0, 0, 0, 0x40, 0x1f, 5, 8, 12, 0, 0, 0, 0x27, 0x23]
    #expect(Array(bytes[76..<length]) == [20, 0, 1, 0] + program && bytes[length] == 0xaa)
    #expect(Array(bytes[..<4]) == Message.little(UInt32(length)))
  }

  @Test func anIntervalOfPortsStandsInFrontOfTheProgram() throws {
    let filter = KernelFilter(Self.filter { $0.destinationPorts = [5...6, 8...9] }, states: .all)
    let request = DumpRequest(
      states: .all, extensions: 0, filter: filter, ports: PortInterval(isDestination: false, ports: 100...199))
    var bytes = [UInt8](repeating: 0, count: 300)
    let length = bytes.withUnsafeMutableBytes { request.encode(sequence: 1, into: $0) }
    let machine = try KernelMachine(Array(bytes[80..<length]))
    for (source, destination, isReported) in [
      (100, 5, true), (199, 9, true), (99, 5, false), (200, 5, false), (150, 7, false),
    ] {
      let entry = KernelMachine.Entry(
        family: 2, source: [1, 2, 3, 4], destination: [1, 2, 3, 4], sourcePort: UInt16(source),
        destinationPort: UInt16(destination), interface: 0, mark: 0, cgroup: 0)
      #expect(machine.reports(entry) == isReported)
    }
  }

  /// The kernel takes time for long programs, for each socket and to check them: one of two long lists stays here.
  @Test func whatIsTooLongIsLeftToUserSpace() throws {
    let every: [ClosedRange<UInt16>] = (0..<100).map { (number: UInt16) in number * 10...number * 10 + 5 }
    let filter = Self.filter {
      ($0.sourcePorts, $0.destinationPorts) = (every, [7...8])
    } not: {
      $0.destinationPorts = every
    }
    let kernel = KernelFilter(filter, states: .all)
    #expect(kernel.leftOut == ["source_port", "not.destination_port"])
    #expect(kernel.program.operations == 2)
  }

  /// Of sockets in TIME_WAIT the kernel knows a mark that it does not tell.
  @Test func marksToDropAreLeftToUserSpaceWhereTheyAreNotTold() {
    let filter = Self.filter(not: { $0.marks = [RowFilter.Mark(value: 5)] })
    #expect(KernelFilter(filter, states: .all).leftOut == ["not.mark"])
    #expect(KernelFilter(filter, states: SocketStates(rawValue: 1 << 1 | 1 << 10)).leftOut.isEmpty)
  }
}
