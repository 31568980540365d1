/// What the pools, the port and the files of one pipeline take, as those who build them say.
public struct PipelineFootprint: Sendable, Equatable {
  /// Bytes of `receive_buffers`, `batches`, `dumps`, `operations` and of the ring.
  public var pools: Int
  /// Bytes of those that the kernel may count against RLIMIT_MEMLOCK.
  public var lockedMemory: Int
  /// Descriptors at most at once.
  public var descriptors: Int

  public init(pools: Int, lockedMemory: Int, descriptors: Int) {
    self.pools = pools
    self.lockedMemory = lockedMemory
    self.descriptors = descriptors
  }
}

/// The numbers that admission needs of the modules that do the work. This module knows none of them, so that each stands
/// where the memory is allocated and nowhere else.
public struct DemandModel: Sendable {
  /// What a pipeline takes; the flag says whether it may use a ring here.
  public var footprint: @Sendable (_ pipeline: PipelineSettings, _ mayUseRing: Bool) -> PipelineFootprint
  /// Descriptors of the process beside loops and pipelines.
  public var processDescriptors: Int
  /// Descriptors of a loop beside its pipelines.
  public var loopDescriptors: Int

  public init(
    processDescriptors: Int, loopDescriptors: Int,
    footprint: @escaping @Sendable (_ pipeline: PipelineSettings, _ mayUseRing: Bool) -> PipelineFootprint
  ) {
    self.processDescriptors = processDescriptors
    self.loopDescriptors = loopDescriptors
    self.footprint = footprint
  }
}

/// What one pipeline asks for.
public struct Demand: Sendable, Equatable {
  public let pipeline: String
  /// Threads beside its loop: dumps at once beyond the first.
  public let readers: Int
  /// Its loop needs a worker of the kernel: the ring hands buffered writes to one.
  public let needsFileWorker: Bool
  public let footprint: PipelineFootprint
  /// Bytes that are set aside for the queues of its sinks.
  public let queueReserve: Int

  public init(_ pipeline: PipelineSettings, on capacity: HostCapacity, _ model: DemandModel) {
    let mayUseRing = pipeline.mayUseRing(on: capacity)
    self.pipeline = pipeline.name
    readers = max(0, pipeline.reader.parallelism - 1)
    needsFileWorker = mayUseRing && pipeline.sinks.contains(where: \.writesFiles)
    footprint = model.footprint(pipeline, mayUseRing)
    queueReserve = pipeline.sinks.reduce(0) { $0 + pipeline.queueReserve(of: $1) }
  }

  /// A demand from elsewhere, for tests.
  init(pipeline: String, readers: Int, needsFileWorker: Bool, footprint: PipelineFootprint, queueReserve: Int) {
    self.pipeline = pipeline
    self.readers = readers
    self.needsFileWorker = needsFileWorker
    self.footprint = footprint
    self.queueReserve = queueReserve
  }
}

extension PipelineSettings {
  /// Whether the pipeline gets a ring on such a machine, if nothing goes wrong.
  func mayUseRing(on capacity: HostCapacity) -> Bool {
    switch reader.mode {
    case .ioUring: true
    case .auto: capacity.ioUring != false
    case .syscall: false
    }
  }

  /// What queued batches are rounded up to: `BatchCopy.unit`.
  public static let queueUnit = 64 << 10

  /// Bytes that are set aside for the queue of one of its sinks, and that this queue opens its account with: `queue.reserve`, or
  /// two full batches, in units of 64 KiB; never more than `queue.bytes`. 0 if it has no queue.
  public func queueReserve(of sink: SinkSettings) -> Int {
    guard sink.kind.traits.hasQueue else { return 0 }
    let reserve = Self.roundedUp(sink.queue.reserve ?? 2 * batch.bytes)
    return sink.queue.bytes > 0 ? min(reserve, Self.roundedUp(sink.queue.bytes)) : reserve
  }

  private static func roundedUp(_ bytes: Int) -> Int { (bytes + queueUnit - 1) / queueUnit * queueUnit }
}
