/// Everything a configuration file says, typed, checked and with every default filled in.
///
/// The stored properties below start out blank; each default stands once, in `SettingsList`, and is read from there.
public struct Settings: Sendable, Equatable {
  /// The version of the file's format; 1 is the only one.
  public var version = 0
  /// What belongs to the process rather than to one pipeline.
  public var global = GlobalSettings.blank
  /// The enabled pipelines in the order of the file, at least one.
  public var pipelines: [PipelineSettings] = []

  /// Settings that come from no file, such as those of `xtcpd snapshot`.
  public init(global: GlobalSettings, pipelines: [PipelineSettings]) {
    version = 1
    self.global = global
    self.pipelines = pipelines
  }

  /// Nothing yet, to be read into.
  init() {}
}

/// What belongs to the process rather than to one pipeline.
public struct GlobalSettings: Sendable, Equatable {
  /// Column `hostname` of every row; nil means `auto`: the UTS name of PID 1.
  public var hostname: String?
  /// Column `location` of every row.
  public var location = ""
  /// Column `label` of every row of a pipeline that sets none of its own.
  public var label = ""
  /// Column `tag` of every row of a pipeline that sets none of its own.
  public var tag = ""
  /// Directory for what is kept over a restart.
  public var dataDir = ""
  /// What the process may use.
  public var resources = ResourceSettings()
  /// How network namespaces are found.
  public var discovery = DiscoverySettings()
  /// Where the kernel's file systems are mounted.
  public var paths = PathSettings()
  /// How another configuration is taken over.
  public var reload = ReloadSettings()
  /// The control socket.
  public var control = ControlSettings()
  /// The HTTP server of the metrics.
  public var metrics = MetricsSettings()
  /// What is logged, and how.
  public var log = LogSettings()

  static let blank = GlobalSettings(unset: ())

  private init(unset: Void) {}

  /// The settings of a file that says nothing in its `global` section.
  public init() {
    self = Self.blank
    SettingsList.global.readDefaults(into: &self)
  }
}

/// What the process may use.
public struct ResourceSettings: Sendable, Equatable {
  /// Threads of the process; nil means `auto`.
  public var threads: Int?
  /// Event loops; nil means `auto`.
  public var loops: Int?
  /// The CPUs that loops run on; empty: all that the process may use.
  public var cpus: [Int] = []
  /// Threads that client libraries may start.
  public var libraryThreads = 0
  /// Bytes of all pools and queues.
  public var memory = 0
}

/// How another configuration is taken over.
public struct ReloadSettings: Sendable, Equatable {
  public var watch = false
  /// Nothing that is younger is read.
  public var settle = Duration.zero
  /// How long what goes may take to deliver what it has.
  public var drainTimeout = Duration.zero
  public var bootFallback = BootFallback.none
}

/// The control socket.
public struct ControlSettings: Sendable, Equatable {
  /// An absolute path; nil: none.
  public var socket: String?
  public var group = ""
  public var mode: UInt32 = 0
}

/// The HTTP server of the metrics.
public struct MetricsSettings: Sendable, Equatable {
  /// Nil: none.
  public var listen: ListenAddress?
}

/// How network namespaces are found.
public struct DiscoverySettings: Sendable, Equatable {
  /// Time between two scans of /proc.
  public var interval = Duration.zero
  /// Namespaces beyond this number are not read.
  public var maxNamespaces = 0
}

/// Where the kernel's file systems are mounted. All paths are absolute.
public struct PathSettings: Sendable, Equatable {
  /// The proc file system whose processes are scanned.
  public var proc = ""
  /// Directories whose mounts name namespaces, the first one wins.
  public var netns: [String] = []
  /// Where the cgroup hierarchy is mounted.
  public var cgroup = ""
}

/// What is logged, and how.
public struct LogSettings: Sendable, Equatable {
  public var level = LogLevel.info
  public var format = LogFormat.text
}

