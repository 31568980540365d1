import Logging
import Pipelines

/// The line that says what a daemon has begun to do.
enum StartLine {
  /// `started: 3 pipelines (2 io_uring, 1 syscall), 4 threads`
  static func text(of status: DaemonStatus) -> String {
    var modes: [(name: String, count: Int)] = []
    for mode in status.pipelines.map(\.mode.rawValue) {
      if let index = modes.firstIndex(where: { $0.name == mode }) {
        modes[index].count += 1
      } else {
        modes.append((mode, 1))
      }
    }
    let kinds = modes.sorted { $0.name < $1.name }.map { "\($0.count) \($0.name)" }.joined(separator: ", ")
    let threads = status.threads.reduce(0) { $0 + $1.granted }
    let pipelines = Quantity.count(status.pipelines.count, "pipeline")
    return "started: \(pipelines)\(kinds.isEmpty ? "" : " (\(kinds))"), \(Quantity.count(threads, "thread"))"
  }

  static func metadata(of status: DaemonStatus) -> Logger.Metadata {
    let configuration = status.configuration
    return [
      "generation": "\(configuration.generation)", "hash": "\(configuration.hash.prefix(12))",
      "config": "\(configuration.path)",
    ]
  }
}
