import IO

/// Discards every batch and counts it as delivered: for measuring the collector, and for trying a configuration out.
public final class BlackholeSink: Sink {
  public let name: String
  public private(set) var tally = SinkTally()
  public let state = SinkState.up
  public let isIdle = true

  public init(name: String) { self.name = name }

  public func accept(_ batch: consuming SharedLease<Batch>) {
    let rows = UInt64(batch.value.rows)
    tally.accepted += rows
    tally.delivered += rows
    tally.bytes += UInt64(batch.value.end - batch.value.start)
  }

  public func handle(_ completion: consuming Completion) {}
  public func resume() {}
  public func abandon() {}
}
