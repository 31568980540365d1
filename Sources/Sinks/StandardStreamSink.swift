import Glibc
import IO

/// Writes to the daemon's standard output or standard error. The descriptor is the process's own and is never closed.
public final class StandardStreamSink: Sink {
  public let name: String
  private var writer: StreamWriter

  public var tally: SinkTally { writer.tally }
  public var state: SinkState { writer.state }
  public var isIdle: Bool { writer.isIdle }

  /// - Parameter descriptor: `STDOUT_FILENO` or `STDERR_FILENO`.
  public init(name: String, descriptor: Int32, _ output: SinkOutput) {
    self.name = name
    let place = descriptor == STDOUT_FILENO ? "standard output" : "standard error"
    writer = StreamWriter(output, descriptor: descriptor, needsHeader: true, place: place)
  }

  public func accept(_ batch: consuming SharedLease<Batch>) {
    writer.accept(batch)
    writer.pump()
  }

  public func handle(_ completion: consuming Completion) { writer.finishWrite(result: completion.result) }

  public func resume() { writer.pump() }

  public func abandon() { writer.abandon(.shutdown) }
}
