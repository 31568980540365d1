import Glibc
import IO

/// Writes to the daemon's standard output or standard error. The descriptor is the process's own and is never closed.
public final class StandardStreamSink: Sink {
  public let name: String
  private var writer: StreamWriter
  private var identity: OutputIdentity { .stream(writer.descriptor) }

  public var tally: SinkTally { writer.delivery.queue.tally }
  public var state: SinkState { writer.delivery.state }
  public var queueGauges: QueueGauges { writer.gauges }
  public var awaitsEstate: Bool { writer.delivery.phase == .awaiting }
  public var isReleasing: Bool { writer.delivery.isReleasing }
  public var isReleased: Bool { writer.delivery.isReleased }
  public var isIdle: Bool { writer.isIdle }
  public var nextDeadline: Int64? { writer.delivery.nextDeadline }

  /// - Parameter descriptor: `STDOUT_FILENO` or `STDERR_FILENO`.
  public init(name: String, descriptor: Int32, _ output: SinkOutput) {
    self.name = name
    let place = descriptor == STDOUT_FILENO ? "standard output" : "standard error"
    writer = StreamWriter(output, descriptor: descriptor, needsHeader: true, place: place)
  }

  public func accept(_ offer: inout BatchOffer) {
    writer.delivery.accept(&offer, isReady: true)
    writer.pump()
  }

  /// What is out cannot be taken back: others may hold the same open file, and a pipe forgets nothing.
  public func handle(_ completion: consuming Completion) {
    if writer.delivery.handle(completion) { return writer.pump() }
    writer.finishWrite(result: completion.result, canTakeBack: false)
    writer.pump()
  }

  public func resume() { writer.pump() }

  public func apply(queue: QueuePolicy, retry: RetryPolicy) { writer.delivery.apply(queue, retry) }

  public func drain() {
    writer.delivery.drain()
    writer.pump()
  }

  public func reopen() {}

  public func abandon(isStuck: Bool) { writer.abandon(isStuck: isStuck) }

  public func beginRelease() { writer.beginRelease() }
  public func forceRelease() { writer.forceRelease() }
  public func takeEstate() -> SinkEstate? { writer.takeEstate(identity, tail: nil) }

  public func inherit(_ estate: SinkEstate?) {
    guard let estate else { return writer.proceed() }
    guard let output = estate.takeOutput() else { return writer.inherit(estate, part: nil, needsHeader: true) }
    let isSame = output.identity == identity
    if !isSame { output.takeBack() }
    writer.inherit(estate, part: isSame ? output.part : nil, needsHeader: !isSame || !output.isHeaderOut)
  }
}
