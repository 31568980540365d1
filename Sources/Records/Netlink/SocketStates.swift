/// A set of TCP states; bit N stands for the kernel's state number N (`include/net/tcp_states.h`).
///
/// The same bits go into a dump request (`idiag_states`) and into the filter in user space.
public struct SocketStates: OptionSet, Sendable, Hashable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Every state a dump can report, `0xFFF`. Not all ones: bit 13 (`TCP_BOUND_INACTIVE`) makes the kernel walk the
  /// host's whole bind hash, and `TCP_SYN_RECV` stands for `TCP_NEW_SYN_RECV` too (`net/ipv4/inet_diag.c`).
  public static let all = SocketStates(rawValue: 0xfff)

  /// `TCP_LISTEN` alone: the kernel then walks its small table of listeners and nothing else.
  public static let listen = SocketStates(rawValue: 1 << UInt32(listenNumber))
  /// The number of `TCP_LISTEN`.
  static let listenNumber: UInt8 = 10

  /// What is in the states that the kernel's minimal sockets are in, `struct inet_timewait_sock`: `TCP_TIME_WAIT`, and
  /// `TCP_FIN_WAIT2` without a process. `TCP: tw` of sockstat counts both.
  public static let timeWait = SocketStates(rawValue: 1 << 6 | 1 << 5)

  /// `TCP_SYN_RECV`: request sockets, which no count of sockstat has.
  public static let requests = SocketStates(rawValue: 1 << 3)

  /// The kernel's names without `TCP_`, by state number. Number 0 names no state.
  static let kernelNames: [StaticString] = [
    "UNKNOWN", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
    "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV", "BOUND_INACTIVE",
  ]

  /// Every name a configuration may use for one state, in the kernel's spelling and order.
  public static let allNames: [String] = kernelNames[1...11].map { $0.description }

  /// The names of the states in the set, as `allNames` has them.
  public var names: [String] {
    Self.allNames.enumerated().filter { rawValue & 1 << UInt32($0.offset + 1) != 0 }.map(\.element)
  }

  /// The state or group of states called `name`: a kernel name in any case with `-` or `_`, or one that `ss` knows
  /// (`listening`, `fin-wait-1`, `closed`, and the groups `all`, `connected`, `synchronized`, `bucket`, `big`; see `ss(8)`).
  public init?(name: String) {
    let plain = name.lowercased().filter { $0 != "-" && $0 != "_" }
    if let number = Self.kernelNames.firstIndex(where: { Self.fold($0) == plain }), number > 0 {
      self.init(rawValue: 1 << UInt32(number))
    } else if let bits = Self.aliases[plain] {
      self.init(rawValue: bits)
    } else {
      return nil
    }
  }

  private static func fold(_ name: StaticString) -> String {
    name.description.lowercased().filter { $0 != "_" }
  }

  private static let aliases: [String: UInt32] = [
    "listening": 1 << 10, "closed": 1 << 7, "unconnected": 1 << 7, "all": 0xfff,
    "connected": 0xfff & ~(1 << 10 | 1 << 7 | 1),
    "synchronized": 0xfff & ~(1 << 10 | 1 << 7 | 1 << 2 | 1),
    "bucket": 1 << 3 | 1 << 6,
    "big": 0xfff & ~(1 << 3 | 1 << 6 | 1),
  ]

  /// The bits to compare a reported state with. `TCP_SYN_RECV` includes `TCP_NEW_SYN_RECV`, as in the kernel.
  var matchingBits: UInt32 { rawValue & 1 << 3 != 0 ? rawValue | 1 << 12 : rawValue }

  /// The number of the state whose kernel name is `name`, exactly as text formats print it.
  static func number(of name: String) -> UInt32? {
    if let number = kernelNames.firstIndex(where: { $0.description == name }) { return UInt32(number) }
    return UInt32(name)
  }
}
