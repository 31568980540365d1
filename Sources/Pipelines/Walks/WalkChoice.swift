import IO
import Records

/// How a namespace is read in a poll: which tables of the kernel are walked for it.
///
/// All network namespaces share one hash of established sockets (unless `net.ipv4.tcp_child_ehash_entries` was set before they were
/// made), and a dump walks all of it: what a dump of a small namespace costs is what the *host's* sockets cost to be passed by.
enum Walk: Equatable {
  /// Nothing is asked for: no socket is in use.
  case none
  /// The table of listeners alone, which is small: nothing else is in use.
  case listeners
  /// Nothing: each connection that is known from the last walk is asked for.
  case known
  /// All tables but that of listeners, which has just been walked.
  case rest
  /// All tables.
  case full
}

/// Decides how a namespace is read. A value: what it decides by is passed in.
///
/// `TCP: inuse` and `TCP6: inuse` of sockstat (net/ipv4/proc.c, net/ipv6/proc.c) count every hashed socket of a namespace, listeners
/// included; `TCP: tw` counts those in TIME_WAIT. Not counted are request sockets (SYN_RECV), which hang on a listener. So:
/// nothing in use, nothing to read; as many in use as there are listeners, no other socket exists but in SYN_RECV; as many as there
/// are listeners and connections that are known and still there, no others exist. That, and whatever else sockstat may not
/// know, is covered by a full walk every `full_walk_every` polls.
struct WalkChoice: Equatable, Sendable {
  /// What it costs more to ask for a socket than to have it filled in by a walk, in sockets of the host that a walk passes by
  /// (docs/reading.md).
  static let exactCost: UInt64 = 16

  /// `reader.shortcuts`
  var sparesEmpty = true
  var sparesConnections = true
  var asksForKnown = true
  /// `reader.full_walk_every`
  var fullWalkEvery: UInt64 = 6
  /// The states that are asked for.
  var states: SocketStates

  /// Whether sockstat is of any use.
  var needsSockstat: Bool { sparesEmpty || sparesConnections || asksForKnown }

  /// Who asks for nothing else but what sockstat does not count would see it only when a full walk is due. Where nothing is in use
  /// there is no listener for it to hang on.
  private var wantsOnlyRequests: Bool { states.subtracting(.listen) == .requests }

  /// Sockets that sockstat tells of, and that may be wanted.
  private func total(_ sockstat: Sockstat) -> UInt64 {
    sockstat.inUse + (states.isDisjoint(with: .timeWait) ? 0 : sockstat.timeWait)
  }

  /// How to begin.
  ///
  /// - Parameters:
  ///   - poll: counts polls from 1.
  ///   - present: what sockstat says at this moment; nil: that cannot be told.
  func walk(of known: NamespaceKnowledge, poll: UInt64, present: Sockstat?) -> Walk {
    guard let present, !isFullWalkDue(known, poll: poll) else { return .full }
    let total = total(present)
    if sparesEmpty, total == 0 { return .none }
    guard states != .listen, !wantsOnlyRequests else { return .full }
    let connections = UInt64(known.connections.count)
    if isWorthAsking(for: connections, present), mayBeAll(known, connections: connections, present) {
      return known.listeners == 0 ? .known : .listeners
    }
    guard sparesConnections, total == present.inUse else { return .full }
    // A walk for nothing is not dear; it is not cheap either, so it is not tried against better knowledge.
    return known.listeners.map { $0 == present.inUse } ?? true ? .listeners : .full
  }

  /// Whether what is known, now that the listeners are, may be all that there is.
  func mayKnowRest(_ known: NamespaceKnowledge, before: Sockstat) -> Bool {
    let connections = UInt64(known.connections.count)
    return isWorthAsking(for: connections, before) && mayBeAll(known, connections: connections, before)
  }

  /// Whether the sockets that were read are all that there are.
  ///
  /// Sockstat is read before the walk and after it: a listener that went and a connection that came meanwhile would go unseen if it
  /// were read once.
  func isAll(read: UInt64, before: Sockstat, after: Sockstat) -> Bool { total(before) == read && total(after) == read }

  /// Whether to remember the connections that a walk of all tables finds: the next poll may ask for them.
  func remembersConnections(_ known: NamespaceKnowledge, present: Sockstat?) -> Bool {
    guard let present else { return false }
    let total = total(present)
    return isWorthAsking(for: total - min(known.listeners ?? 0, total), present)
  }

  /// Whether connections, so many, and the listeners that are known may be all that there is. Listeners that are not known may be many.
  func mayBeAll(_ known: NamespaceKnowledge, connections: UInt64, _ present: Sockstat) -> Bool {
    let total = total(present)
    return known.listeners.map { $0 + connections == total } ?? (connections <= total)
  }

  /// Not for one of the two states of TIME_WAIT alone: sockstat does not tell them apart.
  private func isWorthAsking(for connections: UInt64, _ present: Sockstat) -> Bool {
    asksForKnown && connections > 0 && connections * Self.exactCost <= present.allocated
      && (states.isDisjoint(with: .timeWait) || states.isSuperset(of: .timeWait)) && states != .listen
  }

  /// Whether `isAll` counts a socket among the connections.
  func counts(_ socket: SocketID) -> Bool {
    socket.isConnection && (states.isSuperset(of: .timeWait) || !socket.isTimeWait)
  }

  /// What is never read before, and each namespace at its turn.
  func isFullWalkDue(_ known: NamespaceKnowledge, poll: UInt64) -> Bool {
    !known.hasBeenWalked || (poll &+ UInt64(known.phase)) % fullWalkEvery == 0
  }
}
