/// The one list of settings. The reader, the defaults, the suggestions, docs/configuration.md and
/// schema/config.schema.json are all made of it: a new setting is one entry here and one stored property.
enum SettingsList {
  /// The sections of a file.
  enum Section: String, CaseIterable {
    case version, include, global, defaults, profiles, sinks, pipelines

    var doc: String {
      switch self {
      case .version: "Version of the file format, always 1; once in all files together, or everywhere the same."
      case .include:
        "Other files of the configuration, by path or pattern (`conf.d/*.yaml`), relative to the file that has it."
      case .global: "What belongs to the process rather than to one pipeline."
      case .defaults: "What every pipeline takes over unless it says otherwise; any setting of a pipeline."
      case .profiles: "Settings of pipelines by name, for pipelines and other profiles to take over with `extends`."
      case .sinks: "Sinks by name, for pipelines to refer to."
      case .pipelines: "Pipelines by name, each with its own cadence, reader, selection and sinks."
      }
    }
  }

  /// What a pipeline or a sink may be called.
  static let namePattern = "^[A-Za-z0-9_.-]{1,64}$"

  static let version = ValueType<Int>.integer(1...1)

  static let global = SettingsTable<GlobalSettings>(
    title: "`global`",
    groups: [
      (
        "resources",
        "What the process may use; everything is added up before anything starts, and refused if it does not fit."
      ),
      ("discovery", "How network namespaces are found."),
      ("paths", "Where the kernel's file systems are mounted."),
      ("reload", "How another configuration is taken over, by SIGHUP or `xtcpd reload`."),
      ("control", "The Unix socket of `xtcpd status`, `reload`, `plan` and `poll`."),
      ("metrics", "The HTTP server of /metrics, /healthz and /readyz."),
      ("log", "What goes to stderr."),
    ],
    [
      Setting(
        "hostname", \.hostname, .auto(or: .text(bytes: 1...255)), default: "auto", reload: .live,
        "Column `hostname` of every row; `auto` is the UTS name of PID 1."),
      Setting(
        "location", \.location, .text(bytes: 0...255), default: "\"\"", reload: .live,
        "Column `location` of every row: the site or rack."),
      Setting(
        "label", \.label, .text(bytes: 0...255), default: "\"\"", reload: .live,
        "Column `label` of the rows of every pipeline that sets none of its own."),
      Setting(
        "tag", \.tag, .text(bytes: 0...255), default: "\"\"", reload: .live,
        "Column `tag` of the rows of every pipeline that sets none of its own."),
      Setting(
        "data_dir", \.dataDir, .path, default: "/var/lib/xtcpd", reload: .live,
        "Directory for what xtcpd keeps over a restart: the last good configuration, queues that are spilled."),
      Setting(
        "resources.threads", \.resources.threads, .auto(or: .integer(2...4096)), default: "auto", reload: .process,
        "Threads of the process, exactly: main thread, event loops, file workers, readers; `auto` is what the pipelines need "
          + "with as many loops as there are cores."),
      Setting(
        "resources.loops", \.resources.loops, .auto(or: .integer(1...1024)), default: "auto", reload: .process,
        "Event loops; `auto` is as many as there are pipelines, cores, and threads left."),
      Setting(
        "resources.cpus", \.resources.cpus, .cpuList, default: "\"\"", reload: .process,
        "The CPUs that the loops run on, such as `0-3,8`; empty: all that the process may use."),
      Setting(
        "resources.library_threads", \.resources.libraryThreads, .integer(0...4096), default: "64", reload: .process,
        "Threads that client libraries of sinks may start, beside `threads`."),
      Setting(
        "resources.memory", \.resources.memory, .size(16 << 20...1 << 40), default: "256MiB", reload: .process,
        "Memory of all pools and queues together."),
      Setting(
        "discovery.interval", \.discovery.interval, .duration(.milliseconds(100) ... .seconds(3600)), default: "10s",
        reload: .live, "Time between two scans of /proc for network namespaces."),
      Setting(
        "discovery.max_namespaces", \.discovery.maxNamespaces, .integer(1...65_536), default: "4096", reload: .live,
        "Namespaces beyond this number are counted but not read."),
      Setting(
        "paths.proc", \.paths.proc, .path, default: "/proc", reload: .live,
        "The proc file system to scan; in a container, where the host's is mounted."),
      Setting(
        "paths.netns", \.paths.netns, .list(of: .path, atLeast: 0), default: "[/run/netns, /run/docker/netns]",
        reload: .live, "Directories whose mounts give namespaces their names."),
      Setting(
        "paths.cgroup", \.paths.cgroup, .path, default: "/sys/fs/cgroup", reload: .live,
        "Where the cgroup hierarchy is mounted that `{cgroup: GLOB}` selects by and `filter.cgroup` names (version 2: there, or at `unified` in it)."
      ),
      Setting(
        "reload.watch", \.reload.watch, .boolean, default: "false", reload: .live,
        "Reload by itself when a file of the configuration has changed; looked at once a second."),
      Setting(
        "reload.settle", \.reload.settle, .duration(.zero ... .seconds(60)), default: "500ms", reload: .live,
        "A reload waits until nothing of the configuration is younger than this, so that no half-written file is read."),
      Setting(
        "reload.drain_timeout", \.reload.drainTimeout, .duration(.zero ... .seconds(600)), default: "5s", reload: .live,
        "How long what goes (at a reload, at the end) may take to deliver what it has."),
      Setting(
        "reload.boot_fallback", \.reload.bootFallback, .choice, default: "none", reload: .live,
        "`last_good`: start with the last configuration that was taken over if the present one is invalid, and say so "
          + "everywhere."),
      Setting(
        "control.socket", \.control.socket, .none(or: .path), default: "/run/xtcpd/control.sock", reload: .process,
        "Path of the socket, or `none`."),
      Setting(
        "control.group", \.control.group, .text(bytes: 1...64), default: "root", reload: .process,
        "The group whose members may use the socket, beside root and the user that xtcpd runs as."),
      Setting(
        "control.mode", \.control.mode, .fileMode, default: "\"0660\"", reload: .process,
        "Permission bits of the socket."),
      Setting(
        "metrics.listen", \.metrics.listen, .none(or: .listenAddress), default: "127.0.0.1:9088", reload: .process,
        "Address and port to listen on, `[::1]:9088` for IPv6; or `none`."),
      Setting(
        "log.level", \.log.level, .choice, default: "info", reload: .live, "The least important message that is logged."
      ),
      Setting(
        "log.format", \.log.format, .choice, default: "text", reload: .live,
        "`text` for people, `json` for collectors: one object a line."),
    ])

