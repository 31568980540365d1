/// libFuzzer's entry: any bytes are a configuration file. Besides not crashing, reading must hold what users rely on.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzConfiguration(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  let vocabulary = Vocabulary(columns: ["hostname", "timestamp_ns", "netns", "tcp_info_rtt"])
  let environment = Environment(["A": "secret-value", "N": "5", "E": ""])
  let outcome = ConfigurationFile.read(
    bytes: bytes, named: "fuzz.yaml", vocabulary: vocabulary, environment: environment)

  // Either there are settings or there is an error that says why not.
  guard (outcome.settings == nil) == !outcome.errors.isEmpty else { fatalError("settings and errors do not agree") }
  let lines = bytes.reduce(1) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
  for diagnostic in outcome.diagnostics { check(diagnostic, lines) }
  if let settings = outcome.settings { check(settings) }
  if let effective = outcome.effective, let settings = outcome.settings {
    check(effective.yaml(origin: true), settings, vocabulary, environment)
  }
  return 0
}

/// Globals that are made once live as long as the process. The leak sanitizer cannot see some of them, because Swift
/// keeps the case of an enum in unused bits of the pointer to its payload.
@_cdecl("__lsan_default_suppressions")
public func leakSuppressions() -> UnsafePointer<CChar> {
  let text: StaticString = "leak:once_slow\n"
  return UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

/// A diagnostic points into the file and cannot drive a terminal.
private func check(_ diagnostic: Diagnostic, _ lines: Int) {
  guard (0...lines).contains(diagnostic.line), diagnostic.caret <= diagnostic.excerpt.unicodeScalars.count else {
    fatalError("points outside of the file: \(diagnostic.rendered)")
  }
  guard diagnostic.rendered.unicodeScalars.allSatisfy({ $0 == "\n" || $0.value >= 0x20 && $0.value != 0x7F }) else {
    fatalError("holds a control character: \(diagnostic.rendered)")
  }
}

/// What is shown of a configuration says the same when it is read, and shows no value from outside.
private func check(_ shown: String, _ settings: Settings, _ vocabulary: Vocabulary, _ environment: Environment) {
  let again = ConfigurationFile.read(
    text: shown, named: "shown.yaml", vocabulary: vocabulary, environment: environment)
  guard again.settings == settings else { fatalError("what is shown says something else: \(shown)\(again.rendered)") }
}

/// What the pipelines rely on without checking again.
private func check(_ settings: Settings) {
  guard !settings.pipelines.isEmpty else { fatalError("no pipeline") }
  for pipeline in settings.pipelines {
    let isSound =
      pipeline.interval > .zero && pipeline.timeout < pipeline.interval && pipeline.timeout > .zero
      && pipeline.reader.recvBatch <= pipeline.pools.receiveBuffers && !pipeline.sinks.isEmpty
      && !pipeline.filter.states.isEmpty && pipeline.sampleEvery >= 1 && !pipeline.namespaces.include.isEmpty
    guard isSound else { fatalError("unsound pipeline \(pipeline)") }
  }
}

extension Diagnostic {
  fileprivate var caret: Int { place.caret }
}
