import IO
import Config
import Sinks
// temporary
final class SinkEstate {}
extension Sink {
  var awaitsEstate: Bool { false }
  var isReleasing: Bool { false }
  var isReleased: Bool { false }
  func beginRelease() {}
  func forceRelease() {}
  func takeEstate() -> SinkEstate? { nil }
  func inherit(_ e: SinkEstate?) {}
  var nextDeadline: Int64? { nil }
  func apply(queue: QueueSettings, retry: RetrySettings) {}
  func reopen() {}
  var queueGauges: Int { 0 }
}
extension QueueStatus { init(_ x: Int) { self.init() } }
extension SinkTally { static func += (a: inout SinkTally, b: SinkTally) { } }
final class MemoryBudget: Sendable { struct G { var held = 0 }; var gauges: G { G() }; init(limit: Int) {}; func resize(limit: Int) {} }
