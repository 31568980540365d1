import Config
import IO
import Logging

/// What could be done about this host to have its sockets read at less cost.
public struct HostAdvice: Equatable, Sendable {
  /// Namespaces that were asked about and could be entered.
  public var namespaces = 0
  /// Those that could not.
  public var denied = 0
  /// Processes whose namespaces may not be looked at; the host's own may be among these namespaces.
  public var deniedProcesses = 0
  /// Those that could be entered and whose connections are in the one hash that all share, its owner (the host's) not counted.
  public var sharing = 0
  /// Those that share it and have sockets: each is walked.
  public var walked = 0
  /// Sockets in that hash, those of namespaces that are not read included.
  public var sockets: UInt64 = 0
  /// Those of namespaces that are walked: each is passed by in all walks but one.
  public var walkedSockets: UInt64 = 0
  /// The most sockets that one namespace which shares it has, be it read or not; its owner aside.
  public var largest: UInt64 = 0

  public init() {}

  /// What passing by one socket of another namespace costs, in nanoseconds: docs/performance.md.
  static let passingBy: UInt64 = 100

  /// CPU time that full walks of all of them spend on sockets of others, in nanoseconds: what would be saved.
  public var waste: UInt64 {
    let passed = UInt64(walked) &* sockets
    return (passed > walkedSockets ? passed - walkedSockets : 0) &* Self.passingBy
  }

  /// Whether it is worth a word.
  public var isWorthIt: Bool { sharing > 0 && waste >= 1_000_000 }

  /// A value for `net.ipv4.tcp_child_ehash_entries`: twice what the largest has now, a power of two, as the kernel makes it.
  public var suggestedEntries: Int {
    var entries = 1024
    while entries < 1 << 24, entries < 2 * largest { entries *= 2 }
    return entries
  }

  /// One sentence or two.
  public var text: String {
    let milliseconds = (waste + 500_000) / 1_000_000
    return
      "\(sharing) of the \(namespaces) network namespaces that are read share one hash of \(sockets) TCP sockets; full walks of the \(walked) "
      + "that have sockets pass by those of the others, some \(milliseconds) ms of CPU for all of them. Namespaces that are made after "
      + "`sysctl -w net.ipv4.tcp_child_ehash_entries=\(suggestedEntries)` in the namespace that makes them have a hash of their own "
      + "(Linux 6.1 and later; \(suggestedEntries * 8 / 1024) KiB each); see docs/reading.md"
  }

  /// What cannot be told, and how it could be; empty: nothing of that kind.
  public var unknown: String {
    var parts: [String] = []
    if denied > 0 { parts.append("\(denied) network namespaces may not be entered") }
    if deniedProcesses > 0 { parts.append("the namespaces of \(deniedProcesses) processes may not be looked at") }
    return parts.isEmpty
      ? "" : parts.joined(separator: ", ") + "; it takes CAP_SYS_ADMIN and CAP_SYS_PTRACE: run as root"
  }

  /// Looks at each namespace of a table.
  ///
  /// - Parameter isRead: whether the namespace at an index is read.
  static func examine(
    _ namespaces: [Namespace], through door: borrowing NamespaceDoor, isRead: (Int) -> Bool
  ) throws(SystemError) -> HostAdvice {
    var advice = HostAdvice()
    for (index, namespace) in namespaces.enumerated() {
      let isRead = isRead(index)
      do throws(EntryError) {
        let found = try door.readSharing(namespace)
        advice.take(
          sockets: found.sockstat.total, shares: found.sharesHash, isOwner: namespace.isHost && !found.sharesHash,
          isRead: isRead)
      } catch {
        switch error {
        case .lostHome(let reason): throw reason
        case .denied: if isRead { advice.denied += 1 }
        case .vanished, .replaced, .system: break
        }
      }
    }
    return advice
  }

  mutating func take(sockets count: UInt64, shares: Bool, isOwner: Bool, isRead: Bool = true) {
    if isRead { namespaces += 1 }
    guard shares || isOwner else { return }
    sockets += count
    // Whatever is made afterwards has a hash of that size, be it read or not.
    if !isOwner { largest = max(largest, count) }
    guard isRead else { return }
    if !isOwner { sharing += 1 }
    if count > 0 {
      walked += 1
      walkedSockets += count
    }
  }
}

extension HostAdvice {
  /// Of the namespaces of this host, as far as can be seen; enters each for a moment.
  public static func ofThisHost(_ settings: Settings) throws(SystemError) -> HostAdvice {
    let (global, selections) = (settings.global, settings.pipelines.map(\.namespaces))
    let scout = try NamespaceScout(
      board: NamespaceBoard(wakeup: try Wakeup()), paths: NamespacePaths(global.paths),
      maxNamespaces: global.discovery.maxNamespaces, interval: global.discovery.interval.nanoseconds,
      needs: NamespaceScout.Needs(selections), log: Logger(label: "host") { _ in SwiftLogNoOpLogHandler() })
    scout.scanWhole()
    return try scout.examineHost(for: selections)
  }
}
