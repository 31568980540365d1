import Testing

@testable import Config

/// What every layer says of one setting, and what comes of it. Layers from the lowest: built-in, `defaults`, two profiles,
/// the pipeline; of a sink the shared one right above `defaults`, and in each layer the sink's own above that of all.
@Suite struct PrecedenceTests {
  /// A configuration in which each layer may set `path` of the pipeline to a value of its own; nil says nothing.
  static func text(_ path: String, defaults: String?, one: String?, two: String?, own: String?) -> String {
    func layer(_ value: String?) -> String {
      guard let value else { return "{}" }
      let keys = path.split(separator: ".")
      return keys.map { "{ \($0): " }.joined() + value + String(repeating: " }", count: keys.count)
    }
    let pipeline = String(layer(own).dropFirst().dropLast())
    return """
      version: 1
      defaults: \(layer(defaults))
      profiles:
        one: \(layer(one))
        two: \(layer(two))
      pipelines:
        p: { extends: [one, two], sinks: { o: { type: blackhole } }\(own == nil ? "" : ",")\(pipeline) }

      """
  }

  /// Every combination of layers that say something: the highest one wins.
  @Test(arguments: 0..<16) func theHighestLayerWins(_ said: Int) throws {
    let values = ["7s", "8s", "9s", "11s"].enumerated().map { said & (1 << $0.offset) != 0 ? $0.element : nil }
    let text = Self.text("interval", defaults: values[0], one: values[1], two: values[2], own: values[3])
    let outcome = read(text)
    #expect(outcome.rendered == "")
    let winner = values.compactMap { $0 }.last ?? "10s"
    let pipeline = try #require(outcome.settings?.pipelines.first)
    #expect(Units.text(pipeline.interval) == winner)

    // The line tells where it is from, and all that it took the place of, the latest first.
    let places = [(2, 13), (4, 10), (5, 10), (7, 64)].enumerated().filter { values[$0.offset] != nil }
      .map { "x.yaml:\($0.element.0):\($0.element.1)" }
    let origin =
      switch places.count {
      case 0: "default"
      case 1: places[0]
      default: "\(places[places.count - 1]) (replaces \(places.dropLast().reversed().joined(separator: ", ")))"
      }
    let shown = try #require(outcome.effective?.yaml(origin: true))
    #expect(shown.contains("    interval: \(winner)  # \(origin)\n"), "\(shown)")
  }

  /// A null at each layer: what was said below is gone, what is said above counts.
  @Test(
    arguments: [
      (["7s", "null", nil, nil], "10s"), (["7s", "null", "9s", nil], "9s"), (["7s", "8s", "~", nil], "10s"),
      (["7s", nil, nil, "null"], "10s"), ([nil, "8s", nil, ""], "10s"), (["7s", "8s", "9s", "~"], "10s"),
      // A profile does not know what is below, so nothing to remove is no mistake.
      ([nil, "null", nil, nil], "10s"), ([nil, nil, "null", "11s"], "11s"),
    ] as [([String?], String)]) func nullRemoves(_ values: [String?], _ expected: String) throws
  {
    for path in ["interval", "retry.max"] {
      let outcome = read(Self.text(path, defaults: values[0], one: values[1], two: values[2], own: values[3]))
      #expect(outcome.rendered == "")
      let pipeline = try #require(outcome.settings?.pipelines.first)
      let value = path == "interval" ? pipeline.interval : pipeline.retry.max
      #expect(Units.text(value) == (path == "retry.max" && expected == "10s" ? "30s" : expected))
    }
  }

  @Test func aWholeGroupIsRemoved() throws {
    let text = """
      version: 1
      defaults: { reader: { recv_batch: 3, cqe_batch: 3 }, sinks: { o: { type: blackhole } } }
      profiles: { p: { reader: ~ } }
      pipelines:
        a: { reader: ~ }
        b: { extends: [p], reader: { cqe_batch: 5 } }
        c: {}
      """
    let outcome = read(text)
    #expect(outcome.rendered == "")
    #expect(outcome.settings?.pipelines.map(\.reader.recvBatch) == [8, 8, 3])
    #expect(outcome.settings?.pipelines.map(\.reader.cqeBatch) == [128, 5, 3])
  }

