import Glibc

/// Where namespaces are looked for.
public struct NamespacePaths: Equatable, Sendable {
  /// The proc filesystem whose processes are looked at; `/host/proc` in some containers.
  public var proc: String
  /// Directories whose nsfs mounts give namespaces their names, best first.
  public var netns: [String]
  /// Where control groups are mounted: the version 2 hierarchy, or a directory of hierarchies of version 1.
  public var cgroup: String

  /// The places where container runtimes and ip-netns(8) mount namespaces, unless told otherwise.
  public init(
    proc: String = "/proc", netns: [String] = ["/run/netns", "/run/docker/netns"], cgroup: String = "/sys/fs/cgroup"
  ) {
    self.proc = proc
    self.netns = netns
    self.cgroup = cgroup
  }
}

/// How thoroughly to look.
public enum DiscoveryScope: Equatable, Sendable {
  /// Every process and every mount.
  case whole
  /// The mounts, and of the processes those that the last discovery noted as ways in: finds what is mounted and
  /// unmounted without listing all processes.
  case mounts
}

/// What a discovery saw and what it could not see.
public struct DiscoveryTally: Equatable, Sendable {
  /// Processes looked at. Of a discovery of mounts alone, this and `deniedProcesses` are those of the last whole one.
  public var processes = 0
  /// Processes whose namespace may not be seen (CAP_SYS_PTRACE); namespaces that only they hold are missing.
  public var deniedProcesses = 0
  /// Namespaces that were found but may not be entered (CAP_SYS_ADMIN). They are listed, with an unknown cookie (0).
  public var deniedNamespaces = 0
  /// Namespaces that were gone when they were looked at more closely. Not listed.
  public var vanished = 0
  /// Namespaces that could not be looked at for want of descriptors or memory. Not listed.
  public var failed = 0
  /// Namespaces beyond `maxNamespaces`, counted up to that number again. Not listed.
  public var overLimit = 0
  /// PID 1's namespace could not be seen, so that no namespace is called `host`.
  public var isHostUnknown = false
  /// The last reason behind `deniedNamespaces` or `failed`.
  public var lastProblem: EntryError?

  /// Of a discovery that saw nothing.
  public init() {}
}

/// A list of all namespaces, each once: the host's first, then by name.
public struct Discovery: Sendable {
  /// The namespaces; each stays valid until it is gone, whatever later discoveries find.
  public var namespaces: [Namespace]
  /// What was and was not seen.
  public var tally: DiscoveryTally
}

/// Finds every network namespace that a process lives in or that is mounted somewhere, one entry each. One discoverer
/// serves all pipelines of a process.
///
/// It can be run in slices (`advance`), so that a loop is never held for long: scanning costs about 6 µs a process and
/// 10 µs a namespace. A discovery reads each namespace's cookie anew, because a node alone does not tell that a
/// namespace was replaced. Between discoveries nothing is open that would keep a namespace alive. Belongs to one
/// thread.
public final class NamespaceDiscoverer {
  /// Processes noted as ways into a namespace that has no mount; several, because the first may end first.
  private static let processesNoted = 3

  private struct Candidate {
    var node: NamespaceNode
    var isHost = false
    var mounts: [[UInt8]] = []
    var processes: [Int32] = []
  }

  /// Each but the first goes on at a position: of the text of mounts, of the noted processes, of the candidates.
  private enum Phase { case idle, mounts(next: Int), noted(next: Int), processes, identities(next: Int) }

  private var paths: NamespacePaths
  private var maxNamespaces: Int
  private var readsCgroups = false
  private var isUnified = false
  private var processes: ProcessDirectory
  private let mountinfo: Descriptor
  private var ranking: MountRanking
  private var phase = Phase.idle
  private var scope = DiscoveryScope.whole
  private var candidates: [Candidate] = []
  private var positions: [NamespaceNode: Int] = [:]
  private var beyondLimit: Set<NamespaceNode> = []
  private var tally = DiscoveryTally()
  private var found: [Namespace] = []
  /// The entries of the last discovery, to be returned again where nothing changed.
  var previous: [NamespaceNode: Namespace] = [:]
  private var mountText: [UInt8] = []
  /// The processes that the last discovery noted, for a discovery of mounts alone.
  private var noted: [Int32] = []
  private var lastWhole = DiscoveryTally()

  /// Opens the process directory and the mount table; fails as opendir(3) and open(2) do.
  public init(paths: NamespacePaths = NamespacePaths(), maxNamespaces: Int = 4_096) throws(SystemError) {
    self.paths = paths
    self.maxNamespaces = max(1, maxNamespaces)
    ranking = MountRanking(directories: paths.netns)
    processes = try ProcessDirectory(path: paths.proc)
    let path = "/proc/self/mountinfo"
    mountinfo = try Descriptor(open(path, O_RDONLY | O_CLOEXEC), "open", context: path)
  }

