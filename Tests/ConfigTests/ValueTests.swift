import Foundation
import Testing

@testable import Config

/// `${...}` in values: what it becomes, what it is refused with, and that it is never shown.
@Suite struct ValueTests {
  private func pipeline(_ body: String, _ environment: [String: String] = [:]) throws -> PipelineSettings {
    let outcome = ConfigurationFile.read(
      text: onePipeline(body), named: "x.yaml", vocabulary: vocabulary, environment: Environment(environment))
    #expect(outcome.rendered == "")
    return try #require(outcome.settings?.pipelines.first)
  }

  private func diagnose(_ body: String, _ environment: [String: String] = [:]) -> [String] {
    ConfigurationFile.read(
      text: onePipeline(body), named: "x.yaml", vocabulary: vocabulary, environment: Environment(environment)
    ).diagnostics.map(summary)
  }

  @Test(arguments: [
    ("${env:A}", "alpha"), ("\"${env:A}\"", "alpha"), ("'x ${env:A}-${env:B} y'", "x alpha- y"), ("${env:B}", ""),
    ("${env:N}", "007"), ("${env:Z:-none}", "none"), ("${env:B:-empty}", "empty"), ("${env:A:-x}", "alpha"),
    ("${env:Z:-}", ""), ("${env:Z:-a:b?c}", "a:b?c"), ("${env:A:?needed}", "alpha"), ("${env:Z:-$$5}", "$5"),
    ("$$", "$"), ("a$$b", "a$b"), ("$${env:A}", "${env:A}"), ("a$b", "a$b"), ("cost$", "cost$"), ("$ {x", "$ {x"),
    ("${env:Y}", "[x, y]"), ("${env:M}", "a: b # c"), ("${env:D}", "${env:A} $$"), ("${env:T}", "~"),
  ]) func text(_ written: String, _ value: String) throws {
    let environment = [
      "A": "alpha", "B": "", "N": "007", "Y": "[x, y]", "M": "a: b # c", "D": "${env:A} $$", "T": "~",
    ]
    #expect(try pipeline("label: \(written)", environment).label == value)
  }