  static let pipeline = SettingsTable<PipelineSettings>(
    title: "a pipeline",
    groups: [
      ("reader", "How sockets are read."),
      ("pools", "How many buffers of each kind the pipeline owns; a pool that runs out makes the kernel wait."),
      ("batch", "When a batch is full: whichever limit is reached first."),
      ("queue", "What waits for a sink; each sink has a queue of its own."),
      ("retry", "How a sink that fails is tried again: after waits that double, each shortened at random."),
      ("filter", "Which sockets are kept: those that satisfy every key given, each by any element of its list."),
      ("filter.not", "Which of those are dropped: sockets that satisfy any one of the keys given here."),
      ("sample", "How many sockets are kept."),
      ("namespaces", "Which network namespaces are read: those that some `include` selects and no `exclude` does."),
    ],
    [
      Setting(
        "enabled", \.isEnabled, .boolean, default: "true", reload: .pipeline,
        "`false`: the pipeline is checked but does not run."),
      Setting(
        "interval", \.interval, .duration(.milliseconds(10) ... .seconds(86_400)), default: "10s", reload: .live,
        "Time from one poll to the next; a poll that would overlap the one before is skipped."),
      Setting(
        "timeout", \.explicitTimeout, .auto(or: .duration(.milliseconds(1) ... .seconds(3600))), default: "auto",
        reload: .live,
        "How long one namespace's dump may take, always below `interval`; `auto` is 80% of `interval`, at most 5s."),
      Setting(
        "align", \.align, .choice, default: "spread", reload: .live,
        "`spread`: at a constant offset made of host and pipeline name; `wallclock`: at multiples of `interval`; "
          + "`none`: from the start on."),
      Setting(
        "label", \.label, .text(bytes: 0...255), otherwise: "that of `global`", reload: .live,
        "Column `label` of every row."),
      Setting(
        "tag", \.tag, .text(bytes: 0...255), otherwise: "that of `global`", reload: .live, "Column `tag` of every row."),
      Setting(
        "attributes", \.attributes,
        .set(
          [("default", AttributeName.defaultSelection), ("all", Set(AttributeName.allCases))],
          or: .list(of: .choice, atLeast: 0)),
        default: "default", reload: .live,
        "What the kernel is asked for beyond addresses, state and queues; `default` is all but `meminfo`."),
      Setting(
        "reader.mode", \.reader.mode, .choice, default: "auto", reload: .pipeline,
        "`io_uring`, or `syscall` for epoll and plain calls; `auto` takes io_uring where the kernel permits it."),
      Setting(
        "reader.parallelism", \.reader.parallelism, .integer(1...64), default: "1", reload: .pipeline,
        "Dumps at once on more than one core, of several namespaces or of parts of a large one; each beyond the first is a thread and "
          + "1 MiB of buffers."),
      Setting(
        "reader.recv_batch", \.reader.recvBatch, .integer(1...4096), default: "8", reload: .pipeline,
        "Receives in flight at once, one for each namespace being dumped; at most `pools.receive_buffers`."),
      Setting(
        "reader.cqe_batch", \.reader.cqeBatch, .integer(1...4096), default: "128", reload: .live,
        "Completions reaped from the ring at a time."),
      Setting(
        "reader.full_walk_every", \.reader.fullWalkEvery, .integer(1...1_000_000), default: "6", reload: .live,
        "Each namespace is read by a full walk of the kernel's tables once in so many polls, whatever `reader.shortcuts` would spare; "
          + "1: always."),
      Setting(
        "reader.shortcuts", \.reader.shortcuts,
        .set([("all", Set(ReaderShortcut.allCases))], or: .list(of: .choice, atLeast: 0)), default: "all",
        reload: .live,
        "What spares a full walk: `empty` (sockstat says that nothing is in use), `listeners` (that nothing but listeners is), `known` "
          + "(that nothing else is but listeners and connections known from the last walk, which are asked for one by one), `filter` (the kernel leaves out what `filter` drops)."
      ),
      Setting(
        "pools.receive_buffers", \.pools.receiveBuffers, .integer(1...4096), default: "16", reload: .pipeline,
        "Buffers of 32 KiB for what the kernel answers."),
      Setting(
        "pools.batches", \.pools.batches, .integer(1...4096), default: "4", reload: .pipeline,
        "Batches being encoded or written, each of `batch.bytes`."),
      Setting(
        "pools.known_sockets", \.pools.knownSockets, .integer(0...4_194_304), default: "32768", reload: .pipeline,
        "Connections remembered from poll to poll, so that they can be asked for without a walk: 24 bytes each, of IPv6 48, which count "
          + "twice; in pieces of ten, at least one a namespace."),
      Setting(
        "batch.rows", \.batch.rows, .integer(1...1_000_000), default: "10000", reload: .live, "Rows in a full batch."),
      Setting(
        "batch.bytes", \.batch.bytes, .size(64 << 10...64 << 20), default: "768KiB", reload: .live,
        "Encoded bytes in a full batch, with what frames them."),
      Setting(
        "batch.max_age", \.batch.maxAge, .duration(.zero ... .seconds(3600)), default: "0s", reload: .live,
        "Age of the first row in a full batch; `0s`: the end of a poll flushes."),
      Setting(
        "queue.bytes", \.queue.bytes, .size(64 << 10...1 << 40), default: "16MiB", reload: .live,
        "Bytes that may wait for one sink."),
      Setting(
        "queue.reserve", \.queue.reserve, .auto(or: .size(0...1 << 40)), default: "auto", reload: .live,
        "Bytes of the queue that are set aside of `resources.memory`; `auto` is two batches. What is beyond is shared by all "
          + "queues."),
      Setting(
        "queue.when_full", \.queue.whenFull, .choice, default: "drop_oldest", reload: .live,
        "`drop_oldest`, `drop_newest`, `block` (the pipeline's dumps wait, for all its sinks), or `spill`: to files in `data_dir`, "
          + "which are sent later, also after a restart."),
      Setting(
        "queue.spill_bytes", \.queue.spillBytes, .size(1 << 20...1 << 50), default: "1GiB", reload: .live,
        "Bytes of those files for one sink; beyond that the oldest are removed, and counted as `queue_full`."),
      Setting(
        "retry.initial", \.retry.initial, .duration(.milliseconds(1) ... .seconds(3600)), default: "500ms",
        reload: .live, "The longest first wait."),
      Setting(
        "retry.max", \.retry.max, .duration(.milliseconds(1) ... .seconds(86_400)), default: "30s", reload: .live,
        "The longest wait."),
      Setting(
        "retry.give_up_after", \.retry.giveUpAfter, .duration(.zero ... .seconds(604_800)), default: "5m",
        reload: .live, "A batch that has been tried for so long is dropped, and counted."),
      Setting(
        "filter.states", \.filter.states,
        .set([("all", Set(StateName.allCases))], or: .oneOrMore(of: .choice, atLeast: 1), isScalarTaken: true),
        default: "all", reload: .live, "The TCP states that are kept."),
      Setting(
        "filter.source", \.filter.terms.source, .oneOrMore(of: .addressPrefix), default: "[]", reload: .live,
        "Keeps sockets whose local address is in one of these networks; `[]`: any."),
      Setting(
        "filter.destination", \.filter.terms.destination, .oneOrMore(of: .addressPrefix), default: "[]", reload: .live,
        "Keeps sockets whose peer is in one of these networks; `[]`: any."),
      Setting(
        "filter.source_port", \.filter.terms.sourcePort, .oneOrMore(of: .portRange), default: "[]", reload: .live,
        "Keeps sockets with one of these local ports; `[]`: any."),
      Setting(
        "filter.destination_port", \.filter.terms.destinationPort, .oneOrMore(of: .portRange), default: "[]",
        reload: .live, "Keeps sockets whose peer has one of these ports; `[]`: any. A listener's is 0."),
      Setting(
        "filter.interface", \.filter.terms.interface, .oneOrMore(of: .interface), default: "[]", reload: .live,
        "Keeps sockets that are bound to one of these interfaces, by name (in each namespace its own) or index; `[]`: any."
      ),
      Setting(
        "filter.mark", \.filter.terms.mark, .oneOrMore(of: .mark), default: "[]", reload: .live,
        "Keeps sockets with one of these marks (`0x10`, `0x10/0xff`); `[]`: any. The kernel tells marks to CAP_NET_ADMIN, and none of "
          + "TIME_WAIT and SYN_RECV."),
      Setting(
        "filter.cgroup", \.filter.terms.cgroup, .oneOrMore(of: .cgroup), default: "[]", reload: .live,
        "Keeps sockets made in one of these control groups (version 2, exactly this one), by path or number; `[]`: any."
      ),
      Setting(
        "filter.not.states", \.filter.not.states, .set(of: .oneOrMore(of: .choice)), default: "[]", reload: .live,
        "Drops sockets in one of these states."),
      Setting(
        "filter.not.source", \.filter.not.terms.source, .oneOrMore(of: .addressPrefix), default: "[]", reload: .live,
        "Drops sockets whose local address is in one of these networks."),
      Setting(
        "filter.not.destination", \.filter.not.terms.destination, .oneOrMore(of: .addressPrefix), default: "[]",
        reload: .live, "Drops sockets whose peer is in one of these networks."),
      Setting(
        "filter.not.source_port", \.filter.not.terms.sourcePort, .oneOrMore(of: .portRange), default: "[]",
        reload: .live, "Drops sockets with one of these local ports."),
      Setting(
        "filter.not.destination_port", \.filter.not.terms.destinationPort, .oneOrMore(of: .portRange), default: "[]",
        reload: .live, "Drops sockets whose peer has one of these ports."),
      Setting(
        "filter.not.interface", \.filter.not.terms.interface, .oneOrMore(of: .interface), default: "[]", reload: .live,
        "Drops sockets that are bound to one of these interfaces; index 0 is none."),
      Setting(
        "filter.not.mark", \.filter.not.terms.mark, .oneOrMore(of: .mark), default: "[]", reload: .live,
        "Drops sockets with one of these marks."),
      Setting(
        "filter.not.cgroup", \.filter.not.terms.cgroup, .oneOrMore(of: .cgroup), default: "[]", reload: .live,
        "Drops sockets made in one of these control groups."),
      Setting(
        "sample.every", \.sampleEvery, .integer(1...1_000_000), default: "1", reload: .live,
        "Keeps one of this many sockets, chosen by a hash of the cookie: a socket that is kept stays kept."),
      Setting(
        "namespaces.include", \.namespaces.include, .list(of: .namespaceSelector, atLeast: 1), default: "[all]",
        reload: .pipeline, "The namespaces to read."),
      Setting(
        "namespaces.exclude", \.namespaces.exclude, .list(of: .namespaceSelector, atLeast: 0), default: "[]",
        reload: .pipeline, "The namespaces to leave out of those."),
      Setting(
        "sinks", \.sinks, .sinks, otherwise: "an error: a pipeline needs a sink", reload: .pipeline,
        "Where rows go, by name: `{}` for a sink of the section `sinks`, with settings to change some of them; or a sink "
          + "of the pipeline's own, with a `type`."),
    ])

  /// Where in a file a key stands that was written elsewhere; the least deep place if there are several.
  static func path(endingIn key: String) -> String? { everyPath.first { $0.hasSuffix(".\(key)") } }

  /// Every setting's path in a file but those of sinks, which depend on the type; least deep first.
  private static let everyPath: [String] = {
    let paths = pipeline.paths.map { "defaults.\($0)" } + global.paths.map { "global.\($0)" }
    let depths = paths.map { path in path.count { $0 == "." } }
    return zip(paths, depths).enumerated().sorted { ($0.element.1, $0.offset) < ($1.element.1, $1.offset) }
      .map(\.element.0)
  }()
}
