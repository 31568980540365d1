import IO

/// What every sink that writes to a descriptor needs of its pipeline.
public struct SinkOutput {
  let port: any Port
  /// What completions of this sink's operations carry.
  let owner: UInt32
  /// What an output begins with: the names of CSV columns; empty for most formats.
  let header: [UInt8]
  let queue: QueuePolicy
  let retry: RetryPolicy
  let budget: MemoryBudget
  /// Batches that may wait before the queue needs memory for more places.
  let capacity: Int
  /// How long, in nanoseconds, the sink may hold encoding up from one moment at which nothing waits to the next, although its
  /// policy is to drop: a burst of rows is written slower than it is encoded, and yet nothing is wrong with the output.
  let patience: Int64
  /// Another sink will leave its queue: nothing is written before `Sink.inherit` or `Sink.proceed`.
  public let awaitsEstate: Bool
  /// Makes the sink's loop call `Sink.resume` soon; called from any thread.
  let wake: @Sendable () -> Void

  public init(
    port: any Port, owner: UInt32, header: [UInt8], queue: QueuePolicy, retry: RetryPolicy, budget: MemoryBudget,
    capacity: Int = 4, patience: Int64 = 0, awaitsEstate: Bool = false, wake: @escaping @Sendable () -> Void = {}
  ) {
    self.port = port
    self.owner = owner
    self.header = header
    self.queue = queue
    self.retry = retry
    self.budget = budget
    self.capacity = capacity
    self.patience = patience
    self.awaitsEstate = awaitsEstate
    self.wake = wake
  }
}