  @Test(arguments: [
    (
      "pipelines: { p: { S, interval: ~ } }",
      "2:57: error: `interval` has no value; give it a duration from 10ms to 1d or remove the key"
    ),
    ("pipelines: { p: { S, reader: ~ } }", "2:55: error: `reader` has no value; give it a mapping or remove the key"),
    (
      "pipelines: { p: { S, intervall: ~ } }",
      "2:47: error: unknown key `intervall` in a pipeline; did you mean `interval`?"
    ),
    (
      "defaults: { interval: ~ }\npipelines: { p: { S } }",
      "2:23: error: `interval` has no value; give it a duration from 10ms to 1d or remove the key"
    ),
    (
      "profiles: { x: { intervall: ~ } }\npipelines: { p: { S } }",
      "2:18: error: unknown key `intervall` in a pipeline; did you mean `interval`?"
    ),
    (
      "global: { label: ~ }\npipelines: { p: { S } }",
      "2:18: error: `label` has no value; give it text or remove the key"
    ),
    (
      "global: { label: g }\npipelines: { p: { S, label: ~ } }",
      "3:54: error: `label` has no value; give it text or remove the key"
    ),
  ]) func nothingToRemove(_ text: String, _ says: String) {
    let found = diagnose("version: 1\n" + text.replacing("S", with: "sinks: {o: {type: stdout}}") + "\n")
    #expect(found == [says])
  }

  @Test func globalLabelIsBelowDefaults() throws {
    let text = """
      version: 1
      global: { label: g, tag: g }
      defaults: { label: d }
      pipelines:
        a: { sinks: { o: { type: blackhole } }, label: ~ }
        b: { sinks: { o: { type: blackhole } } }
      """
    let outcome = read(text)
    #expect(outcome.settings?.pipelines.map(\.label) == ["g", "d"])
    #expect(outcome.settings?.pipelines.map(\.tag) == ["g", "g"])
  }

  // MARK: sinks

  /// The layers of a sink's queue from the lowest, each as it is written around a value.
  static let queueLayers: [(name: String, line: Int)] = [
    ("defaults.queue", 2), ("shared", 3), ("profile.queue", 4), ("profile.sinks", 4), ("pipeline.queue", 5),
    ("pipeline.sinks", 5),
  ]

  private static func queueText(_ values: [String?]) -> String {
    func queue(_ value: String?) -> String { value.map { "queue: { bytes: \($0) }" } ?? "" }
    return """
      version: 1
      defaults: { \(queue(values[0])) }
      sinks: { s: { type: blackhole, \(queue(values[1])) } }
      profiles: { one: { \(queue(values[2]))\(values[2] == nil ? "" : ",") sinks: { s: { \(queue(values[3])) } } } }
      pipelines: { p: { extends: [one], \(queue(values[4]))\(values[4] == nil ? "" : ",") sinks: { s: { \(queue(values[5])) } } } }

      """
  }

  @Test(arguments: 0..<64) func queueOfASink(_ said: Int) throws {
    let values = (1...6).map { said & (1 << ($0 - 1)) != 0 ? "\($0)MiB" : nil }
    let outcome = read(Self.queueText(values))
    #expect(outcome.rendered == "")
    let pipeline = try #require(outcome.settings?.pipelines.first)
    let winner = values.compactMap { $0 }.last ?? "16MiB"
    #expect(pipeline.sinks.map { Units.text(bytes: $0.queue.bytes) } == [winner])
    // What is said of the pipeline as a whole does not hear of the sink.
    let whole = [values[0], values[2], values[4]].compactMap { $0 }.last ?? "16MiB"
    #expect(Units.text(bytes: pipeline.queue.bytes) == whole)
    // Everything else of the queue is built in.
    #expect(pipeline.sinks.first?.queue.whenFull == .dropOldest)
    #expect(pipeline.sinks.first?.retry.max == .seconds(30))

    let lines = zip(values, Self.queueLayers).filter { $0.0 != nil }.map(\.1.line)
    let shown = try #require(outcome.effective?.yaml(origin: true)).split(separator: "\n")
    let line = try #require(shown.first { $0.hasPrefix("          bytes: ") })
    let places = line.matches(of: /x\.yaml:([0-9]+):/).compactMap { Int($0.1) }
    #expect(places == lines.reversed(), "\(line)")
  }

  /// A null at each layer of the sink brings back what is built in.
  @Test(arguments: 1..<6) func queueRemoved(_ layer: Int) throws {
    var values: [String?] = Array(repeating: "1MiB", count: layer) + Array(repeating: nil, count: 6 - layer)
    values[layer] = "~"
    let outcome = read(Self.queueText(values))
    #expect(outcome.rendered == "")
    #expect(outcome.settings?.pipelines.first?.sinks.map(\.queue.bytes) == [16 << 20])
  }

