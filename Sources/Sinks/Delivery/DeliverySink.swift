import IO

/// A sink whose destination takes whole batches through an `Outlet`: one shipment is under way, the rest is queued.
///
/// While a shipment fails it is tried again on a schedule, and what comes waits behind it: one probe at a time is all that a destination in
/// trouble sees.
public final class DeliverySink: Sink {
  public let name: String
  private var delivery: Delivery
  private let outlet: any Outlet
  private let gather: GatherPolicy?
  private var shipment = Shipment()
  /// Rows that the outlet has taken and not settled.
  private var takenRows: UInt64 = 0
  private var isProbed: Bool
  /// Nothing more comes: a shipment does not wait to be filled.
  private var isDraining = false

  init(name: String, _ output: SinkOutput, outlet: any Outlet, gather: GatherPolicy? = nil) {
    self.name = name
    self.outlet = outlet
    self.gather = gather
    isProbed = !output.probes
    delivery = Delivery(output)
  }

  public var tally: SinkTally { delivery.queue.tally }
  public var isIdle: Bool { delivery.isIdle && takenRows == 0 }
  public var awaitsEstate: Bool { delivery.phase == .awaiting }
  public var isReleasing: Bool { delivery.isReleasing }
  public var isReleased: Bool { delivery.isReleased && takenRows == 0 }

  public var state: SinkState {
    if case .up = delivery.state, case .unreachable(let why) = outlet.reachability { return .failing(why) }
    return delivery.state
  }

  public var health: SinkHealth {
    switch (delivery.state, outlet.reachability) {
    case (.failing(let why), _), (_, .unreachable(let why)): .bad(why)
    case (_, .reachable): .good
    case (_, .unknown): .unknown
    }
  }

  public var queueGauges: QueueGauges {
    var gauges = delivery.queue.gauges(isSending: delivery.isSending && !delivery.isOrphaned)
    gauges.sendingRows += takenRows
    return gauges
  }

  public var nextDeadline: Int64? {
    let own = [delivery.nextDeadline, outlet.nextDeadline, gatherDeadline].compactMap(\.self)
    return own.min()
  }

  // MARK: Delivering

  public func accept(_ offer: inout BatchOffer) {
    delivery.accept(&offer, isReady: gather == nil && outlet.isReady)
    pump()
  }

  public func handle(_ completion: consuming Completion) {
    if !delivery.handle(completion) { outlet.handle(completion) }
    pump()
  }

  public func resume() { pump() }

  public func drain() {
    isDraining = true
    delivery.drain()
    pump()
  }

  public func reopen() { outlet.reopen() }

  public func apply(queue: QueuePolicy, retry: RetryPolicy) { delivery.apply(queue, retry) }

  private func pump() {
    let now = MonotonicTime.now().nanoseconds
    if !isProbed {
      isProbed = true
      outlet.probe(now: now)
    }
    outlet.resume(now: now)
    while let outcome = outlet.takeOutcome() { take(outcome) }
    delivery.settle()
    // An outlet may be through at once.
    while start(now: now), let outcome = outlet.takeOutcome() { take(outcome) }
    if takenRows > 0, isReleasing || (isDraining && delivery.isIdle) { outlet.flush() }
    delivery.watchHold()
  }

  /// True if a shipment was begun.
  private func start(now: Int64) -> Bool {
    guard delivery.mayTry(now: now) else { return false }
    let count =
      shipment.again(from: delivery.queue)
      ?? delivery.queue.shipmentSize(gather, isUrgent: isDraining, wallClock: wallClockNanoseconds())
    guard count > 0 else { return false }
    delivery.begin()
    delivery.started(count)
    shipment.load(count, from: delivery.queue)
    outlet.send(shipment, now: now)
    return true
  }

  private func take(_ outcome: Outcome) {
    if case .settled(let reason) = outcome { return settle(reason) }
    let count = shipment.count
    shipment.empty()
    guard delivery.ended() else { return }
    switch outcome {
    case .delivered(let bytes, let refused):
      delivery.succeeded()
      delivery.queue.tally.bytes += UInt64(bytes)
      delivery.queue.deliver(count, refused)
    case .taken(let bytes):
      delivery.succeeded()
      delivery.queue.tally.bytes += UInt64(bytes)
      takenRows += delivery.queue.take(count)
    case .failed(let failure): fail(failure, count)
    case .settled: break
    }
  }

  private func settle(_ reason: DropReason?) {
    if let reason {
      delivery.queue.tally.dropped[reason] += takenRows
    } else {
      delivery.queue.tally.delivered += takenRows
    }
    takenRows = 0
  }

  private func fail(_ failure: Failure, _ count: Int) {
    if delivery.isReleasing { return }
    delivery.complain(failure.message)
    if failure.isFinal {
      delivery.forgetFailure()
      delivery.queue.drop(count, failure.reason, delivered: failure.delivered)
    } else if delivery.hasExpired(notBefore: failure.retryAfter ?? 0) {
      delivery.forgetFailure()
      delivery.queue.drop(count, delivery.reasonToDrop(failure.reason), delivered: failure.delivered)
    }
  }

  private var gatherDeadline: Int64? {
    guard let gather, delivery.maySend, !delivery.isSending, !delivery.isFailing, !delivery.queue.isEmpty else {
      return nil
    }
    let age = wallClockNanoseconds() - delivery.queue.oldestSealedAt
    return MonotonicTime.now().nanoseconds + min(max(0, gather.maxAge - age), gather.maxAge)
  }

  // MARK: Ending

  public func abandon(isStuck: Bool) {
    if delivery.isSending, isStuck { shipment.leak() }
    outlet.close(isStuck: isStuck)
    while let outcome = outlet.takeOutcome() { take(outcome) }
    if takenRows > 0 { settle(.shutdown) }
    shipment = Shipment()
    delivery.abandon(isStuck: isStuck)
  }

  public func beginRelease() {
    delivery.beginRelease()
    if delivery.isSending { outlet.cancel() }
    pump()
  }

  public func forceRelease() {
    // The outlet keeps the old one until it knows what became of it.
    _ = delivery.forceRelease()
    if delivery.isReleasing, takenRows > 0 { settle(.shutdown) }
  }

  public func takeEstate() -> SinkEstate? {
    guard isReleased else { return nil }
    return delivery.takeEstate(nil)
  }

  public func inherit(_ estate: SinkEstate?) {
    if let estate {
      estate.takeOutput()?.takeBack()
      guard delivery.inherit(estate) else { return }
    }
    delivery.proceed()
    pump()
  }
}
