import Foundation
import Testing

@testable import Config

/// The settings list, and what is made of it. XTCPD_REGENERATE=1 writes the files instead of comparing them.
@Suite struct GeneratedFilesTests {
  @Test(arguments: [
    ("schema/config.schema.json", JSONSchema.text()), ("docs/configuration.md", ConfigurationGuide.text()),
  ]) func committedFilesAreCurrent(_ path: String, _ text: String) throws {
    let file = packageRoot.appending(path: path)
    if ProcessInfo.processInfo.environment["XTCPD_REGENERATE"] == "1" {
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    let committed = try String(contentsOf: file, encoding: .utf8)
    #expect(committed == text, "\(path) is out of date; run XTCPD_REGENERATE=1 swift test --filter GeneratedFilesTests")
  }

  @Test func theSchemaIsJSON() throws {
    let schema = try JSONSerialization.jsonObject(with: Data(JSONSchema.text().utf8)) as? [String: Any]
    #expect(schema?["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
    let definitions = try #require(schema?["$defs"] as? [String: Any])
    let pipeline = try #require((definitions["pipeline"] as? [String: Any])?["properties"] as? [String: Any])
    let reader = try #require((pipeline["reader"] as? [String: Any])?["properties"] as? [String: Any])
    let setting = try #require(reader["recv_batch"] as? [String: Any])
    let forms = try #require(setting["anyOf"] as? [[String: Any]])
    let batch = try #require(forms.first)
    #expect(batch["type"] as? String == "integer")
    #expect(batch["minimum"] as? Int == 1)
    #expect(batch["maximum"] as? Int == 4096)
    #expect(setting["default"] as? Int == 8)
    #expect(setting["description"] as? String != "")
    #expect(forms.dropFirst().map { ($0["$ref"] ?? $0["type"]) as? String } == ["#/$defs/reference", "null"])
  }

  @Test func theExamplesOfTheReferenceAreGood() throws {
    let layered = read(ConfigurationGuide.layerExample)
    #expect(layered.rendered == "")
    let sinks = try #require(layered.settings).pipelines.flatMap(\.sinks)
    #expect(sinks.map { $0.queue.bytes >> 20 } == [32, 64, 1])
    #expect(layered.settings?.pipelines.map(\.reader.mode) == [.auto, .auto])
    let outcome = read(ConfigurationGuide.example)
    #expect(outcome.rendered == "")
    #expect(outcome.settings?.pipelines.map(\.name) == ["host", "pods"])
  }

  /// Every setting is described, and its default is YAML that it takes.
  @Test func theListIsSound() throws {
    func check<Root>(_ table: SettingsTable<Root>, _ blank: Root) {
      #expect(Set(table.paths).count == table.paths.count)
      for setting in table.settings {
        let description = setting.description
        #expect(description.doc.hasSuffix("."), "\(description.path)")
        let sources = [description.defaultText != nil, description.otherwise != nil, description.isRequired]
        #expect(sources.filter { $0 }.count == 1, "\(description.path): one of default, otherwise, required")
        #expect((setting.builtIn != nil) == (description.defaultText != nil), "\(description.path)")
        var root = blank
        var reading = Reading(problems: Problems(), vocabulary: vocabulary)
        if let builtIn = setting.builtIn { setting.apply(builtIn, &root, &reading) }
        #expect(reading.problems.diagnostics.map(\.rendered) == [])
      }
      let parents = table.paths.reduce(into: Set<Substring>()) { parents, path in
        for dot in path.indices where path[dot] == "." { parents.insert(path[..<dot]) }
      }
      #expect(parents == Set(table.groups.map { $0.path[...] }))
    }
    check(SettingsList.global, GlobalSettings.blank)
    check(SettingsList.pipeline, PipelineSettings(blank: "p"))
    for type in SinkType.all { check(type.table, SinkSettings(name: "s", kind: type.blank)) }
  }

  /// The reload classes that users are promised.
  @Test func reloadClasses() {
    func paths(_ reload: ReloadClass) -> Set<String> {
      let pipeline = SettingsList.pipeline.settings.map(\.description)
      let global = SettingsList.global.settings.map(\.description)
      return Set((pipeline + global).filter { $0.reload == reload }.map(\.path))
    }
    #expect(
      paths(.live).isSuperset(of: [
        "interval", "timeout", "batch.rows", "batch.bytes", "sample.every", "filter.states", "filter.source",
        "filter.not.destination_port", "label", "tag", "log.level", "reader.cqe_batch",
      ]))
    #expect(
      paths(.pipeline).isSuperset(of: [
        "namespaces.include", "reader.mode", "pools.receive_buffers", "pools.batches", "sinks",
      ]))
    #expect(
      paths(.process) == [
        "resources.threads", "resources.loops", "resources.cpus", "resources.library_threads", "resources.memory",
        "control.socket", "control.group", "control.mode", "metrics.listen",
      ])
  }
}

/// Whole configurations, good and bad; the same files are checked with the JSON Schema.
@Suite struct ExampleTests {
  private static func files(_ folder: String) -> [URL] {
    let url = packageRoot.appending(path: folder)
    let files = try? FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil)
    return (files ?? []).sorted { $0.path < $1.path }
  }

  @Test func goodOnesAreTaken() {
    let files = Self.files("Tests/ConfigTests/Examples/good")
    #expect(files.count >= 5)
    for file in files {
      #expect(ConfigurationFile.read(path: file.path, vocabulary: vocabulary).rendered == "")
    }
  }

  /// The first line of each says what is wrong with it.
  @Test func badOnesAreRefused() throws {
    let files = Self.files("Tests/ConfigTests/Examples/bad")
    #expect(files.count >= 10)
    for file in files {
      let outcome = ConfigurationFile.read(path: file.path, vocabulary: vocabulary)
      let first = try String(contentsOf: file, encoding: .utf8).prefix { $0 != "\n" }
      #expect(outcome.diagnostics.map { "# " + $0.message } == [String(first)], "\(file.lastPathComponent)")
    }
  }

  /// What the fuzzer started from or found: it must end with settings or with an error, whatever it is.
  @Test func fuzzerCorpus() throws {
    let files = Self.files("Tests/Fuzz/Configuration/corpus")
    #expect(files.count >= 20)
    for file in files {
      let bytes = [UInt8](try Data(contentsOf: file))
      let outcome = ConfigurationFile.read(bytes: bytes, named: file.lastPathComponent, vocabulary: vocabulary)
      #expect((outcome.settings == nil) == !outcome.errors.isEmpty, "\(file.lastPathComponent)")
      let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
      #expect(outcome.diagnostics.allSatisfy { (0...lines).contains($0.line) }, "\(file.lastPathComponent)")
    }
  }
}