  /// A setting of the sink itself: below and above the shared one.
  @Test(
    arguments: [
      ([nil, nil, nil, nil], "jsonl"), (["csv", nil, nil, nil], "csv"), (["csv", "tsv", nil, nil], "tsv"),
      ([nil, "tsv", "csv", nil], "csv"), ([nil, "tsv", nil, "csv"], "csv"),
      (["csv", "tsv", "msgpack", "protobuf"], "protobuf"),
      (["csv", "tsv", "msgpack", "~"], "jsonl"), (["csv", "~", nil, nil], "jsonl"), ([nil, "csv", "~", "tsv"], "tsv"),
    ] as [([String?], String)]) func formatOfASink(_ values: [String?], _ expected: String) throws
  {
    func format(_ value: String?) -> String { value.map { "format: \($0)" } ?? "" }
    let text = """
      version: 1
      defaults: { sinks: { s: { \(format(values[0])) } } }
      sinks: { s: { type: stdout, \(format(values[1])) } }
      profiles: { one: { sinks: { s: { \(format(values[2])) } } } }
      pipelines: { p: { extends: [one], sinks: { s: { \(format(values[3])) } } } }
      """
    let outcome = read(text)
    #expect(outcome.rendered == "")
    #expect(outcome.settings?.pipelines.first?.sinks.map(\.format.rawValue) == [expected])
  }

  @Test func sinksAreRemovedAndComeBack() throws {
    let text = """
      version: 1
      sinks: { a: { type: file, path: /a, format: csv }, b: { type: file, path: /b } }
      defaults: { sinks: { a: { format: tsv, columns: [netns] }, b: {} } }
      profiles:
        without: { sinks: { a: ~, z: ~ } }
        with: { sinks: { a: {} } }
        only: { sinks: ~ }
      pipelines:
        p: { sinks: { a: ~ } }
        q: { extends: [without] }
        r: { extends: [without, with] }
        s: { extends: [only], sinks: { x: { type: blackhole } } }
        t: {}
      """
    let outcome = read(text)
    #expect(outcome.errors == [])
    let pipelines = try #require(outcome.settings).pipelines
    #expect(pipelines.map { $0.sinks.map(\.name) } == [["b"], ["b"], ["b", "a"], ["x"], ["a", "b"]])
    // One that was removed begins anew.
    #expect(pipelines[2].sinks[1].columns == nil)
    #expect(pipelines[4].sinks[0].columns == ["netns"])
    #expect(pipelines[4].sinks[0].format == .csv)
  }

  @Test func enabledFalse() throws {
    let text = """
      version: 1
      sinks: { a: { type: file, path: /a, enabled: false }, b: { type: file, path: /b } }
      profiles: { off: { enabled: false }, quiet: { sinks: { b: { enabled: false } } } }
      pipelines:
        p: { sinks: { a: {}, b: {} } }
        q: { sinks: { a: { enabled: true }, b: {} }, extends: [quiet] }
        r: { sinks: { b: {} }, extends: [off] }
        s: { sinks: { b: {} }, extends: [off], enabled: ~ }
      """
    let pipelines = try #require(read(text).settings).pipelines
    #expect(pipelines.map(\.name) == ["p", "q", "s"])
    // A pipeline's own settings are above its profiles, whatever order they are written in.
    #expect(pipelines.map { $0.sinks.map(\.name) } == [["b"], ["a"], ["b"]])
  }
}

@Suite struct ProfileTests {
  private func intervals(_ text: String) throws -> [Duration] {
    let outcome = read("version: 1\ndefaults: { sinks: { o: { type: blackhole } } }\n" + text)
    #expect(outcome.rendered == "")
    return try #require(outcome.settings).pipelines.map(\.interval)
  }

  @Test func profilesExtendProfiles() throws {
    let text = """
      profiles:
        base: { interval: 1s, timeout: 500ms }
        a: { extends: [base], interval: 2s }
        b: { extends: [base], label: b }
      pipelines:
        p: { extends: [a] }
        q: { extends: [a, b] }
        r: { extends: [b, a] }
        s: { extends: [] }
      """
    // `base` is where the first needs it, so that `b` does not bring it back above `a`.
    #expect(try intervals(text) == [.seconds(2), .seconds(2), .seconds(2), .seconds(10)])
  }