  /// Exceptional (`Poller.Interest.exceptional`) once after each change of any mount: the moment to discover early.
  public var mountsPollable: Int32 { mountinfo.raw }

  /// The namespace a process lives in, for selecting by process; fails as stat(2) on its ns/net does.
  public func node(ofProcess process: Int32) throws(SystemError) -> NamespaceNode {
    try processes.namespace(of: process)
  }

  /// Looks elsewhere or for more from now on; what is under way begins anew. On an error nothing has changed.
  ///
  /// - Parameter readsCgroups: fill in `Namespace.cgroups`; costs opening a file for each namespace.
  public func configure(paths: NamespacePaths, maxNamespaces: Int, readsCgroups: Bool) throws(SystemError) {
    if paths.proc != self.paths.proc {
      processes = try ProcessDirectory(path: paths.proc)
      noted.removeAll()
    }
    self.paths = paths
    self.maxNamespaces = max(1, maxNamespaces)
    self.readsCgroups = readsCgroups
    phase = .idle
  }

  /// One discovery from beginning to end. Fails only with `.lostHome`, and with `.system` if the process list or the mounts
  /// cannot be read.
  public func discover(
    through door: borrowing NamespaceDoor, _ scope: DiscoveryScope = .whole
  ) throws(EntryError) -> Discovery {
    while true {
      if let discovery = try advance(through: door, steps: .max, scope) { return discovery }
    }
  }

  /// Does about `steps` steps (a mount, a process or a namespace each) of the discovery under way, or begins one. Returns
  /// the result when it is complete. After an error the next call begins anew.
  ///
  /// - Parameter scope: of a discovery that begins; the one under way goes on as it began.
  public func advance(
    through door: borrowing NamespaceDoor, steps: Int, _ scope: DiscoveryScope = .whole
  ) throws(EntryError) -> Discovery? {
    do throws(EntryError) {
      return try step(through: door, steps: steps, scope)
    } catch {
      phase = .idle
      throw error
    }
  }

  private func step(
    through door: borrowing NamespaceDoor, steps: Int, _ scope: DiscoveryScope
  ) throws(EntryError) -> Discovery? {
    var remaining = steps
    while remaining > 0 {
      remaining -= 1
      switch phase {
      case .idle:
        try begin(scope)
        phase = .mounts(next: 0)
      case .mounts(let next):
        if let end = noteMount(at: next) {
          phase = .mounts(next: end)
        } else {
          phase = self.scope == .whole ? .processes : .noted(next: 0)
        }
      case .noted(let next) where next < noted.count:
        try look(at: noted[next])
        phase = .noted(next: next + 1)
      case .noted: phase = .identities(next: 0)
      case .processes: if try !scanNextProcess() { phase = .identities(next: 0) }
      case .identities(let next) where next < candidates.count:
        try identify(candidates[next], through: door)
        phase = .identities(next: next + 1)
      case .identities: return finish()
      }
    }
    return nil
  }

  // MARK: Gathering

  private func begin(_ scope: DiscoveryScope) throws(EntryError) {
    self.scope = scope
    candidates.removeAll(keepingCapacity: true)
    positions.removeAll(keepingCapacity: true)
    beyondLimit.removeAll(keepingCapacity: true)
    found.removeAll(keepingCapacity: true)
    tally = DiscoveryTally()
    // The directories may have been made since the last time.
    ranking = MountRanking(directories: paths.netns)
    isUnified = readsCgroups && CgroupFile.isUnified(paths.cgroup)
    do throws(SystemError) {
      noteHost()
      try readMountinfo()
      if scope == .whole { processes.rewind() }
    } catch {
      throw .system(error)
    }
  }

  /// PID 1 may be hidden by a security module even from root. Where kernel threads show, PID 2 is the first of them,
  /// and those live in the namespace that the kernel booted with, which is PID 1's on any host.
  private func noteHost() {
    for process in [1, 2] as [Int32] {
      guard process == 1 || processes.isKthreadd(process) else { continue }
      guard let node = try? processes.namespace(of: process) else { continue }
      note(node) {
        $0.isHost = true
        $0.processes.append(process)
      }
      return
    }
    tally.isHostUnknown = true
  }

  /// Notes what the line at an offset of the mounts' text says, and tells where the next one begins; nil after the last.
  private func noteMount(at start: Int) -> Int? {
    guard start < mountText.count else { return nil }
    let end = mountText[start...].firstIndex(of: UInt8(ascii: "\n")) ?? mountText.count
    if let mount = MountTable.mount(mountText[start..<end]) {
      note(mount.node) { if !$0.mounts.contains(mount.path) { $0.mounts.append(mount.path) } }
    }
    return end + 1
  }

