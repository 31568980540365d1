/// What the kernel itself leaves out of a dump: the part of a filter that it can evaluate. The walk in user space evaluates all of the
/// filter again, so that this need only ever be too generous; it spares the kernel the filling in, and us the rest.
public struct KernelFilter: Sendable, Hashable {
  /// `id.idiag_sport`, `id.idiag_dport`: exactly this port; 0: any. Cheaper than a program.
  public private(set) var sourcePort: UInt16 = 0
  public private(set) var destinationPort: UInt16 = 0
  public private(set) var program = KernelAssembler().assemble()
  /// Keys of the filter that are evaluated in user space alone.
  public private(set) var leftOut: [String] = []

  /// The kernel checks each program in time that grows with its square, and runs it for each socket: beyond so many operations a
  /// key is left out.
  public static let mostOperations = 256

  /// Everything is reported.
  public static let none = KernelFilter(nil, states: .all)

  /// - Parameters:
  ///   - filter: nil keeps all.
  ///   - states: those that are asked for.
  public init(_ filter: RowFilter?, states: SocketStates) {
    guard let filter else { return }
    var compiler = FilterCompiler(filter)
    sourcePort = compiler.takeExactPort(\.sourcePorts)
    destinationPort = compiler.takeExactPort(\.destinationPorts)
    compiler.compile(states: states)
    program = compiler.assembler.assemble()
    leftOut = compiler.leftOut
  }

  /// Whether it leaves out nothing.
  public var isEmpty: Bool { sourcePort == 0 && destinationPort == 0 && program.isEmpty }
}

/// Compiles the terms of a filter, each key as a whole or not at all.
private struct FilterCompiler {
  let filter: RowFilter
  var keep: RowFilter.Terms
  let names: FilterNames
  var assembler = KernelAssembler()
  var leftOut: [String] = []

  init(_ filter: RowFilter) {
    self.filter = filter
    keep = filter.keep
    names = FilterNames(interfaces: filter.interfaceNames, cgroups: filter.cgroupPaths)
  }

  /// The one port that is kept, which then needs no operation; 0 if it is not one. Port 0 itself means any in the request.
  mutating func takeExactPort(_ term: WritableKeyPath<RowFilter.Terms, [ClosedRange<UInt16>]>) -> UInt16 {
    let ports = Self.merged(keep[keyPath: term])
    guard ports.count == 1, ports[0].count == 1 else { return 0 }
    if ports[0].lowerBound > 0 { keep[keyPath: term] = [] }
    return ports[0].lowerBound
  }

  mutating func compile(states: SocketStates) {
    let drop = filter.drop
    add("source_port", Self.merged(keep.sourcePorts)) { $0.source(ports: $1, $2) }
    add("destination_port", Self.merged(keep.destinationPorts)) { $0.destination(ports: $1, $2) }
    add("source", keep.sources) { $0.host(.source, $1, $2) }
    add("destination", keep.destinations) { $0.host(.destination, $1, $2) }
    add("interface", keep.interfaces) { $0.interface($1, $2) }
    add("mark", keep.marks) { $0.mark($1, $2) }
    add("cgroup", keep.cgroups) { $0.cgroup($1, $2) }
    add("not.source_port", Self.merged(drop.sourcePorts), isDropped: true) { $0.source(ports: $1, $2) }
    add("not.destination_port", Self.merged(drop.destinationPorts), isDropped: true) { $0.destination(ports: $1, $2) }
    add("not.source", drop.sources, isDropped: true) { $0.host(.source, $1, $2) }
    add("not.destination", drop.destinations, isDropped: true) { $0.host(.destination, $1, $2) }
    add("not.interface", drop.interfaces, isDropped: true) { $0.interface($1, $2) }
    // The kernel compares a mark that it does not tell of minimal sockets: what it would drop is to be kept.
    if states.isDisjoint(with: .untold) {
      add("not.mark", drop.marks, isDropped: true) { $0.mark($1, $2) }
    } else if !drop.marks.isEmpty {
      leftOut.append("not.mark")
    }
    add("not.cgroup", drop.cgroups, isDropped: true) { $0.cgroup($1, $2) }
  }

  /// A term: one of its elements has to match, or, if it is dropped, none may.
  private mutating func add<Element>(
    _ key: String, _ elements: [Element], isDropped: Bool = false,
    _ emit: (inout FilterCompiler, Element, KernelAssembler.Label) -> Void
  ) {
    guard let last = elements.last else { return }
    let before = assembler
    let end = assembler.makeLabel()
    for element in elements.dropLast() {
      let next = assembler.makeLabel()
      emit(&self, element, next)
      assembler.jump(to: isDropped ? KernelAssembler.drop : end)
      assembler.place(next)
    }
    if isDropped {
      emit(&self, last, end)
      assembler.jump(to: KernelAssembler.drop)
    } else {
      emit(&self, last, KernelAssembler.drop)
    }
    assembler.place(end)
    if assembler.operations > KernelFilter.mostOperations {
      assembler = before
      leftOut.append(key)
    }
  }

  // MARK: Elements

  private mutating func source(ports: ClosedRange<UInt16>, _ label: KernelAssembler.Label) {
    between(.sourcePortAtLeast, .sourcePortAtMost, ports, label)
  }

  private mutating func destination(ports: ClosedRange<UInt16>, _ label: KernelAssembler.Label) {
    between(.destinationPortAtLeast, .destinationPortAtMost, ports, label)
  }

  private mutating func between(
    _ atLeast: KernelProgram.Code, _ atMost: KernelProgram.Code, _ ports: ClosedRange<UInt16>,
    _ label: KernelAssembler.Label
  ) {
    if ports.lowerBound > 0 { assembler.emit(atLeast, port: ports.lowerBound, otherwise: label) }
    if ports.upperBound < .max { assembler.emit(atMost, port: ports.upperBound, otherwise: label) }
  }

  /// `struct inet_diag_hostcond`. The kernel, too, compares IPv4 with v4-mapped addresses.
  private mutating func host(
    _ code: KernelProgram.Code, _ prefix: RowFilter.Prefix, _ label: KernelAssembler.Label
  ) {
    let family: UInt8 = prefix.bytes.count == 4 ? 2 : 10
    let anyPort = KernelAssembler.bytes(of: -1 as Int32)
    assembler.emit(code, [family, UInt8(clamping: prefix.length), 0, 0] + anyPort + prefix.bytes, otherwise: label)
  }

  private mutating func interface(_ number: RowFilter.Number, _ label: KernelAssembler.Label) {
    assembler.emit(.interface, number: number, width: 4, binding: names.interface, otherwise: label)
  }

  /// `struct inet_diag_markcond`.
  private mutating func mark(_ mark: RowFilter.Mark, _ label: KernelAssembler.Label) {
    let operands = KernelAssembler.bytes(of: mark.value) + KernelAssembler.bytes(of: mark.mask)
    assembler.emit(.mark, operands, otherwise: label)
  }

  private mutating func cgroup(_ number: RowFilter.Number, _ label: KernelAssembler.Label) {
    assembler.emit(.controlGroup, number: number, width: 8, binding: names.cgroup, otherwise: label)
  }

  /// In order, without overlaps: so no port costs two comparisons.
  private static func merged(_ ranges: [ClosedRange<UInt16>]) -> [ClosedRange<UInt16>] {
    SortedRanges<UInt16>.merged(ranges)
  }
}

extension SocketStates {
  /// States of minimal sockets, of which some attributes are not told: `struct inet_timewait_sock`, `struct request_sock`.
  fileprivate static let untold = timeWait.union(SocketStates(rawValue: 1 << 3))
}
