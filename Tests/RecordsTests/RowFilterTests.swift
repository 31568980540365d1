import Testing

@testable import Records

/// Which sockets become rows, by address and port.
@Suite struct RowFilterTests {
  private typealias Prefix = RowFilter.Prefix
  private typealias Terms = RowFilter.Terms

  private static func terms(_ change: (inout Terms) -> Void) -> Terms {
    var terms = Terms()
    change(&terms)
    return terms
  }

  private static let loopback = Prefix(bytes: [127, 0, 0, 0], length: 8)
  private static let documentation = Prefix(
    bytes: [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 12), length: 32)
  private static func mapped(_ bytes: [UInt8]) -> [UInt8] { [UInt8](repeating: 0, count: 10) + [255, 255] + bytes }

  /// Whether a socket is kept, and whether the counters say the same.
  private func keeps(_ message: Message, keep: Terms = Terms(), drop: Terms = Terms()) throws -> Bool {
    var harness = Harness()
    harness.selection.filter = RowFilter(keep: keep, drop: drop)
    let output = try harness.run([Harness.Datagram(message, .done())])
    let kept = output.rows == 1
    #expect(output.tally.reported == 1 && output.tally.filtered == (kept ? 0 : 1) && output.tally.sampledOut == 0)
    #expect(output.tally.encoded == UInt64(output.rows) && output.last == .dumpDone(errno: 0))
    return kept
  }

  @Test func nothingToAskForIsNoFilter() {
    #expect(RowFilter(keep: Terms(), drop: Terms()) == nil)
    let ports = Self.terms { $0.sourcePorts = [1...2] }
    #expect(RowFilter(keep: ports, drop: Terms()) == RowFilter(keep: ports, drop: Terms()))
    #expect(RowFilter(keep: ports, drop: Terms()) != RowFilter(keep: Terms(), drop: ports))
  }

  @Test func portsAndTheirEnds() throws {
    let ranges = Self.terms { $0.destinationPorts = [443...443, 8000...8999, 8500...9000] }
    for (port, isKept) in [
      (442, false), (443, true), (444, false), (7999, false), (8000, true), (9000, true), (9001, false),
    ]
      as [(UInt16, Bool)]
    {
      #expect(try keeps(.socket(sourcePort: 443, destinationPort: port), keep: ranges) == isKept)
      #expect(try keeps(.socket(sourcePort: 1, destinationPort: port), drop: ranges) == !isKept)
    }
    let outer = Self.terms { $0.sourcePorts = [0...0, 65_535...65_535] }
    #expect(try keeps(.socket(sourcePort: 0), keep: outer) && keeps(.socket(sourcePort: 65_535), keep: outer))
    #expect(try !keeps(.socket(sourcePort: 1), keep: outer))
    #expect(try keeps(.socket(), keep: Self.terms { $0.sourcePorts = [0...65_535] }))
  }

  @Test func prefixesOfBothFamilies() throws {
    let both = Self.terms { $0.sources = [Self.loopback, Self.documentation] }
    #expect(try keeps(.socket(source: [127, 255, 255, 255]), keep: both))
    #expect(try !keeps(.socket(source: [128, 0, 0, 0]), keep: both))
    #expect(try !keeps(.socket(source: [126, 255, 255, 255]), keep: both))
    let inside = [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 255, count: 12)
    #expect(try keeps(.socket(family: 10, source: inside), keep: both))
    #expect(try !keeps(.socket(family: 10, source: [0x20, 1, 0x0d, 0xb9] + inside[4...]), keep: both))
    // The same first bytes in the other family mean another address.
    #expect(try !keeps(.socket(family: 2, source: [0x20, 1, 0x0d, 0xb8]), keep: both))
    #expect(try !keeps(.socket(family: 10, source: [127] + [UInt8](repeating: 0, count: 15)), keep: both))
  }

