/// One type of sink: its name in `type:` and the settings that it takes. A new type of sink is one entry in `all`.
struct SinkType: Sendable {
  let name: String
  let aliases: [String]
  let doc: String
  /// What the settings are read into.
  let blank: SinkKind
  let table: SettingsTable<SinkSettings>
  /// The settings that not every sink has.
  let own: [Setting<SinkSettings>]
  /// What a sink has of which nobody says anything.
  let builtIn: Node
  /// The formats that it writes.
  let formats: [FormatName]

  /// Where types of sinks are listed.
  static let all = [
    SinkType("stdout", "Standard output.", .stdout),
    SinkType("stderr", "Standard error, which the log goes to as well.", .stderr),
    file, udp, unixgram, tcp, unix,
    kafka, nats, valkey, nsq, http, clickHouse, s3,
    SinkType("blackhole", aliases: ["null"], "Counts and discards.", .blackhole),
  ]

  /// The names that `type` can have, aliases not included.
  static let names = all.map(\.name)

  /// - Parameters:
  ///   - groups: what the inner mappings of `own` are about.
  ///   - defaults: in YAML, what a sink of this type has where nobody says anything, if that is something else than for other types.
  ///   - formats: those that it writes.
  init(
    _ name: String, aliases: [String] = [], _ doc: String, _ blank: SinkKind, _ own: [Setting<SinkSettings>] = [],
    groups: [(path: String, doc: String)] = [], defaults: String = "{}", formats: [FormatName] = FormatName.streams
  ) {
    self.formats = formats
    self.name = name
    self.aliases = aliases
    self.doc = doc
    self.blank = blank
    self.own = own
    let inherited = SettingsList.pipeline.groups.filter { Self.delivery.contains($0.path) }
    table = SettingsTable(title: "a sink of type `\(name)`", groups: inherited + groups, Self.common + own) { key in
      Self.all.first { $0.table.paths.contains(key) }.map { "that is a setting of type `\($0.name)`" }
    }
    let ownDefaults = Node(builtIn: defaults) ?? .emptyMapping(at: .builtIn)
    builtIn = Node(
      content: .mapping((SettingsList.pipeline.builtIn.entries ?? []).filter { Self.delivery.contains($0.key) }),
      mark: .builtIn
    ).merged(under: table.builtIn).merged(under: ownDefaults)
  }

  /// The parts of a pipeline that each of its sinks has too, and takes over.
  static let delivery = ["queue", "retry"]

  /// Those as settings of a sink.
  private static let deliverySettings: [Setting<SinkSettings>] =
    SettingsList.pipeline.settings.filter { setting in
      delivery.contains { setting.description.path.hasPrefix("\($0).") }
    }.map { setting in
      Setting(setting, of: PipelineSettings(blank: ""), otherwise: "that of the pipeline") { sink, pipeline in
        (pipeline.queue, pipeline.retry) = (sink.queue, sink.retry)
      } outOf: { pipeline, sink in
        (sink.queue, sink.retry) = (pipeline.queue, pipeline.retry)
      }
    }

  /// What every sink has besides `type`.
  static let common: [Setting<SinkSettings>] =
    [
      Setting(
        "enabled", \.isEnabled, .boolean, default: "true", reload: .pipeline,
        "`false`: the sink is checked but nothing is sent to it."),
      Setting("format", \.format, .choice, default: "jsonl", reload: .pipeline, "How rows are encoded."),
      Setting(
        "columns", \.columns, .columns, otherwise: "all columns", reload: .pipeline,
        "For `csv`, `tsv` and `parquet`: the columns to write, in this order; `xtcpd schema fields` lists them."),
      Setting(
        "healthcheck", \.healthcheck, .choice, default: "warn", reload: .pipeline,
        "What a destination that cannot be reached at the start means: `none`, a line of the log (`warn`), or that the start "
          + "or the reload is refused (`require`)."),
    ] + deliverySettings

  /// The type that a `type:` names, or nil after reporting.
  static func named(by node: Node, _ reading: inout Reading) -> SinkType? {
    if let word = node.scalar?.text, let type = all.first(where: { $0.name == word || $0.aliases.contains(word) }) {
      return type
    }
    let suggestion = node.scalar?.hint.flatMap { Suggestion.nearest($0, in: names) }
    reading.mismatch("type", "one of \(names.joined(separator: ", "))", node, suggestion: suggestion)
    return nil
  }
}

extension ValueType where Value == [String]? {
  /// Names of columns, checked against the vocabulary.
  static var columns: ValueType {
    let name = ValueType<String>(name: "column", allowed: "", schema: .pattern("^[a-z][a-z0-9_]*$")) {
      node, path, reading in
      guard let text = node.scalar?.text, reading.vocabulary.columns.contains(text) else {
        let suggestion = node.scalar?.hint.flatMap { Suggestion.nearest($0, in: reading.vocabulary.columns) }
        reading.mismatch(
          path, "a list of columns of the record (`xtcpd schema fields` lists them)", node, suggestion: suggestion)
        return nil
      }
      return text
    }
    let list = ValueType<[String]>.list(of: name, atLeast: 1)
    return ValueType(name: list.name, allowed: list.allowed, schema: list.schema) { node, path, reading in
      list.read(node, path, &reading).map(Optional.some)
    }
  }
}