  /// Reads the whole file from its beginning into the same memory each time.
  private func readMountinfo() throws(SystemError) {
    mountText.removeAll(keepingCapacity: true)
    guard lseek(mountinfo.raw, 0, SEEK_SET) == 0 else {
      throw SystemError.last("lseek", context: "/proc/self/mountinfo")
    }
    while true {
      let count = withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 1) { buffer in
        let count = retryingOnInterrupt { read(mountinfo.raw, buffer.baseAddress, buffer.count) }
        if count > 0 { mountText.append(contentsOf: buffer[..<count]) }
        return count
      }
      guard count >= 0 else { throw SystemError.last("read", context: "/proc/self/mountinfo") }
      if count == 0 { return }
    }
  }

  /// Looks at the next process of all; false if there are no more.
  private func scanNextProcess() throws(EntryError) -> Bool {
    let next: Int32?
    do throws(SystemError) {
      next = try processes.next()
    } catch {
      throw .system(error)
    }
    guard let process = next else { return false }
    tally.processes += 1
    try look(at: process)
    return true
  }

  /// Notes a process as a way into its namespace.
  private func look(at process: Int32) throws(EntryError) {
    do throws(SystemError) {
      let node = try processes.namespace(of: process)
      note(node) {
        if $0.processes.count < Self.processesNoted, !$0.processes.contains(process) { $0.processes.append(process) }
      }
    } catch {
      switch error.errno {
      case ENOENT, ESRCH: break  // it has ended
      case EACCES, EPERM: tally.deniedProcesses += 1
      default: throw .system(error)
      }
    }
  }

  private func note(_ node: NamespaceNode, _ change: (inout Candidate) -> Void) {
    if let position = positions[node] {
      change(&candidates[position])
    } else if candidates.count < maxNamespaces {
      positions[node] = candidates.count
      candidates.append(Candidate(node: node))
      change(&candidates[candidates.count - 1])
    } else if beyondLimit.count < maxNamespaces {
      beyondLimit.insert(node)
    }
  }

  // MARK: Identifying

  /// Completes an entry with its cookie, as the object of the last time if nothing changed.
  private func identify(_ candidate: Candidate, through door: borrowing NamespaceDoor) throws(EntryError) {
    let sketch = sketch(candidate)
    do throws(EntryError) {
      found.append(known(sketch, cookie: try door.cookie(of: sketch)))
    } catch {
      switch error {
      case .lostHome: throw error
      case .vanished, .replaced: tally.vanished += 1
      case .denied:
        tally.deniedNamespaces += 1
        tally.lastProblem = error
        found.append(known(sketch, cookie: 0))
      case .system:
        tally.failed += 1
        tally.lastProblem = error
      }
    }
  }

  private func sketch(_ candidate: Candidate) -> Namespace {
    let mounts = candidate.mounts.sorted { ranking.precedes($0, $1) }
    let entrances = mounts + candidate.processes.map { Array("\(paths.proc)/\($0)/ns/net".utf8) }
    let name = candidate.isHost ? "host" : mounts.first.map(ranking.name) ?? "net:[\(candidate.node.inode)]"
    return Namespace(
      name: name, key: NamespaceKey(node: candidate.node, cookie: 0), isHost: candidate.isHost,
      entrances: entrances,
      mounts: mounts.map { String(decoding: $0, as: UTF8.self) },
      cgroups: readsCgroups
        ? candidate.processes.first.map { processes.cgroups(of: $0, unifiedOnly: isUnified) } ?? [] : [])
  }

  private func known(_ sketch: Namespace, cookie: UInt64) -> Namespace {
    if let last = previous[sketch.key.node], last.cookie == cookie, last.name == sketch.name,
      last.isHost == sketch.isHost, last.paths == sketch.paths, last.cgroups == sketch.cgroups
    {
      return last
    }
    return Namespace(sketch, cookie: cookie)
  }

  private func finish() -> Discovery {
    tally.overLimit = beyondLimit.count
    if scope == .whole {
      lastWhole = tally
    } else {
      tally.processes = lastWhole.processes
      tally.deniedProcesses = lastWhole.deniedProcesses
      tally.overLimit = max(tally.overLimit, lastWhole.overLimit)
    }
    noted.removeAll(keepingCapacity: true)
    for candidate in candidates { noted += candidate.processes }
    found.sort { $0.isHost != $1.isHost ? $0.isHost : ($0.name, $0.inode) < ($1.name, $1.inode) }
    previous.removeAll(keepingCapacity: true)
    for namespace in found { previous[namespace.key.node] = namespace }
    phase = .idle
    return Discovery(namespaces: found, tally: tally)
  }
}