/// One pipeline with its effective settings: built-in, then `defaults`, then its own.
public struct PipelineSettings: Sendable, Equatable {
  /// The key under `pipelines`: 1 to 64 of `A-Za-z0-9_.-`.
  public var name: String
  /// Time from one poll to the next.
  public var interval = Duration.zero
  /// The timeout of a namespace's dump as set; nil means `auto`.
  public var explicitTimeout: Duration?
  /// Where in time the polls lie.
  public var align = Alignment.spread
  /// Column `label` of every row.
  public var label = ""
  /// Column `tag` of every row.
  public var tag = ""
  /// The kernel attributes asked for.
  public var attributes: Set<AttributeName> = []
  /// How sockets are read.
  public var reader = ReaderSettings()
  /// How many buffers of each kind the pipeline owns.
  public var pools = PoolSettings()
  /// When a batch is full.
  public var batch = BatchSettings()
  /// What waits for each sink, unless the sink says otherwise.
  public var queue = QueueSettings()
  /// How a failing sink is tried again, unless the sink says otherwise.
  public var retry = RetrySettings()
  /// Which sockets are kept.
  public var filter = FilterSettings()
  /// One of this many sockets is kept, chosen by cookie; 1 keeps all.
  public var sampleEvery = 0
  /// The namespaces that are read.
  public var namespaces = NamespaceSelection()
  /// Where rows go; at least one.
  public var sinks: [SinkSettings] = []
  /// A disabled pipeline is checked but does not reach `Settings.pipelines`.
  var isEnabled = true

  /// How long the dump of one namespace may take; `auto` is 80% of the interval, at most 5 s.
  public var timeout: Duration { explicitTimeout ?? min(.seconds(5), interval * 8 / 10) }

  /// The pipeline that a file gets by naming it and saying nothing else, its sinks excepted: it has none.
  public init(name: String) {
    self.name = name
    SettingsList.pipeline.readDefaults(into: &self)
  }

  init(blank name: String) { self.name = name }
}

/// How sockets are read.
public struct ReaderSettings: Sendable, Equatable {
  public var mode = ReaderMode.auto
  /// Dumps at once on more than one core.
  public var parallelism = 0
  /// Receives in flight at once, one for each namespace being dumped; never above `PoolSettings.receiveBuffers`.
  public var recvBatch = 0
  /// Completions reaped from the ring at a time.
  public var cqeBatch = 0
  /// Every so many polls a namespace is read by a walk of all tables.
  public var fullWalkEvery = 0
  /// What may be done in place of that in between.
  public var shortcuts: Set<ReaderShortcut> = []
}

/// How many buffers of each kind a pipeline owns.
public struct PoolSettings: Sendable, Equatable {
  /// Buffers of 32 KiB that datagrams of the kernel are received into.
  public var receiveBuffers = 0
  /// Batches being encoded or written.
  public var batches = 0
  /// Connections remembered from poll to poll.
  public var knownSockets = 0
}

/// When a batch is full: whichever limit is reached first.
public struct BatchSettings: Sendable, Equatable {
  public var rows = 0
  /// Bytes of encoded rows.
  public var bytes = 0
  /// Time since the first row; zero: the end of a poll flushes.
  public var maxAge = Duration.zero
}

/// What waits for a sink.
public struct QueueSettings: Sendable, Equatable {
  /// Bytes that may wait.
  public var bytes = 0
  /// Bytes of those that are set aside; nil means `auto`: two batches.
  public var reserve: Int?
  public var whenFull = WhenFull.dropOldest
  /// Bytes that may be on disk.
  public var spillBytes = 0

  public init() {}
}

/// How a sink that fails is tried again.
public struct RetrySettings: Sendable, Equatable {
  /// The longest first wait.
  public var initial = Duration.zero
  /// The longest wait.
  public var max = Duration.zero
  /// A batch that has been tried for so long is dropped.
  public var giveUpAfter = Duration.zero

  public init() {}
}
