import Config
import IO
import Records
import Sinks

/// What one pipeline needs, in the terms of the modules that do the work. Made from settings; starts nothing.
struct PipelinePlan: Sendable {
  let name: String
  /// Nanoseconds.
  let interval: Int64
  let timeout: Int64
  let alignment: PollSchedule.Alignment
  /// The number of polls after which the pipeline stops by itself; nil: it runs until it is stopped.
  let pollLimit: UInt64?
  let mode: PortChoice
  /// Threads that perform dumps beside the loop: `reader.parallelism` less one.
  let readers: Int
  let recvBatch: Int
  let cqeBatch: Int
  let receiveBuffers: Int
  /// Connections remembered from poll to poll.
  let knownSockets: Int
  let batches: Int
  /// Bytes of memory of one batch: its rows, what may come before them and what may come after. So a full one is never charged
  /// more than its size says when it is copied.
  let batchBytes: Int
  let batchRows: Int
  /// Nanoseconds; 0: the end of a poll flushes.
  let batchMaxAge: Int64
  let attributes: AttributeSelection
  let selection: RowSelection
  let walks: WalkChoice
  /// What of the filter the kernel evaluates; nothing, if it is not to.
  let kernelFilter: KernelFilter
  private let usesKernelFilter: Bool
  let lookup: FilterLookup
  let namespaces: NamespaceSelection
  /// Those of the other pipelines, for `rest`.
  let otherNamespaces: [NamespaceSelection]
  let identity: PipelineIdentity
  let host: HostIdentity
  /// Distinct ways of encoding a row. A batch is encoded once for all sinks that share one.
  let encodings: [EncodingPlan]
  let sinks: [SinkPlan]

  /// How rows are encoded for one or more sinks.
  struct EncodingPlan: Equatable, Sendable {
    let format: RecordFormat
    let columns: [String]?
  }

  /// A sink and the index of its encoding.
  struct SinkPlan: Sendable {
    let name: String
    let kind: SinkKind
    let encoding: Int
    let queue: QueuePolicy
    let retry: RetryPolicy
    let healthcheck: HealthcheckChoice
    /// Nil: batches go one by one.
    let gather: GatherPolicy?
    /// Where its queue may spill.
    let spool: SpoolPlace?
    /// What its batches become as a whole; nil: they go as they are.
    let object: ObjectPlan?
    let tls: TLSSettings
    let timeouts: HTTPTimeouts
    /// Names the client that it shares; empty: it has none.
    let client: String

    /// Those of the destination, and one each to write to disk and to read from it.
    var operations: Int { kind.traits.operations + (kind.traits.hasQueue ? 2 : 0) }
    var descriptors: Int { kind.traits.descriptors + (kind.traits.hasQueue ? 2 : 0) }
  }

  /// How a sink makes files or objects of columns.
  struct ObjectPlan: Equatable, Sendable {
    let columns: [String]?
  }

