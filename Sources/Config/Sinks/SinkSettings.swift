/// One sink of one pipeline with its effective settings: built-in, then `sinks`, then the pipeline's own.
public struct SinkSettings: Sendable, Equatable {
  /// The key under `sinks`: 1 to 64 of `A-Za-z0-9_.-`.
  public var name: String
  /// What the sink is, with what only that type of sink has.
  public var kind: SinkKind
  /// How rows are encoded.
  public var format = FormatName.jsonl
  /// The columns in the order they are written, for formats that have columns; nil means all.
  public var columns: [String]?
  /// What waits for the sink.
  public var queue = QueueSettings()
  /// How it is tried again when it fails.
  public var retry = RetrySettings()
  /// What a destination that cannot be reached at the start means.
  public var healthcheck = HealthcheckChoice.warn
  /// How much of its queue goes together, for types that gather.
  public var gather = GatherSettings()
  /// How its connection is secured, for types that have one.
  public var tls = TLSSettings()
  /// How long its server may take, for types that send requests.
  public var timeouts = HTTPTimeouts()
  /// A disabled sink is checked but does not reach `PipelineSettings.sinks`.
  var isEnabled = true

  /// A sink of the given kind with the built-in queue and retries; without columns it writes all.
  public init(name: String, kind: SinkKind, format: FormatName = .jsonl, columns: [String]? = nil) {
    self.init(blank: name, kind: kind)
    self.format = format
    self.columns = columns
    queue = Self.builtInDelivery.queue
    retry = Self.builtInDelivery.retry
  }

  /// Writes may go to a regular file, for which the ring needs a worker.
  public var writesFiles: Bool { kind.traits.writesFiles || (kind.traits.hasQueue && queue.whenFull == .spill) }

  /// How its rows are encoded: a file of columns is made of protobuf.
  public var encoding: (format: FormatName, columns: [String]?) {
    format == .parquet ? (.protobufList, nil) : (format, columns)
  }

  init(blank name: String, kind: SinkKind) {
    self.name = name
    self.kind = kind
  }

  private static let builtInDelivery = PipelineSettings(name: "")
}

/// How much of a queue goes to the destination together: whichever limit is reached first.
public struct GatherSettings: Sendable, Equatable {
  /// Bytes of encoded rows; 0: the type does not gather.
  public var bytes = 0
  public var rows = 0
  /// Since the first batch was full.
  public var maxAge = Duration.zero

  public init() {}
}

/// What a destination that cannot be reached at the start means.
public enum HealthcheckChoice: String, CaseIterable, Sendable {
  /// Nothing is found out.
  case none
  /// A line of the log.
  case warn
  /// The start, or the reload, is refused.
  case require
}

/// What a sink is, with what only that type of sink has.
public enum SinkKind: Sendable, Equatable {
  case stdout
  case stderr
  case file(FileSinkSettings)
  case udp(DatagramSinkSettings)
  case unixgram(DatagramSinkSettings)
  case tcp(StreamSinkSettings)
  case unix(StreamSinkSettings)
  case http(HTTPSinkSettings)
  case clickHouse(ClickHouseSinkSettings)
  case s3(S3SinkSettings)
  case kafka(KafkaSinkSettings)
  case nats(NatsSinkSettings)
  case valkey(ValkeySinkSettings)
  case nsq(NsqSinkSettings)
  /// Counts and discards.
  case blackhole

  /// What others than the sink itself have to know of it.
  public var traits: SinkTraits {
    switch self {
    case .stdout: SinkTraits(destination: "standard output", isStream: true, writesFiles: true)
    case .stderr: SinkTraits(destination: "standard error", isStream: true, writesFiles: true)
    case .file(let settings): settings.traits
    case .udp(let settings), .unixgram(let settings): settings.traits
    case .tcp(let settings), .unix(let settings): settings.traits
    case .http(let settings): settings.traits
    case .clickHouse(let settings): settings.traits
    case .s3(let settings): settings.traits
    case .kafka(let settings): settings.traits
    case .nats(let settings): settings.traits
    case .valkey(let settings): settings.traits
    case .nsq(let settings): settings.traits
    case .blackhole: SinkTraits(hasQueue: false)
    }
  }
}

/// What admission, the rules between settings and those who build pipelines have to know of a sink.
public struct SinkTraits: Sendable, Equatable {
  /// What sinks that write to one place have in common; nil for a place that nobody reads.
  public var destination: String?
  /// The setting in which the place stands, for messages.
  public var destinationKey = "path"
  /// Sinks of several pipelines may well send to it: that their formats agree is all that matters.
  public var sharesDestination = false
  /// Nothing keeps the writes of two sinks to this place apart.
  public var isStream = false
  /// Rows may have to wait for it.
  public var hasQueue = true
  /// Writes may go to a regular file, for which the ring needs a worker.
  public var writesFiles = false
  /// It sends rows one by one or in small groups, and has to know where each ends.
  public var marksRows = false
  /// Operations of the port at most in flight at once.
  public var operations = 1
  /// It sends rows as datagrams of at most so many bytes; 0: it does not.
  public var datagramBytes = 0
  /// Descriptors at most open at once.
  public var descriptors = 0
  /// The client library that it goes through.
  public var library: LibraryDemand?

  public init(
    destination: String? = nil, isStream: Bool = false, hasQueue: Bool = true, writesFiles: Bool = false
  ) {
    self.destination = destination
    self.isStream = isStream
    self.hasQueue = hasQueue
    self.writesFiles = writesFiles
  }
}

extension SinkTraits {
  /// Of a sink that keeps a connection of its own on the ring.
  ///
  /// - Parameter address: an empty one for a Unix socket.
  static func connection(_ destination: String, key: String, to address: ServerAddress) -> SinkTraits {
    var traits = SinkTraits(destination: destination)
    traits.destinationKey = key
    // What connects, sends and receives, and the same of the connection before it.
    traits.operations = 6
    traits.descriptors = 2
    traits.sharesDestination = true
    traits.library = address.resolver
    return traits
  }
}

extension SinkSettings {
  /// The client that the sink goes through, if it is one of a library.
  public var libraryDemand: LibraryDemand? {
    guard var demand = kind.traits.library else { return nil }
    demand.client += tls.identity
    return demand
  }
}

/// What a client of a library takes; sinks with an equal `client` share one.
public struct LibraryDemand: Sendable, Equatable {
  /// Names the client by all its connection settings. Holds secrets: never shown.
  public var client: String
  /// The library's name, for messages.
  public var library: String
  /// Threads that it starts at least.
  public var threads: Int
  /// Threads that the library starts beside, whatever the number of its clients.
  public var sharedThreads = 0
  /// Descriptors that it has open.
  public var descriptors = 0

  public init(client: String, library: String, threads: Int, sharedThreads: Int = 0) {
    self.client = client
    self.library = library
    self.threads = threads
    self.sharedThreads = sharedThreads
  }
}