  @Test func mappedAddressesAreOfBothFamilies() throws {
    let v4 = Self.terms { $0.destinations = [Self.loopback] }
    #expect(try keeps(.socket(family: 10, destination: Self.mapped([127, 1, 2, 3])), keep: v4))
    #expect(try !keeps(.socket(family: 10, destination: Self.mapped([128, 1, 2, 3])), keep: v4))
    let v6 = Self.terms { $0.destinations = [Prefix(bytes: [UInt8](repeating: 0, count: 16), length: 0)] }
    #expect(try keeps(.socket(family: 10, destination: Self.mapped([127, 1, 2, 3])), keep: v6))
    #expect(try !keeps(.socket(family: 2, destination: [127, 1, 2, 3]), keep: v6))
    let all = Self.terms { $0.destinations = [Prefix(bytes: [0, 0, 0, 0], length: 0)] }
    #expect(
      try keeps(.socket(family: 2), keep: all)
        && keeps(.socket(family: 10, destination: Self.mapped([9, 9, 9, 9])), keep: all))
  }

  @Test func allTermsKeepAndAnyTermDrops() throws {
    let terms = Self.terms {
      $0.sources = [Self.loopback]
      $0.destinationPorts = [443...443]
    }
    let both = Message.socket(source: [127, 0, 0, 1], destinationPort: 443)
    let one = Message.socket(source: [127, 0, 0, 1], destinationPort: 80)
    let none = Message.socket(source: [10, 0, 0, 1], destinationPort: 80)
    #expect(try keeps(both, keep: terms) && !keeps(one, keep: terms) && !keeps(none, keep: terms))
    #expect(try !keeps(both, drop: terms) && !keeps(one, drop: terms) && keeps(none, drop: terms))
    let ports = Self.terms { $0.destinationPorts = [80...80, 443...443] }
    #expect(try keeps(none, keep: ports, drop: Self.terms { $0.sources = [Self.loopback] }))
    #expect(try !keeps(one, keep: ports, drop: Self.terms { $0.sources = [Self.loopback] }))
  }

  /// What the filter leaves out is not sampled: the sums stay apart.
  @Test func filteredSocketsAreNotSampledOut() throws {
    var harness = Harness()
    harness.selection.filter = RowFilter(keep: Self.terms { $0.sourcePorts = [1...1] }, drop: Terms())
    harness.selection.sampleEvery = 1_000_000
    let messages = (0..<100).map { Message.socket(sourcePort: $0 % 2, cookie: UInt64($0)) }
    let output = try harness.run([Harness.Datagram(bytes: messages.flatMap(\.bytes), sequence: 7)])
    #expect(output.tally.filtered == 50)
    #expect(output.tally.sampledOut + output.tally.encoded == 50)
  }

  // MARK: Against a plain evaluation

  private struct Socket {
    var isIPv6: Bool
    var source: [UInt8]
    var destination: [UInt8]
    var sourcePort: UInt16
    var destinationPort: UInt16
    var interface: UInt32
    /// Not told of every socket.
    var mark: UInt32?
    var cgroup: UInt64?

    init(using random: inout some RandomNumberGenerator) {
      isIPv6 = .random(using: &random)
      let isMapped = Bool.random(using: &random)
      func address(_ random: inout some RandomNumberGenerator, _ isIPv6: Bool) -> [UInt8] {
        // Few distinct bytes, so that prefixes match often.
        let bytes = (0..<(isIPv6 && !isMapped ? 16 : 4)).map { _ in RowFilterTests.byte(&random) }
        return isIPv6 && isMapped ? RowFilterTests.mapped(bytes) : bytes
      }
      source = address(&random, isIPv6)
      destination = address(&random, isIPv6)
      sourcePort = .random(in: 0...20, using: &random)
      destinationPort = .random(in: 0...20, using: &random)
      interface = .random(in: 0...3, using: &random)
      mark = Bool.random(using: &random) ? .random(in: 0...3, using: &random) : nil
      cgroup = Bool.random(using: &random) ? .random(in: 1...4, using: &random) : nil
    }

    var message: Message {
      let attributes =
        (cgroup.map { [Message.attribute(21, Message.little($0))] } ?? [])
        + (mark.map { [Message.attribute(15, Message.little($0))] } ?? [])
      return .socket(
        family: isIPv6 ? 10 : 2, source: source, destination: destination, sourcePort: sourcePort,
        destinationPort: destinationPort, interface: interface, attributes: attributes)
    }

    /// As the kernel sees it: what is not told is 0.
    var entry: KernelMachine.Entry {
      KernelMachine.Entry(
        family: isIPv6 ? 10 : 2, source: source, destination: destination, sourcePort: sourcePort,
        destinationPort: destinationPort, interface: interface, mark: mark ?? 0, cgroup: cgroup ?? 0)
    }
  }

  private static func byte(_ random: inout some RandomNumberGenerator) -> UInt8 {
    [0, 1, 127, 128, 254, 255].randomElement(using: &random) ?? 0
  }

  private static func randomTerms(using random: inout some RandomNumberGenerator) -> Terms {
    func prefixes(_ random: inout some RandomNumberGenerator) -> [Prefix] {
      (0..<([0, 0, 1, 2, 30].randomElement(using: &random) ?? 0)).map { _ in
        let count = Bool.random(using: &random) ? 4 : 16
        let length = Int.random(in: 0...(Bool.random(using: &random) ? 12 : count * 8), using: &random)
        let bytes = (0..<count).map { index -> UInt8 in
          let byte = byte(&random)
          let bits = min(8, max(0, length - index * 8))
          return byte & ~UInt8(truncatingIfNeeded: 0xff >> bits)
        }
        return Prefix(bytes: bytes, length: length)
      }
    }
    func ports(_ random: inout some RandomNumberGenerator) -> [ClosedRange<UInt16>] {
      (0..<([0, 0, 1, 2, 5].randomElement(using: &random) ?? 0)).map { _ in
        let lower = UInt16.random(in: 0...20, using: &random)
        return lower...(lower + UInt16.random(in: 0...5, using: &random))
      }
    }
    return terms {
      $0.sources = prefixes(&random)
      $0.destinations = prefixes(&random)
      $0.sourcePorts = ports(&random)
      $0.destinationPorts = ports(&random)
      guard Bool.random(using: &random) else { return }
      let few = [0, 0, 0, 1, 2]
      func times(_ random: inout some RandomNumberGenerator) -> Range<Int> {
        0..<(few.randomElement(using: &random) ?? 0)
      }
      $0.marks = times(&random).map { _ in
        let mask: UInt32 = Bool.random(using: &random) ? .max : .random(in: 0...3, using: &random)
        return RowFilter.Mark(value: .random(in: 0...3, using: &random) & mask, mask: mask)
      }
      $0.interfaces = times(&random).map { _ in
        Bool.random(using: &random)
          ? .known(.random(in: 0...3, using: &random)) : .named("eth\(Int.random(in: 1...3, using: &random))")
      }
      $0.cgroups = times(&random).map { _ in
        Bool.random(using: &random)
          ? .known(.random(in: 1...4, using: &random)) : .named("/\(Int.random(in: 1...3, using: &random))")
      }
    }
  }

  /// What names stand for in these tests; 3 is not there.
  private static func bindings(_ filter: RowFilter) -> [UInt64] {
    (filter.interfaceNames + filter.cgroupPaths).map { name in
      name.hasSuffix("3") ? RowFilter.unbound : UInt64(name.suffix(1)) ?? 0
    }
  }

  private static func matches(_ value: UInt64?, _ number: RowFilter.Number) -> Bool {
    switch number {
    case .known(let known): value == known
    case .named(let name): value != nil && !name.hasSuffix("3") && value == UInt64(name.suffix(1))
    }
  }

  private static func matches(_ address: [UInt8], _ prefix: Prefix) -> Bool {
    func bits(_ bytes: [UInt8]) -> [Bool] { bytes.flatMap { byte in (0..<8).map { byte & (0x80 >> $0) != 0 } } }
    func begins(_ address: [UInt8]) -> Bool {
      address.count == prefix.bytes.count && bits(address).starts(with: bits(prefix.bytes).prefix(prefix.length))
    }
    let isMapped = address.count == 16 && Array(address.prefix(12)) == Array(mapped([]))
    return begins(address) || isMapped && begins(Array(address.suffix(4)))
  }

  /// What each term says of a socket; terms that are not given say nothing.
  private static func verdicts(_ terms: Terms, _ socket: Socket) -> [Bool] {
    var verdicts: [Bool] = []
    if !terms.sources.isEmpty { verdicts.append(terms.sources.contains { matches(socket.source, $0) }) }
    if !terms.destinations.isEmpty { verdicts.append(terms.destinations.contains { matches(socket.destination, $0) }) }
    if !terms.sourcePorts.isEmpty { verdicts.append(terms.sourcePorts.contains { $0.contains(socket.sourcePort) }) }
    if !terms.destinationPorts.isEmpty {
      verdicts.append(terms.destinationPorts.contains { $0.contains(socket.destinationPort) })
    }
    if !terms.marks.isEmpty {
      verdicts.append(terms.marks.contains { mark in socket.mark.map { $0 & mark.mask == mark.value } ?? false })
    }
    if !terms.interfaces.isEmpty {
      verdicts.append(terms.interfaces.contains { matches(UInt64(socket.interface), $0) })
    }
    if !terms.cgroups.isEmpty { verdicts.append(terms.cgroups.contains { matches(socket.cgroup, $0) }) }
    return verdicts
  }

  @Test(arguments: 0..<8 as Range<UInt64>) func agreesWithAPlainEvaluation(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    var kept = 0
    var dropped = 0
    for _ in 0..<120 {
      let keep = Self.randomTerms(using: &random)
      let drop = Bool.random(using: &random) ? Self.randomTerms(using: &random) : Terms()
      var harness = Harness()
      let filter = RowFilter(keep: keep, drop: drop)
      harness.selection.filter = filter
      harness.bindings = filter.map(Self.bindings) ?? []
      let sockets = (0..<40).map { _ in Socket(using: &random) }
      let output = try harness.run([Harness.Datagram(bytes: sockets.flatMap(\.message.bytes), sequence: 7)])
      let expected = sockets.filter { socket in
        Self.verdicts(keep, socket).allSatisfy { $0 } && !Self.verdicts(drop, socket).contains(true)
      }
      #expect(output.rows == expected.count && output.tally.filtered == UInt64(40 - expected.count))
      try checkKernel(filter, sockets)
      kept += expected.count
      dropped += 40 - expected.count
    }
    #expect(kept > 100 && dropped > 100)
  }

  /// The kernel never drops what is to be kept; and drops the rest wherever all is told to it and all of the filter is.
  private func checkKernel(_ filter: RowFilter?, _ sockets: [Socket]) throws {
    for states in [SocketStates.all, SocketStates(rawValue: 1 << 1)] {
      let kernel = KernelFilter(filter, states: states)
      var bytes = [UInt8](repeating: 0, count: kernel.program.bytes.count)
      let bindings = filter.map(Self.bindings) ?? []
      bytes.withUnsafeMutableBytes { memory in
        bindings.withUnsafeBufferPointer { kernel.program.write(into: memory, bindings: $0.baseAddress) }
      }
      let machine = try KernelMachine(bytes)
      let wrong = sockets.filter { socket in
        let isReported =
          machine.reports(socket.entry) && [0, socket.sourcePort].contains(kernel.sourcePort)
          && [0, socket.destinationPort].contains(kernel.destinationPort)
        let isKept =
          Self.verdicts(filter?.keep ?? Terms(), socket).allSatisfy { $0 }
          && !Self.verdicts(filter?.drop ?? Terms(), socket).contains(true)
        // Sockets in other states have marks and groups that are told.
        let isTold = socket.mark != nil && socket.cgroup != nil
        if states != .all, !isTold { return false }
        return isReported != isKept && (isKept || kernel.leftOut.isEmpty && isTold)
      }
      #expect(wrong.isEmpty)
    }
  }
}

/// The same numbers in every run: SplitMix64.
private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return RowSelection.hash(cookie: state)
  }
}