  @Test(arguments: [
    ("profiles: { a: {} }\nP extends: [b] } }", "3:64: error: there is no profile `b`; define it under `profiles`"),
    (
      "profiles: { fast: {} }\nP extends: [fsat] } }",
      "3:64: error: there is no profile `fsat`; define it under `profiles`; did you mean `fast`?"
    ),
    ("profiles: { a: {} }\nP extends: [a, a] } }", "3:67: error: `extends` holds `a` twice; remove one of them"),
    (
      "profiles: { a: {} }\nP extends: [[a]] } }",
      "3:64: error: `extends` must be a list of names of profiles, not a list"
    ),
    ("profiles: { a: { extends: [a] } }\nP extends: [a] } }", "2:27: error: profile `a` extends itself: a -> a"),
    (
      "profiles: { a: { extends: [c] }, b: { extends: [a] }, c: { extends: [b] } }\nP } }",
      "2:27: error: profile `a` extends itself: a -> c -> b -> a"
    ),
    ("profiles: { a: 5 }\nP } }", "2:16: error: `profiles.a` must be a mapping, not `5`"),
    (
      "profiles: { a: { interval: 5 } }\nP } }",
      "2:28: error: `interval`: `5` has no unit; write it like 500ms, 10s or 1m30s"
    ),
    (
      "profiles: { a: { sinks: { s: { type: stdout, fromat: csv } } } }\nP } }",
      "2:46: error: unknown key `fromat` in a sink of type `stdout`; did you mean `format`?"
    ),
    ("profiles: 5\nP } }", "2:11: error: `profiles` must be a mapping from names, not `5`"),
  ]) func mistakes(_ text: String, _ says: String) {
    let start = "pipelines: { p: { sinks: { o: { type: blackhole } },"
    #expect(diagnose("version: 1\n" + text.replacing("P", with: start) + "\n") == [says])
  }

  @Test func tooManyProfiles() {
    let profiles = (0..<17).map { "  p\($0): {}\n" }.joined()
    let names = (0..<17).map { "p\($0)" }.joined(separator: ", ")
    let text =
      "version: 1\nprofiles:\n\(profiles)pipelines: { p: { extends: [\(names)], sinks: { o: { type: stdout } } } }\n"
    #expect(
      diagnose(text) == [
        "20:14: error: pipeline `p` extends 17 profiles, those included that they extend; 16 are permitted"
      ])
  }
}

/// Two files that say something of the same.
@Suite struct FileMergeTests {
  static let rest = "pipelines: { p: { sinks: { o: { type: blackhole } } } }\n"

  private func diagnose(_ main: String, _ later: String) throws -> [String] {
    try ConfigurationFiles(["x.yaml": "version: 1\ninclude: [y.yaml]\n" + main, "y.yaml": later]).diagnose()
  }

  private func pipelines(_ main: String, _ later: String) throws -> [PipelineSettings] {
    let files = try ConfigurationFiles(["x.yaml": "version: 1\ninclude: [y.yaml]\n" + main, "y.yaml": later])
    let outcome = files.read()
    #expect(outcome.rendered == "")
    return try #require(outcome.settings).pipelines
  }

  @Test func mappingsJoin() throws {
    let pipelines = try pipelines(
      "sinks: { a: { type: stdout } }\nprofiles: { f: { interval: 1s } }\ndefaults: { reader: { cqe_batch: 3 } }\n"
        + "pipelines: { p: { sinks: { a: {} } } }\n",
      "version: 1\nsinks: { b: { type: blackhole } }\nprofiles: { g: { label: g } }\n"
        + "defaults: { reader: { recv_batch: 2 } }\n"
        + "pipelines: { p: { sinks: { b: {} } }, q: { extends: [f, g], sinks: { b: { enabled: true } } } }\n")
    #expect(pipelines.map(\.name) == ["p", "q"])
    #expect(pipelines.map { $0.sinks.map(\.name) } == [["a", "b"], ["b"]])
    #expect(pipelines.map(\.reader.cqeBatch) == [3, 3])
    #expect(pipelines.map(\.reader.recvBatch) == [2, 2])
    #expect((pipelines[1].interval, pipelines[1].label) == (.seconds(1), "g"))
  }