  /// What a reference stands for has no quotes, so it is whatever the setting holds, quoted or not.
  @Test(arguments: ["${env:V}", "\"${env:V}\""]) func types(_ written: String) throws {
    #expect(try pipeline("batch:\n  rows: \(written)", ["V": "5"]).batch.rows == 5)
    #expect(try pipeline("interval: \(written)", ["V": "1m30s"]).interval == .seconds(90))
    #expect(try pipeline("batch:\n  bytes: \(written)", ["V": "1MiB"]).batch.bytes == 1 << 20)
    #expect(try pipeline("align: \(written)", ["V": "none"]).align == Alignment.none)
    #expect(try pipeline("timeout: \(written)", ["V": "auto"]).explicitTimeout == nil)
    #expect(try pipeline("attributes: \(written)", ["V": "all"]).attributes.count == AttributeName.allCases.count)
    #expect(
      try pipeline("namespaces:\n  include:\n    - name: \(written)", ["V": "cni-*"]).namespaces.include.count == 1)
    #expect(try pipeline("enabled: \(written)", ["V": "true"]).isEnabled)
    let file = "sinks:\n  f:\n    type: \(written)\n    path: /x\n    mode: \"${env:MODE}\""
    let kind = try pipelineOnly(file, ["V": "file", "MODE": "0600"]).sinks.first?.kind
    #expect(kind == .file(FileSinkSettings(path: "/x", mode: 0o600)))
  }

  private func pipelineOnly(_ body: String, _ environment: [String: String]) throws -> PipelineSettings {
    let indented = body.split(separator: "\n").map { "    \($0)\n" }.joined()
    let outcome = ConfigurationFile.read(
      text: "version: 1\npipelines:\n  p:\n\(indented)", named: "x.yaml", vocabulary: vocabulary,
      environment: Environment(environment))
    #expect(outcome.rendered == "")
    return try #require(outcome.settings?.pipelines.first)
  }

  @Test(arguments: [
    ("${env:Z}", "the environment variable `Z` is not set; set it or give it a default: `${env:Z:-...}`"),
    ("${env:Z:?set Z}", "the environment variable `Z` is not set: set Z"),
    ("${env:E:?set E}", "the environment variable `E` is empty: set E"),
    ("${env:Z", "`${` is never closed; write `}` at its end, or `$$` for a dollar"),
    (
      "${Z}",
      "`${Z}` does not say what to read; the kinds are `${env:...}`, `${file:...}`, `${credential:...}`; did you mean `${env:Z}`?"
    ),
    ("${evn:Z}", "`${evn:Z}` has an unknown kind; the kinds are env, file, credential; did you mean `env`?"),
    ("${vault:x}", "`${vault:x}` has an unknown kind; the kinds are env, file, credential"),
    ("${env:}", "`${env:}` needs the name of a variable: letters, digits and `_`"),
    ("${env:a-b}", "`${env:a-b}` needs the name of a variable: letters, digits and `_`"),
    ("${env:Z:x}", "`${env:Z:x}`: write `:-` before a default, `:?` before what to say if it is not set"),
    ("${env:Z:-${env:E}}", "a `${...}` cannot hold another one; a default is text"),
    ("${file:x}", "`${file:x}` needs an absolute path"),
    ("${file:/none}", "`${file:/none}`: cannot open: No such file or directory (errno 2)"),
    ("${file:/}", "`${file:/}`: is a directory, not a file; give the path of a regular file"),
    ("${file:/dev/zero}", "`${file:/dev/zero}`: is a device, not a file; give the path of a regular file"),
    ("${credential:a/b}", "`${credential:a/b}` needs the name of a credential, without `/`"),
    ("${credential:..}", "`${credential:..}` needs the name of a credential, without `/`"),
    (
      "${credential:x}",
      "`${credential:x}`: there are no credentials ($CREDENTIALS_DIRECTORY is not set); systemd gives them with "
        + "LoadCredential=x:PATH"
    ),
  ]) func mistakes(_ written: String, _ says: String) {
    #expect(diagnose("label: \"\(written)\"", ["E": ""]) == ["5:12: error: \(says)"])
  }

  @Test func keysAreNotExpanded() {
    #expect(diagnose("\"${env:A}\": x", ["A": "label"]) == ["5:5: error: unknown key `${env:A}` in a pipeline"])
  }

  @Test func aliasesAreExpandedLikeTheirAnchors() throws {
    let pipeline = try pipeline("label: &l ${env:A}\ntag: *l", ["A": "alpha"])
    #expect((pipeline.label, pipeline.tag) == ("alpha", "alpha"))
  }

  @Test func filesAndCredentials() throws {
    let directory = try TemporaryDirectory()
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
      let path = directory.path(name)
      try Data(bytes).write(to: URL(filePath: path))
      return path
    }
    let secret = try write("secret", Array("s3cret value\n".utf8))
    #expect(try pipeline("label: ${file:\(secret)}").label == "s3cret value")
    let environment = ["CREDENTIALS_DIRECTORY": directory.url.path]
    #expect(try pipeline("label: ${credential:secret}", environment).label == "s3cret value")
    let two = try write("two", Array("x\n\n".utf8))
    #expect(diagnose("label: ${file:\(two)}") == ["5:12: error: `label` holds the control character U+A; remove it"])
    let large = try write("large", [UInt8](repeating: 0x61, count: (64 << 10) + 1))
    #expect(
      diagnose("label: ${file:\(large)}").map {
        $0.hasSuffix("the file is 65537 bytes long; a value has at most 65536")
      }
        == [true])
    let binary = try write("binary", [0xFF, 0xFE])
    #expect(diagnose("label: ${file:\(binary)}").map { $0.hasSuffix(": the file is not UTF-8") } == [true])
  }

  /// What a value stands for is in no message, whatever is wrong with it; `${...}` is.
  @Test(arguments: [
    "interval", "align", "label", "attributes", "reader.recv_batch", "batch.bytes", "enabled", "namespaces.include",
    "filter.states", "filter.destination", "filter.destination_port", "sinks", "reader", "timeout", "extends",
  ]) func secretsAreNotShown(_ path: String) {
    for secret in [
      "10hunter2", "hunter2", "defaul", "5hunter2", "\u{7}hunter2", String(repeating: "hunter2", count: 99),
    ] {
      for form in [
        "${env:S}", "[\"${env:S}\"]", "{ name: \"${env:S}\", pid: \"${env:S}\" }", "{ \"x\": \"${env:S}\" }",
      ] {
        let keys = path.split(separator: ".")
        var text = ""
        for (depth, key) in keys.enumerated() { text += "\n" + String(repeating: " ", count: depth) + key + ":" }
        let outcome = ConfigurationFile.read(
          text: onePipeline(String(text.dropFirst()) + " \(form)"), named: "x.yaml", vocabulary: vocabulary,
          environment: Environment(["S": secret]))
        #expect(!outcome.rendered.contains(secret), "\(path) \(form): \(outcome.rendered)")
        #expect(!outcome.rendered.contains("hunter2"), "\(path) \(form): \(outcome.rendered)")
        if let effective = outcome.effective { #expect(!effective.yaml(origin: true).contains("hunter2")) }
      }
    }
  }

  @Test func rulesDoNotShowSecrets() {
    #expect(
      diagnose("interval: ${env:I}\ntimeout: ${env:T}", ["I": "7s", "T": "8s"]) == [
        "6:14: error: `timeout` (`${env:T}`) must be below `interval` (`${env:I}`); lower it, or leave it out for 80% of "
          + "the interval [5:15 `interval` is set here]"
      ])
    #expect(
      diagnose("reader: { recv_batch: \"${env:B}\" }", ["B": "77"]) == [
        "5:27: error: `reader.recv_batch` (`${env:B}`) must not exceed `pools.receive_buffers` (16, the default): each "
          + "receive in flight needs a buffer"
      ])
    let sinks = "sinks: { a: { type: file, path: \"${env:P}\" }, b: { type: file, path: \"${env:P}\" } }"
    let outcome = ConfigurationFile.read(
      text: "version: 1\npipelines: { p: { \(sinks) } }\n", named: "x.yaml", vocabulary: vocabulary,
      environment: Environment(["P": "/x"]))
    #expect(
      outcome.diagnostics.map(\.message) == ["sinks `a` and `b` both write to `${env:P}`; rows will be there twice"])
  }

  @Test func unresolvedValuesAreTakenForValid() throws {
    let text = onePipeline(
      """
      interval: ${env:I}
      timeout: 30s
      label: "${credential:x}"
      attributes: ["${env:ATTRIBUTE}"]
      reader: { recv_batch: "${file:/none}" }
      align: up
      """)
    func read(_ text: String) -> Outcome {
      ConfigurationFile.read(
        text: text, named: "x.yaml", vocabulary: vocabulary, environment: Environment([:]), unresolved: .warn)
    }
    let outcome = read(text)
    #expect(
      outcome.diagnostics.map { "\($0.line): \($0.severity)" } == [
        "5: warning", "7: warning", "8: warning", "9: warning", "10: error",
      ])
    let settings = try #require(read(text.replacing("align: up", with: "align: none")).settings)
    #expect(settings.pipelines.first?.explicitTimeout == .seconds(30))
    // A mistake in the file itself stays one.
    #expect(read(onePipeline("label: ${evn:X}")).settings == nil)
  }

  @Test func manyReferencesToOneFileAreBounded() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("large")
    try Data([UInt8](repeating: 0x61, count: 64 << 10)).write(to: URL(filePath: path))
    let list = Array(repeating: "\"${file:\(path)}\"", count: 1_000).joined(separator: ", ")
    var outcome = read("version: 1\n")
    let memory = newMemory { outcome = read("version: 1\nglobal: { paths: { netns: [\(list)] } }\n") }
    #expect(outcome.errors.contains { $0.message == "all `${...}` together stand for more than 4 MiB" })
    #expect(memory < 32 << 20)
  }
}

