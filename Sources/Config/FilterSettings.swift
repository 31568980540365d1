/// Which sockets are kept: those in one of `states` that satisfy every term given and no term of `not`.
public struct FilterSettings: Sendable, Equatable {
  /// The socket states that are kept; never empty.
  public var states: Set<StateName> = []
  /// A socket that is kept satisfies all of these.
  public var terms = FilterTerms()
  /// A socket that satisfies any of these is dropped.
  public var not = FilterExclusion()

  /// Whether it calls control groups by their paths.
  var namesCgroups: Bool {
    (terms.cgroup + not.terms.cgroup).contains { if case .path = $0 { true } else { false } }
  }

  /// The states that are left of `states` after `not`.
  public var keptStates: Set<StateName> { states.subtracting(not.states) }
}

/// What a socket is dropped for: any one of these.
public struct FilterExclusion: Sendable, Equatable {
  public var states: Set<StateName> = []
  public var terms = FilterTerms()
}

/// Properties of a socket. A socket satisfies a term if some element of its list matches; an empty list is no term.
public struct FilterTerms: Sendable, Equatable {
  /// The local address.
  public var source: [AddressPrefix] = []
  /// The peer's address.
  public var destination: [AddressPrefix] = []
  public var sourcePort: [PortRange] = []
  public var destinationPort: [PortRange] = []
  /// The interface that a socket is bound to.
  public var interface: [InterfaceMatch] = []
  public var mark: [MarkMatch] = []
  /// The control group of version 2 that it was made in.
  public var cgroup: [CgroupMatch] = []

  public init() {}

  /// Whether no term is given.
  public var isEmpty: Bool { self == FilterTerms() }
}

extension ValueType {
  /// A list whose elements all differ, or one element without the brackets.
  static func oneOrMore<Element: Hashable>(of element: ValueType<Element>, atLeast minimum: Int = 0) -> ValueType
  where Value == [Element] {
    let list = ValueType.list(of: element, atLeast: minimum)
    return ValueType(
      name: "\(element.name) or list of them", allowed: element.allowed,
      schema: .object(.init("anyOf", .array([element.schema, list.schema])))
    ) { node, path, reading in
      if node.scalar != nil, !node.isNull { return element.read(node, path, &reading).map { [$0] } }
      return list.read(node, path, &reading)
    }
  }

  /// A list as the set of its elements.
  static func set<Element: Hashable>(of list: ValueType<[Element]>) -> ValueType where Value == Set<Element> {
    ValueType(name: list.name, allowed: list.allowed, schema: list.schema) { node, path, reading in
      list.read(node, path, &reading).map(Set.init)
    }
  }
}
