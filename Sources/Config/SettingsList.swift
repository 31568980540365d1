/// The one list of settings. The reader, the defaults, the suggestions, docs/configuration.md and
/// schema/config.schema.json are all made of it: a new setting is one entry here and one stored property.
enum SettingsList {
  /// The sections of a file.
  enum Section: String, CaseIterable {
    case version, global, defaults, sinks, pipelines

    var doc: String {
      switch self {
      case .version: "Version of the file format, always 1."
      case .global: "What belongs to the process rather than to one pipeline."
      case .defaults: "What every pipeline takes over unless it says otherwise; any setting of a pipeline."
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
      ("discovery", "How network namespaces are found."),
      ("paths", "Where the kernel's file systems are mounted."),
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
        "discovery.interval", \.discovery.interval, .duration(.milliseconds(100) ... .seconds(3600)), default: "10s",
        reload: .live, "Time between two scans of /proc for network namespaces."),
      Setting(
        "discovery.max_namespaces", \.discovery.maxNamespaces, .integer(1...65_536), default: "4096", reload: .live,
        "Namespaces beyond this number are counted but not read."),
      Setting(
        "paths.proc", \.paths.proc, .path, default: "/proc", reload: .process,
        "The proc file system to scan; in a container, where the host's is mounted."),
      Setting(
        "paths.netns", \.paths.netns, .list(of: .path, atLeast: 0), default: "[/run/netns, /run/docker/netns]",
        reload: .process, "Directories whose mounts give namespaces their names."),
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
      ("filter", "Which sockets are kept."),
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
        "reader.recv_batch", \.reader.recvBatch, .integer(1...4096), default: "8", reload: .pipeline,
        "Receives in flight at once, one for each namespace being dumped; at most `pools.receive_buffers`."),
      Setting(
        "reader.cqe_batch", \.reader.cqeBatch, .integer(1...4096), default: "128", reload: .live,
        "Completions reaped from the ring at a time."),
      Setting(
        "pools.receive_buffers", \.pools.receiveBuffers, .integer(1...4096), default: "16", reload: .pipeline,
        "Buffers of 32 KiB for what the kernel answers."),
      Setting(
        "pools.batches", \.pools.batches, .integer(1...4096), default: "4", reload: .pipeline,
        "Batches being encoded or written, each of `batch.bytes`."),
      Setting(
        "batch.rows", \.batch.rows, .integer(1...1_000_000), default: "10000", reload: .live, "Rows in a full batch."),
      Setting(
        "batch.bytes", \.batch.bytes, .size(64 << 10...64 << 20), default: "768KiB", reload: .live,
        "Encoded bytes in a full batch."),
      Setting(
        "batch.max_age", \.batch.maxAge, .duration(.zero ... .seconds(3600)), default: "0s", reload: .live,
        "Age of the first row in a full batch; `0s`: the end of a poll flushes."),
      Setting(
        "filter.states", \.states, .set([("all", Set(StateName.allCases))], or: .list(of: .choice, atLeast: 1)),
        default: "all", reload: .live, "The TCP states that are kept."),
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
