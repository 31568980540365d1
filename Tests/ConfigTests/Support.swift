import Foundation
import Glibc

@testable import Config

/// The columns that tests refer to.
let vocabulary = Vocabulary(columns: ["hostname", "timestamp_ns", "netns", "tcp_info_rtt"])

/// Reads a text as the file `x.yaml`.
func read(_ text: String) -> Outcome {
  ConfigurationFile.read(text: text, named: "x.yaml", vocabulary: vocabulary)
}

/// The diagnostics of a text as `line:column: severity: message`, suggestions and notes included.
func diagnose(_ text: String) -> [String] {
  read(text).diagnostics.map(summary)
}

func summary(_ diagnostic: Diagnostic) -> String {
  let hint = diagnostic.suggestion.map { "; did you mean `\($0)`?" } ?? ""
  let notes = diagnostic.notes.map { " [\($0.place.line):\($0.place.column) \($0.message)]" }.joined()
  return "\(diagnostic.line):\(diagnostic.column): \(diagnostic.severity): \(diagnostic.message)\(hint)\(notes)"
}

/// A configuration with one pipeline `p` that has a sink and, besides, what `body` says.
func onePipeline(_ body: String) -> String {
  "version: 1\npipelines:\n  p:\n    sinks: { o: { type: blackhole } }\n"
    + body.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)\n" }.joined()
}

/// CPU time that this thread spends in `body`: what a busy machine does not change.
func cpuTime(_ body: () -> Void) -> Duration {
  func now() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
  let start = now()
  body()
  return now() - start
}

/// The CPU time that a hostile file may cost: 100 ms as users run it, ten times that in tests built without optimisation.
let hostileFileLimit = isOptimised ? Duration.milliseconds(100) : .milliseconds(1_000)

private var isOptimised: Bool {
  var isOptimised = true
  // Only an unoptimised build evaluates the condition.
  assert(
    {
      isOptimised = false
      return true
    }())
  return isOptimised
}

/// Bytes of memory that this thread touches for the first time in `body`, whatever other threads do meanwhile.
func newMemory(_ body: () -> Void) -> Int {
  // RUSAGE_THREAD of linux/resource.h, which Glibc's module leaves out.
  let thisThread: Int32 = 1
  func faults() -> Int {
    var usage = rusage()
    getrusage(thisThread, &usage)
    return usage.ru_minflt
  }
  let before = faults()
  body()
  return (faults() - before) * Int(getpagesize())
}

/// The root of the package.
let packageRoot = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

/// A directory of its own for one test, removed with the value.
final class TemporaryDirectory {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "xtcpd-config-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appending(path: name).path }
}

/// A configuration of several files on disk. The first one is the main file.
struct ConfigurationFiles {
  let directory: TemporaryDirectory
  let main: String

  init(_ files: KeyValuePairs<String, String>) throws {
    directory = try TemporaryDirectory()
    main = directory.path(files.first?.key ?? "")
    for (name, text) in files { try write(name, text) }
  }

  /// Writes a file, and the directories that it lies in.
  func write(_ name: String, _ text: String) throws {
    let url = directory.url.appending(path: name)
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }

  func read(_ environment: [String: String] = [:], unresolved: UnresolvedValues = .error) -> Outcome {
    ConfigurationFile.read(
      path: main, vocabulary: vocabulary, environment: Environment(environment), unresolved: unresolved)
  }

  /// The diagnostics as `file:line:column: ...`, the directory left out.
  func diagnose(_ environment: [String: String] = [:]) -> [String] {
    read(environment).diagnostics.map { diagnostic in
      let files = "\(diagnostic.file):" + summary(diagnostic)
      return files.replacing(directory.url.path + "/", with: "")
    }
  }
}

extension ReaderSettings {
  /// The defaults of what is not given.
  static func with(mode: ReaderMode, parallelism: Int, recvBatch: Int, cqeBatch: Int) -> ReaderSettings {
    var settings = PipelineSettings(name: "p").reader
    (settings.mode, settings.parallelism) = (mode, parallelism)
    (settings.recvBatch, settings.cqeBatch) = (recvBatch, cqeBatch)
    return settings
  }
}
