import Pipelines

/// What /healthz and /readyz answer.
struct Health: Equatable {
  var isGood: Bool
  /// One line for each reason, or `ok`.
  var text: String

  static let good = Health(problems: [])

  /// Good as long as every loop turns. Whether anything can be delivered does not matter.
  static func live(_ status: DaemonStatus) -> Health {
    Health(
      problems: status.loops.filter(\.isHanging).map { loop in
        "\(loop.name) has not turned for \(seconds(loop.sinceTurn)), longer than three times its longest interval of "
          + "\(seconds(loop.longestInterval)); its pipelines: \(loop.pipelines.joined(separator: ", "))"
      })
  }

  /// Good once every pipeline has completed a poll. What is asked once that was so is `Readiness`'s to say.
  static func ready(_ status: DaemonStatus) -> Health {
    if status.pipelines.isEmpty { return Health(problems: ["no pipeline runs yet"]) }
    return Health(
      problems: status.pipelines.filter { $0.totals.counters.completePolls == 0 }
        .map { "pipeline \($0.name) has not completed a poll yet" })
  }

  private init(problems: [String]) {
    isGood = problems.isEmpty
    text = (problems.isEmpty ? ["ok"] : problems).map { $0 + "\n" }.joined()
  }

  private static func seconds(_ nanoseconds: Int64) -> String {
    let tenths = nanoseconds / 100_000_000
    return "\(tenths / 10).\(tenths % 10) s"
  }
}
