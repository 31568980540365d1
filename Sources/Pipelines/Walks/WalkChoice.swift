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
  /// All tables but that of listeners, which has just been walked.
  case rest
  /// All tables.
  case full
}

/// Decides how a namespace is read. A value: what it decides by is passed in.
///
/// `TCP: inuse` and `TCP6: inuse` of sockstat (net/ipv4/proc.c, net/ipv6/proc.c) count every hashed socket of a namespace, listeners
/// included; `TCP: tw` counts those in TIME_WAIT. Not counted are request sockets (SYN_RECV), which hang on a listener. So:
/// nothing in use, nothing to read; as many in use as there are listeners, no other socket exists but in SYN_RECV. That, and
/// whatever else sockstat may not know, is covered by a full walk every `full_walk_every` polls.
struct WalkChoice: Equatable, Sendable {
  /// `reader.shortcuts`
  var sparesEmpty = true
  var sparesConnections = true
  /// `reader.full_walk_every`
  var fullWalkEvery: UInt64 = 6
  /// The states that are asked for.
  var states: SocketStates

  /// Whether sockstat is of any use.
  var needsSockstat: Bool { sparesEmpty || sparesConnections }

  /// Who asks for nothing else but what sockstat does not count would see it only when a full walk is due. Where nothing is in use
  /// there is no listener for it to hang on.
  private var wantsOnlyRequests: Bool { states.subtracting(.listen) == .requests }

  /// How to begin.
  ///
  /// - Parameters:
  ///   - poll: counts polls from 1.
  ///   - present: what sockstat says at this moment; nil: that cannot be told.
  func walk(of known: NamespaceKnowledge, poll: UInt64, present: Sockstat?) -> Walk {
    guard let present, !isFullWalkDue(known, poll: poll) else { return .full }
    let timeWait = states.isDisjoint(with: .timeWait) ? 0 : present.timeWait
    if sparesEmpty, present.inUse == 0, timeWait == 0 { return .none }
    guard sparesConnections, timeWait == 0, states != .listen, !wantsOnlyRequests else { return .full }
    // A walk for nothing is not dear; it is not cheap either, so it is not tried against better knowledge.
    return known.listeners.map { $0 == present.inUse } ?? true ? .listeners : .full
  }

  /// Whether the listeners that were read are all sockets that there are.
  ///
  /// Sockstat is read before the walk and after it: a listener that went and a connection that came meanwhile would go unseen if it
  /// were read once.
  func isAll(listeners: UInt64, before: Sockstat, after: Sockstat) -> Bool {
    let timeWait = states.isDisjoint(with: .timeWait) ? 0 : after.timeWait
    return before.inUse == listeners && after.inUse == listeners && timeWait == 0
  }

  /// What is never read before, and each namespace at its turn.
  func isFullWalkDue(_ known: NamespaceKnowledge, poll: UInt64) -> Bool {
    !known.hasBeenWalked || (poll &+ UInt64(known.phase)) % fullWalkEvery == 0
  }
}
