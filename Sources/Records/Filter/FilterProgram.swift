/// A compiled filter: plain pointers, so that evaluating it touches no object.
struct FilterProgram {
  /// Terms in the order of how cheap they are; nil is no term.
  struct Terms {
    let sourcePorts: PortSet?
    let destinationPorts: PortSet?
    let sources: AddressSet?
    let destinations: AddressSet?
    let interfaces: NumberSet?
    let marks: MarkSet?
    let cgroups: NumberSet?

    init(_ terms: RowFilter.Terms, _ names: FilterNames) {
      sourcePorts = PortSet(terms.sourcePorts)
      destinationPorts = PortSet(terms.destinationPorts)
      sources = AddressSet(terms.sources)
      destinations = AddressSet(terms.destinations)
      interfaces = NumberSet(terms.interfaces, names.interface)
      marks = MarkSet(terms.marks)
      cgroups = NumberSet(terms.cgroups, names.cgroup)
    }

    func deallocate() {
      sourcePorts?.deallocate()
      destinationPorts?.deallocate()
      sources?.deallocate()
      destinations?.deallocate()
      interfaces?.deallocate()
      marks?.deallocate()
      cgroups?.deallocate()
    }
  }

  // Offsets in struct inet_diag_msg.
  private static let sourcePort = 4  // id.idiag_sport
  private static let destinationPort = 6  // id.idiag_dport
  private static let source = 8  // id.idiag_src
  private static let destination = 24  // id.idiag_dst
  private static let interface = 40  // id.idiag_if

  let keep: Terms
  let drop: Terms

  /// Whether a socket becomes a row.
  ///
  /// - Parameters:
  ///   - message: a whole `struct inet_diag_msg` with its attributes, `length` bytes.
  ///   - bindings: the numbers of `RowFilter.interfaceNames` and `cgroupPaths`.
  func keeps(_ message: UnsafeRawPointer, length: Int, bindings: UnsafePointer<UInt64>?) -> Bool {
    func port(_ offset: Int) -> UInt16 {
      UInt16(bigEndian: message.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
    let isIPv6 = message.load(as: UInt8.self) == 10
    func isIn(_ set: AddressSet, _ offset: Int) -> Bool { set.contains(message + offset, isIPv6: isIPv6) }
    func isBound(_ set: NumberSet) -> Bool {
      set.contains(UInt64(message.loadUnaligned(fromByteOffset: Self.interface, as: UInt32.self)), bindings)
    }
    if let set = keep.sourcePorts, !set.contains(port(Self.sourcePort)) { return false }
    if let set = keep.destinationPorts, !set.contains(port(Self.destinationPort)) { return false }
    if let set = keep.sources, !isIn(set, Self.source) { return false }
    if let set = keep.destinations, !isIn(set, Self.destination) { return false }
    if let set = keep.interfaces, !isBound(set) { return false }
    if let set = drop.sourcePorts, set.contains(port(Self.sourcePort)) { return false }
    if let set = drop.destinationPorts, set.contains(port(Self.destinationPort)) { return false }
    if let set = drop.sources, isIn(set, Self.source) { return false }
    if let set = drop.destinations, isIn(set, Self.destination) { return false }
    if let set = drop.interfaces, isBound(set) { return false }
    return keepsByAttributes(UnsafeRawBufferPointer(start: message, count: length), bindings)
  }

  /// Terms about what the kernel tells in attributes.
  private func keepsByAttributes(_ message: UnsafeRawBufferPointer, _ bindings: UnsafePointer<UInt64>?) -> Bool {
    if keep.marks != nil || drop.marks != nil {
      let mark = AttributeIndex.find(.mark, in: message, as: UInt32.self)
      if let set = keep.marks, !(mark.map(set.contains) ?? false) { return false }
      if let set = drop.marks, let mark, set.contains(mark) { return false }
    }
    if keep.cgroups != nil || drop.cgroups != nil {
      let group = AttributeIndex.find(.controlGroup, in: message, as: UInt64.self)
      if let set = keep.cgroups, !(group.map { set.contains($0, bindings) } ?? false) { return false }
      if let set = drop.cgroups, let group, set.contains(group, bindings) { return false }
    }
    return true
  }
}

/// Where the binding of each name is.
struct FilterNames {
  let interfaces: [String]
  let cgroups: [String]

  func interface(_ name: String) -> Int { interfaces.firstIndex(of: name) ?? 0 }

  func cgroup(_ path: String) -> Int { interfaces.count + (cgroups.firstIndex(of: path) ?? 0) }
}
