/// Which sockets are kept by what they are: those that satisfy all terms of `keep` and no term of `drop`.
///
/// Made once, when settings are taken over: the terms are compiled into tables in raw memory, sorted ranges of addresses
/// and a bit for each port, which the walk reads through a pointer. A row costs neither an allocation nor a reference count.
public final class RowFilter: Sendable, Hashable {
  /// Addresses that begin with the same bits.
  public struct Prefix: Sendable, Hashable {
    /// 4 or 16, in network byte order.
    public let bytes: [UInt8]
    /// Bits that count.
    public let length: Int

    public init(bytes: [UInt8], length: Int) {
      self.bytes = bytes
      self.length = length
    }
  }

  /// A number that is known, or the name of one that has to be looked up: an interface's number differs from namespace to namespace.
  public enum Number: Sendable, Hashable {
    case known(UInt64)
    case named(String)
  }

  /// Marks (`SO_MARK`) with `mark & mask == value`.
  public struct Mark: Sendable, Hashable {
    public let value: UInt32
    public let mask: UInt32

    public init(value: UInt32, mask: UInt32 = .max) {
      self.value = value
      self.mask = mask
    }
  }

  /// Properties of a socket. A term is satisfied if one of its elements matches; an empty one is no term.
  public struct Terms: Sendable, Hashable {
    public var sources: [Prefix] = []
    public var destinations: [Prefix] = []
    public var sourcePorts: [ClosedRange<UInt16>] = []
    public var destinationPorts: [ClosedRange<UInt16>] = []
    /// A socket whose mark is not told (TIME_WAIT, SYN_RECV, no CAP_NET_ADMIN) has none of these.
    public var marks: [Mark] = []
    /// Interfaces that sockets are bound to, by index; 0 is none.
    public var interfaces: [Number] = []
    /// Version 2 control groups, by number. A socket whose group is not told is in none.
    public var cgroups: [Number] = []

    public init() {}

    /// The terms that are given.
    var keys: [String] {
      let all = [
        ("source_port", sourcePorts.isEmpty), ("destination_port", destinationPorts.isEmpty),
        ("source", sources.isEmpty), ("destination", destinations.isEmpty), ("interface", interfaces.isEmpty),
        ("mark", marks.isEmpty), ("cgroup", cgroups.isEmpty),
      ]
      return all.filter { !$0.1 }.map(\.0)
    }
  }

  public let keep: Terms
  public let drop: Terms
  /// What has to be looked up, each name once. The numbers found are the filter's *bindings*: those of the interfaces, then those of
  /// the control groups.
  public let interfaceNames: [String]
  public let cgroupPaths: [String]
  /// What the walk reads; valid as long as this object.
  nonisolated(unsafe) let program: UnsafePointer<FilterProgram>

  /// Nil if there is no term at all: the walk then has nothing to do.
  public init?(keep: Terms, drop: Terms) {
    if keep == Terms(), drop == Terms() { return nil }
    self.keep = keep
    self.drop = drop
    interfaceNames = Self.names(keep.interfaces + drop.interfaces)
    cgroupPaths = Self.names(keep.cgroups + drop.cgroups)
    let names = FilterNames(interfaces: interfaceNames, cgroups: cgroupPaths)
    let program = UnsafeMutablePointer<FilterProgram>.allocate(capacity: 1)
    program.initialize(
      to: FilterProgram(keep: FilterProgram.Terms(keep, names), drop: FilterProgram.Terms(drop, names)))
    self.program = UnsafePointer(program)
  }

  deinit {
    program.pointee.keep.deallocate()
    program.pointee.drop.deallocate()
    program.deallocate()
  }

  /// The keys of a configuration that it consists of.
  public var keys: [String] { keep.keys + drop.keys.map { "not.\($0)" } }

  /// A number for each name, `unbound` where there is none.
  public var bindingCount: Int { interfaceNames.count + cgroupPaths.count }

  /// The binding of a name that means nothing here: no socket has it.
  public static let unbound = UInt64.max

  private static func names(_ numbers: [Number]) -> [String] {
    var names: [String] = []
    for case .named(let name) in numbers where !names.contains(name) { names.append(name) }
    return names
  }

  public static func == (left: RowFilter, right: RowFilter) -> Bool {
    left === right || (left.keep == right.keep && left.drop == right.drop)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(keep)
    hasher.combine(drop)
  }
}
