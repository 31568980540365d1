import IO

/// Discards every batch and counts it as delivered: for measuring the collector, and for trying a configuration out.
public final class BlackholeSink: Sink {
  public let name: String
  public private(set) var tally = SinkTally()
  public private(set) var awaitsEstate: Bool
  public private(set) var isReleasing = false
  private var hasLeft = false
  public let state = SinkState.up
  public let queueGauges = QueueGauges()
  public let isIdle = true
  public let nextDeadline: Int64? = nil

  public init(name: String, awaitsEstate: Bool = false) {
    self.name = name
    self.awaitsEstate = awaitsEstate
  }

  public func accept(_ offer: inout BatchOffer) {
    tally.accepted += UInt64(offer.rows)
    tally.delivered += UInt64(offer.rows)
    tally.bytes += UInt64(offer.byteCount)
  }

  public func handle(_ completion: consuming Completion) {}
  public func resume() {}
  public func apply(queue: QueuePolicy, retry: RetryPolicy) {}
  public func reopen() {}
  public func abandon(isStuck: Bool) {}

  public var isReleased: Bool { isReleasing }
  public func beginRelease() { isReleasing = true }
  public func forceRelease() {}

  public func takeEstate() -> SinkEstate? {
    guard isReleasing, !hasLeft else { return nil }
    hasLeft = true
    defer { tally = SinkTally() }
    return SinkEstate(tally: tally, batches: [], account: nil, output: nil)
  }

  public func inherit(_ estate: SinkEstate?) {
    (awaitsEstate, isReleasing, hasLeft) = (false, false, false)
    guard let estate else { return }
    let output = estate.takeOutput()
    output?.takeBack()
    tally += estate.tally
    tally.delivered += estate.rows
    tally.bytes += estate.batches.reduce(0) { $0 + UInt64($1.bytes.count) }
  }
}