  /// - Parameters:
  ///   - host: what rows say of this host; its name spreads polls over a fleet.
  ///   - pipelines: all enabled ones, for `rest`.
  ///   - dataDir: where queues may spill; nil: nowhere.
  ///   - cgroupRoot: where control groups are mounted.
  init(
    _ settings: PipelineSettings, among pipelines: [PipelineSettings] = [], host: HostIdentity, dataDir: String? = nil,
    cgroupRoot: String = "/sys/fs/cgroup", _ options: RunOptions
  ) {
    self.host = host
    name = settings.name
    interval = settings.interval.nanoseconds
    timeout = settings.timeout.nanoseconds
    alignment =
      switch settings.align {
      case .none: .none
      case .wallclock: .wall(offset: 0)
      case .spread: .spread(hostname: host.hostname, pipeline: settings.name, interval: settings.interval.nanoseconds)
      }
    pollLimit = options.pollLimit
    mode = PortChoice(settings.reader.mode)
    readers = settings.reader.parallelism - 1
    recvBatch = settings.reader.recvBatch
    cqeBatch = settings.reader.cqeBatch
    receiveBuffers = settings.pools.receiveBuffers
    knownSockets = settings.pools.knownSockets
    batches = settings.pools.batches
    batchBytes = settings.batch.bytes
    batchRows = settings.batch.rows
    batchMaxAge = settings.batch.maxAge.nanoseconds
    attributes = AttributeSelection(settings.attributes)
    selection = RowSelection(
      states: SocketStates(settings.filter.keptStates), filter: RowFilter(settings.filter),
      sampleEvery: UInt32(settings.sampleEvery), attributes: attributes)
    usesKernelFilter = settings.reader.shortcuts.contains(.filter)
    kernelFilter = usesKernelFilter ? KernelFilter(selection.filter, states: selection.states) : .none
    walks = WalkChoice(settings.reader, states: selection.states, isFiltered: !kernelFilter.isEmpty)
    lookup = FilterLookup(selection.filter, cgroupRoot: cgroupRoot)
    namespaces = settings.namespaces
    otherNamespaces = pipelines.filter { $0.name != settings.name }.map(\.namespaces)
    identity = PipelineIdentity(
      name: settings.name, label: settings.label, tag: settings.tag, sampleEvery: UInt32(settings.sampleEvery))

    var encodings: [EncodingPlan] = []
    sinks = settings.sinks.map { sink in
      let encoding = sink.encoding
      let plan = EncodingPlan(
        format: options.asTable ? .table : RecordFormat(encoding.format), columns: encoding.columns)
      let index = encodings.firstIndex(of: plan) ?? encodings.count
      if index == encodings.count { encodings.append(plan) }
      return SinkPlan(
        name: sink.name, kind: sink.kind, encoding: index,
        queue: QueuePolicy(sink.queue, reserve: settings.queueReserve(of: sink)),
        retry: RetryPolicy(sink.retry), healthcheck: sink.healthcheck, gather: GatherPolicy(sink.gather),
        spool: SpoolPlace(sink, of: settings.name, plan, dataDir: dataDir),
        object: sink.format == .parquet ? ObjectPlan(columns: sink.columns) : nil, tls: sink.tls,
        timeouts: sink.timeouts, client: sink.libraryDemand?.client ?? "")
    }
    self.encodings = encodings
  }

  /// Dumps at once: of this thread, and of the readers.
  var dumps: Int { recvBatch + readers * DumpReaders.dumpsPerReader }

  /// Operations in flight at once: a send and a receive for each dump, what each sink needs, and timers (one armed, one that is
  /// being cancelled for it, with room for the completion of a third), and the watch on readers.
  var operations: Int { 2 * dumps + sinks.reduce(0) { $0 + $1.operations } + 3 + (readers > 0 ? 1 : 0) }

  var filterExplanation: FilterExplanation {
    let filter = selection.filter
    let program = kernelFilter.program.listing(names: (filter?.interfaceNames ?? []) + (filter?.cgroupPaths ?? []))
    return FilterExplanation(
      pipeline: name, states: selection.states.rawValue, stateNames: selection.states.names,
      sourcePort: kernelFilter.sourcePort, destinationPort: kernelFilter.destinationPort, program: program,
      inUserSpace: usesKernelFilter ? kernelFilter.leftOut : filter?.keys ?? [])
  }

  /// It must not run while some destination is not there.
  var requiresHealth: Bool { sinks.contains { $0.healthcheck == .require } }

  /// Some sink tells rows apart, so that batches have marks.
  var marksRows: Bool { sinks.contains { $0.kind.traits.marksRows } }

  /// A sink of this encoding tells rows apart.
  func marksRows(inEncoding index: Int) -> Bool {
    sinks.contains { $0.encoding == index && $0.kind.traits.marksRows }
  }
}

// MARK: Settings in the terms of the modules

extension RecordFormat {
  /// The encoder's format for a configured one; for a file of columns, that of the rows that it is made of.
  public init(_ name: FormatName) {
    switch name {
    case .protobufList, .parquet: self = .protobufList
    case .protobuf: self = .protobuf
    case .jsonl: self = .jsonl
    case .protoJSON: self = .protoJSON
    case .protoText: self = .protoText
    case .csv: self = .csv
    case .tsv: self = .tsv
    case .msgpack: self = .msgpack
    }
  }
}

extension AttributeSelection {
  init(_ names: Set<AttributeName>) {
    self = names.reduce(into: []) { selection, name in selection.insert(AttributeSelection(name)) }
  }

  private init(_ name: AttributeName) {
    switch name {
    case .info: self = .info
    case .cong: self = .cong
    case .skmem: self = .skmem
    case .meminfo: self = .meminfo
    case .vegas: self = .vegas
    case .dctcp: self = .dctcp
    case .bbr: self = .bbr
    case .tos: self = .tos
    case .tclass: self = .tclass
    case .shutdown: self = .shutdown
    case .classID: self = .classID
    case .cgroup: self = .cgroup
    case .sockopt: self = .sockopt
    case .mark: self = .mark
    case .v6only: self = .v6only
    case .ulp: self = .ulp
    }
  }
}

