import Glibc

/// Where namespaces are looked for.
public struct NamespacePaths: Equatable, Sendable {
  /// The proc filesystem whose processes are looked at; `/host/proc` in some containers.
  public var proc: String
  /// Directories whose nsfs mounts give namespaces their names, best first.
  public var netns: [String]

  /// The places where container runtimes and ip-netns(8) mount namespaces, unless told otherwise.
  public init(proc: String = "/proc", netns: [String] = ["/run/netns", "/run/docker/netns"]) {
    self.proc = proc
    self.netns = netns
  }
}

/// What a discovery saw and what it could not see.
public struct DiscoveryTally: Equatable, Sendable {
  /// Processes looked at.
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

  private enum Phase { case idle, processes, identities(next: Int) }

  private let paths: NamespacePaths
  private let maxNamespaces: Int
  private let processes: ProcessDirectory
  private let mountinfo: Descriptor
  private var ranking: MountRanking
  private var phase = Phase.idle
  private var candidates: [Candidate] = []
  private var positions: [NamespaceNode: Int] = [:]
  private var beyondLimit: Set<NamespaceNode> = []
  private var tally = DiscoveryTally()
  private var found: [Namespace] = []
  /// The entries of the last discovery, to be returned again where nothing changed.
  var previous: [NamespaceNode: Namespace] = [:]
  private var mountText: [UInt8] = []

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

  /// One whole discovery. Fails only with `.lostHome`, and with `.system` if the process list or the mounts cannot be
  /// read.
  public func discover(through door: borrowing NamespaceDoor) throws(EntryError) -> Discovery {
    while true {
      if let discovery = try advance(through: door, steps: .max) { return discovery }
    }
  }

  /// Does about `steps` steps (a process or a namespace each) of the discovery under way, or begins one. Returns the
  /// result when it is complete. After an error the next call begins anew.
  public func advance(through door: borrowing NamespaceDoor, steps: Int) throws(EntryError) -> Discovery? {
    do throws(EntryError) {
      return try step(through: door, steps: steps)
    } catch {
      phase = .idle
      throw error
    }
  }

  private func step(through door: borrowing NamespaceDoor, steps: Int) throws(EntryError) -> Discovery? {
    var remaining = steps
    while remaining > 0 {
      switch phase {
      case .idle:
        try begin()
        phase = .processes
      case .processes:
        if try !scanNextProcess() { phase = .identities(next: 0) }
        remaining -= 1
      case .identities(let next) where next < candidates.count:
        try identify(candidates[next], through: door)
        phase = .identities(next: next + 1)
        remaining -= 1
      case .identities: return finish()
      }
    }
    return nil
  }

  // MARK: Gathering

  private func begin() throws(EntryError) {
    candidates.removeAll(keepingCapacity: true)
    positions.removeAll(keepingCapacity: true)
    beyondLimit.removeAll(keepingCapacity: true)
    found.removeAll(keepingCapacity: true)
    tally = DiscoveryTally()
    // The directories may have been made since the last time.
    ranking = MountRanking(directories: paths.netns)
    do throws(SystemError) {
      noteHost()
      try noteMounts()
      processes.rewind()
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

  private func noteMounts() throws(SystemError) {
    try readMountinfo()
    for mount in MountTable(text: mountText).mounts {
      note(mount.node) { if !$0.mounts.contains(mount.path) { $0.mounts.append(mount.path) } }
    }
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

  /// Looks at one process; false if there are no more.
  private func scanNextProcess() throws(EntryError) -> Bool {
    do throws(SystemError) {
      guard let process = try processes.next() else { return false }
      tally.processes += 1
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
    return true
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
      mounts: mounts.map { String(decoding: $0, as: UTF8.self) })
  }

  private func known(_ sketch: Namespace, cookie: UInt64) -> Namespace {
    if let last = previous[sketch.key.node], last.cookie == cookie, last.name == sketch.name,
      last.isHost == sketch.isHost, last.paths == sketch.paths
    {
      return last
    }
    return Namespace(sketch, cookie: cookie)
  }

  private func finish() -> Discovery {
    tally.overLimit = beyondLimit.count
    found.sort { $0.isHost != $1.isHost ? $0.isHost : ($0.name, $0.inode) < ($1.name, $1.inode) }
    previous.removeAll(keepingCapacity: true)
    for namespace in found { previous[namespace.key.node] = namespace }
    phase = .idle
    return Discovery(namespaces: found, tally: tally)
  }
}