  @Test(arguments: [
    ("global: { label: a }\n", "global: { label: b }\n", "global.label", "y.yaml:1:11", "3:11"),
    ("global: { label: a }\n", "global: { label: a }\n", "global.label", "y.yaml:1:11", "3:11"),
    (
      "global: { paths: { netns: [/a] } }\n", "global: { paths: { netns: [/b] } }\n", "global.paths.netns",
      "y.yaml:1:20", "3:20"
    ),
    ("defaults: { reader: {} }\n", "defaults: { reader: ~ }\n", "defaults.reader", "y.yaml:1:13", "3:13"),
  ]) func theSameTwice(_ main: String, _ later: String, _ path: String, _ place: String, _ first: String) throws {
    let found = try diagnose(main + Self.rest, later)
    #expect(
      found.first
        == "\(place): error: `\(path)` is set by an earlier file; remove one of them, or tag this value `!override` "
        + "[\(first) first here]")
  }

  @Test func versions() throws {
    #expect(try diagnose(Self.rest, "version: 1\n") == [])
    #expect(
      try diagnose(Self.rest, "version: 2\n").first
        == "y.yaml:1:1: error: `version` is set by an earlier file; remove one of them, or tag this value `!override` "
        + "[1:1 first here]")
    let files = try ConfigurationFiles(["x.yaml": "include: [y.yaml]\n", "y.yaml": "version: 1\n" + Self.rest])
    #expect(files.diagnose() == [])
  }

  @Test func override() throws {
    let main = """
      defaults: { interval: 1s, attributes: [info], reader: { cqe_batch: 3, recv_batch: 3 }, sinks: { o: { type: blackhole } } }
      pipelines: { p: { interval: 2s, label: x }, q: {} }

      """
    let later = """
      defaults: { attributes: !override [cong], reader: !override { recv_batch: 4 } }
      pipelines: { p: { interval: !override 3s, label: !override ~ }, q: !override ~ }

      """
    let pipelines = try pipelines(main, later)
    #expect(pipelines.map(\.name) == ["p"])
    let pipeline = try #require(pipelines.first)
    #expect(pipeline.interval == .seconds(3))
    #expect(pipeline.attributes == [.cong])
    #expect(pipeline.label == "")
    #expect(pipeline.reader == .with(mode: .auto, parallelism: 1, recvBatch: 4, cqeBatch: 128))
  }

  @Test func overridesThatDoNothing() throws {
    #expect(
      try diagnose(Self.rest, "global: { label: !override x }\n") == [
        "y.yaml:1:18: warning: `!override` replaces nothing: no earlier file sets `global.label`"
      ])
    #expect(
      try diagnose("global: { label: !override x }\n" + Self.rest, "") == [
        "x.yaml:3:18: warning: `!override` replaces nothing: no earlier file sets `global.label`"
      ])
    #expect(
      try diagnose("global: { paths: { netns: [!override /a] } }\n" + Self.rest, "") == [
        "x.yaml:3:28: error: `!override` belongs to the value of a key, which it replaces as a whole; remove it"
      ])
    #expect(
      try diagnose(Self.rest, "global: { label: !overide x }\n") == [
        "y.yaml:1:18: error: the tag `!overide` means nothing here; remove it; did you mean `!override`?"
      ])
  }

  @Test func includedFilesThatAreNoMapping() throws {
    #expect(try diagnose(Self.rest, "- x\n") == ["y.yaml:1:1: error: the file must be a mapping, not a list"])
    #expect(try diagnose(Self.rest, "") == [])
  }

  /// Through files and layers: where each value is from, and what it replaced on the way.
  @Test func provenance() throws {
    let files = try ConfigurationFiles([
      "x.yaml": """
      version: 1
      include: [conf.d/*.yaml]
      defaults:
        interval: 5s
        sinks: { o: { type: blackhole } }
      """,
      "conf.d/10.yaml": "pipelines:\n  web:\n    interval: 2s\n    attributes: [info]\n",
      "conf.d/20.yaml": "defaults:\n  interval: !override 6s\npipelines:\n  web:\n    interval: !override 3s\n",
    ])
    let folder = files.directory.url.path
    let shown = try #require(files.read().effective?.yaml(origin: true)).replacing(folder + "/", with: "")
    #expect(
      shown.contains(
        "    interval: 3s  # conf.d/20.yaml:5:5 (replaces conf.d/10.yaml:3:5, conf.d/20.yaml:2:3, x.yaml:4:3)\n"))
    #expect(shown.contains("    attributes: [info]  # conf.d/10.yaml:4:5\n"))
    #expect(shown.contains("    align: spread  # default\n"))
    #expect(shown.contains("      o:  # x.yaml:5:12\n        type: blackhole  # x.yaml:5:17\n"))
    #expect(shown.split(separator: "\n").allSatisfy { $0.contains("  # ") })
  }
}