extension QueuePolicy {
  /// - Parameter reserve: what admission has set aside for it.
  init(_ settings: QueueSettings, reserve: Int) {
    let whenFull: WhenFull =
      switch settings.whenFull {
      case .block: .block
      case .dropNewest: .dropNewest
      case .dropOldest: .dropOldest
      case .spill: .spill
      }
    self.init(limit: settings.bytes, reserve: reserve, whenFull: whenFull)
  }
}

extension SpoolPlace {
  /// Of all queues that spill.
  static func parent(dataDir: String) -> String { "\(dataDir)/spill" }

  /// A directory of its own for each pipeline, sink and way of encoding: what was encoded otherwise cannot be sent with the rest.
  init?(
    _ sink: SinkSettings, of pipeline: String, _ encoding: PipelinePlan.EncodingPlan, dataDir: String?
  ) {
    guard let dataDir, sink.kind.traits.hasQueue else { return nil }
    var way = encoding.format.rawValue
    if let columns = encoding.columns {
      let sum = Array(columns.joined(separator: ",").utf8).withUnsafeBytes { Checksum.crc32c($0) }
      way += "-\(String(sum, radix: 16))"
    }
    // Names have no `@` (and may be `..`).
    self.init(
      directory: "\(Self.parent(dataDir: dataDir))/\(pipeline)@\(sink.name)@\(way)", limit: sink.queue.spillBytes)
  }
}

extension GatherPolicy {
  /// Nil for a sink that does not gather.
  init?(_ settings: GatherSettings) {
    guard settings.bytes > 0 else { return nil }
    self.init(bytes: settings.bytes, rows: settings.rows, maxAge: settings.maxAge.nanoseconds)
  }
}

extension RetryPolicy {
  init(_ settings: RetrySettings) {
    self.init(
      initial: settings.initial.nanoseconds, max: settings.max.nanoseconds,
      giveUpAfter: settings.giveUpAfter.nanoseconds)
  }
}

extension SocketStates {
  /// The kernel reports `TCP_NEW_SYN_RECV` as `TCP_SYN_RECV`, so that these eleven names are all there is.
  init(_ names: Set<StateName>) {
    self = names.reduce(into: []) { states, name in states.formUnion(SocketStates(name: name.rawValue) ?? []) }
  }
}

extension WalkChoice {
  /// - Parameter isFiltered: the kernel leaves out what the pipeline's filter drops: then its answers are not all connections, and
  ///   are few anyway.
  init(_ settings: ReaderSettings, states: SocketStates, isFiltered: Bool) {
    self.init(
      sparesEmpty: settings.shortcuts.contains(.empty), sparesConnections: settings.shortcuts.contains(.listeners),
      asksForKnown: settings.shortcuts.contains(.known) && !isFiltered,
      fullWalkEvery: UInt64(settings.fullWalkEvery), states: states)
  }
}

extension RowFilter {
  /// Nil if nothing is asked but states.
  convenience init?(_ settings: FilterSettings) {
    self.init(keep: Terms(settings.terms), drop: Terms(settings.not.terms))
  }
}

extension RowFilter.Terms {
  init(_ terms: FilterTerms) {
    self.init()
    sources = terms.source.map { RowFilter.Prefix(bytes: $0.address.bytes, length: $0.length) }
    destinations = terms.destination.map { RowFilter.Prefix(bytes: $0.address.bytes, length: $0.length) }
    sourcePorts = terms.sourcePort.map { $0.lower...$0.upper }
    destinationPorts = terms.destinationPort.map { $0.lower...$0.upper }
    marks = terms.mark.map { RowFilter.Mark(value: $0.value, mask: $0.mask) }
    interfaces = terms.interface.map { interface in
      switch interface {
      case .index(let index): .known(UInt64(index))
      case .name(let name): .named(name)
      }
    }
    cgroups = terms.cgroup.map { group in
      switch group {
      case .number(let number): .known(number)
      case .path(let path): .named(path)
      }
    }
  }
}

extension PortChoice {
  init(_ mode: ReaderMode) {
    switch mode {
    case .auto: self = .auto
    case .ioUring: self = .ioUring
    case .syscall: self = .syscall
    }
  }
}