@Suite struct RedactionTests {
  private func redact(_ text: String, _ references: [(String, String)]) -> String {
    Redaction(references.map { ValueReference(value: $0.0, spelling: $0.1) })(text)
  }

  @Test func replacesEveryOccurrence() {
    #expect(redact("a hunter2 b hunter2hunter2", [("hunter2", "${env:P}")]) == "a ${env:P} b ${env:P}${env:P}")
    #expect(redact("hunter", [("hunter2", "${env:P}")]) == "hunter")
    #expect(redact("", [("hunter2", "${env:P}")]) == "")
    #expect(redact("hhunter2", [("hunter2", "X")]) == "hX")
  }

  @Test func shortValuesAreWords() { #expect(redact("a short b", [("short", "X")]) == "a short b") }

  @Test func longerOnesFirst() {
    #expect(redact("secret-secret2", [("secret", "A"), ("secret-secret2", "B")]) == "B")
  }

  @Test func directoriesOfPaths() {
    let path = [("/srv/hunter2/rows", "${env:P}")]
    #expect(redact("mkdir(/srv/hunter2)", path) == "mkdir(${env:P}/..)")
    #expect(redact("open(/srv/hunter2/rows)", path) == "open(${env:P})")
    #expect(redact("/srv/other", path) == "/srv/other")
    #expect(redact("/hunter and more", [("/hunter/rows", "X")]) == "/hunter and more", "one of the root's own")
    #expect(redact("hunter/2", [("hunter/2/3", "X")]) == "hunter/2", "no path")
  }

  @Test func outcomeTellsWhatItExpanded() {
    let outcome = ConfigurationFile.read(
      text: onePipeline("label: ${env:A}\ntag: \"${env:D:-default}\""), named: "x", vocabulary: vocabulary,
      environment: Environment(["A": "alpha1"]))
    #expect(outcome.references == [ValueReference(value: "alpha1", spelling: "${env:A}")])
  }
}
