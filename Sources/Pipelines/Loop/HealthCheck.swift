import Config
import Sinks

/// A pipeline that has been built and does not count as prepared before the destinations are there that it requires.
struct HealthCheck {
  let ticket: Ticket
  let pipeline: Pipeline
  /// What it goes on with, if it is started at once.
  let parcel: Parcel?
  /// Monotonic nanoseconds.
  let deadline: Int64

  /// How long it may take, in nanoseconds.
  static let patience: Int64 = 5_000_000_000
  /// How often it is looked at, in nanoseconds.
  static let interval: Int64 = 20_000_000

  enum Verdict: Equatable {
    case undecided
    case good
    /// Why not: a sentence for people.
    case bad(String)
  }

  /// - Parameter isOver: nothing more is waited for.
  static func verdict(_ sinks: [(name: String, health: SinkHealth)], isOver: Bool) -> Verdict {
    var unknown: [String] = []
    for sink in sinks {
      switch sink.health {
      case .good: continue
      case .bad(let why): return .bad("sink \(sink.name) (healthcheck: require): \(why)")
      case .unknown: unknown.append(sink.name)
      }
    }
    guard let first = unknown.first else { return .good }
    let seconds = patience / 1_000_000_000
    return isOver
      ? .bad("sink \(first) (healthcheck: require): no answer from its destination within \(seconds) s") : .undecided
  }

  func verdict(now: Int64) -> Verdict {
    let required = zip(pipeline.sinks, pipeline.plan.sinks).filter { $0.1.healthcheck == .require }
    return Self.verdict(required.map { (name: $0.0.name, health: $0.0.health) }, isOver: now >= deadline)
  }
}
