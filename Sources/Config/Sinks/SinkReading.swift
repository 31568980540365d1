extension ValueType where Value == [SinkSettings] {
  /// The sinks of a pipeline, each with what it has of any layer.
  static var sinks: ValueType {
    ValueType(
      name: "sinks by name", allowed: "",
      schema: .object(
        .init("type", .string("object")), .init("minProperties", .integer(1)),
        .init("propertyNames", .object(.init("pattern", .string(SettingsList.namePattern)))),
        .init(
          "additionalProperties",
          .object(.init("anyOf", .array([.object(.init("$ref", .string("#/$defs/pipelineSink"))), .removal])))))
    ) { node, path, reading in
      guard let entries = NamedEntries.read(node, path, "a sink", &reading) else { return nil }
      return entries.compactMap { SinkReading.read($0, $0.value, &reading) }
    }
  }
}

/// Mappings from names that users choose.
enum NamedEntries {
  /// The entries whose names and values can be gone on with; whatever is wrong with the others is reported.
  static func read(_ node: Node, _ path: String, _ what: String, _ reading: inout Reading) -> [Node.Entry]? {
    guard let entries = node.entries else {
      reading.mismatch(path, "a mapping from names", node)
      return nil
    }
    return entries.filter { entry in
      guard isName(entry.key) else {
        reading.problems.error(
          entry.keyMark, "\(entry.key.quotedForMessage) cannot name \(what); use 1 to 64 of A-Z a-z 0-9 _ . -")
        return false
      }
      if entry.value.isNull {
        // A later file has removed with `!override` what an earlier one has.
        if entry.replaced.isEmpty {
          reading.problems.error(entry.keyMark, "`\(entry.key)` has no value; write `\(entry.key): {}`")
        }
        return false
      }
      return true
    }
  }

  static func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count) && text.utf8.allSatisfy(\.isNameByte)
  }
}

/// Reads one sink.
enum SinkReading {
  /// A sink whose settings are all in `node`, the built-in ones excepted; `entry` names it and says where.
  static func read(_ entry: Node.Entry, _ node: Node, _ reading: inout Reading) -> SinkSettings? {
    guard node.entries != nil else {
      reading.mismatch("sinks.\(entry.key)", "a mapping", node)
      return nil
    }
    guard let typeNode = node.entry("type")?.value else {
      let types = SinkType.names.joined(separator: ", ")
      reading.problems.error(entry.keyMark, "sink `\(entry.key)` has no `type`; give it one of \(types)")
      return nil
    }
    guard let type = SinkType.named(by: typeNode, &reading) else { return nil }
    var settings = SinkSettings(blank: entry.key, kind: type.blank)
    let own = node.without(["type"])
    type.table.read(type.builtIn.merged(under: own), into: &settings, &reading)
    let missing = type.table.settings.map(\.description).filter { $0.isRequired && own.node(at: $0.path) == nil }
    for setting in missing {
      reading.problems.error(entry.keyMark, "sink `\(entry.key)` of type `\(type.name)` needs `\(setting.path)`")
    }
    checkColumns(settings, own, &reading)
    SinkRules.check(settings, type, own, entry, &reading)
    return settings
  }

  /// Checks what a layer says of a sink; what it does not say may be said by another one.
  static func check(_ entry: Node.Entry, _ node: Node, _ reading: inout Reading) {
    guard let typeNode = node.entry("type")?.value, let type = SinkType.named(by: typeNode, &reading) else { return }
    var settings = SinkSettings(blank: entry.key, kind: type.blank)
    type.table.read(node.without(["type"]), into: &settings, &reading)
  }

  /// The settings of a pipeline with what is built into each of its sinks.
  static func completed(_ pipeline: Node) -> Node {
    guard var entries = pipeline.entries, let index = entries.firstIndex(where: { $0.key == "sinks" }),
      let sinks = entries[index].value.entries
    else { return pipeline }
    var pipeline = pipeline
    let completed = sinks.map { entry in
      var entry = entry
      var reading = Reading(problems: Problems(), vocabulary: Vocabulary(columns: []))
      if let typeEntry = entry.value.entry("type"), let type = SinkType.named(by: typeEntry.value, &reading) {
        let settings = type.builtIn.merged(under: entry.value.without(["type"]))
        entry.value.content = .mapping([typeEntry] + (settings.entries ?? []))
      }
      return entry
    }
    entries[index].value.content = .mapping(completed)
    pipeline.content = .mapping(entries)
    return pipeline
  }

  /// The tree with every `type: null` of a sink in quotes: it names a type and removes nothing.
  static func spelledOut(_ root: Node) -> Node {
    root.mapEntries { section in
      switch section.key {
      case "sinks": quoteTypes(section)
      case "defaults": section.mapEntries { $0.key == "sinks" ? quoteTypes($0) : $0 }
      case "pipelines", "profiles":
        section.mapEntries { layer in layer.mapEntries { $0.key == "sinks" ? quoteTypes($0) : $0 } }
      default: section
      }
    }
  }

  private static func quoteTypes(_ sinks: Node.Entry) -> Node.Entry {
    sinks.mapEntries { sink in
      sink.mapEntries { entry in
        guard entry.key == "type", entry.value.isNull, let scalar = entry.value.scalar, !scalar.text.isEmpty else {
          return entry
        }
        var entry = entry
        entry.value.content = .scalar(Node.Scalar("null", isPlain: false))
        return entry
      }
    }
  }

  private static func checkColumns(_ settings: SinkSettings, _ node: Node, _ reading: inout Reading) {
    guard let columns = node.entry("columns"), !columns.value.isNull, !settings.format.hasColumns else { return }
    let format = node.entry("format")
    if let format, reading.problems.hasError(at: format.value.mark) || format.value.isUnresolved { return }
    let notes = format.map { [($0.value.mark, "the format is set here")] } ?? []
    reading.problems.error(
      columns.keyMark,
      "`columns` select and order the cells of csv, tsv and parquet; this sink writes \(settings.format.rawValue)",
      notes: notes)
  }
}

extension Node {
  /// This mapping with each entry replaced; anything else as it is.
  fileprivate func mapEntries(_ transform: (Entry) -> Entry) -> Node {
    guard let entries else { return self }
    var node = self
    node.content = .mapping(entries.map(transform))
    return node
  }
}

extension Node.Entry {
  fileprivate func mapEntries(_ transform: (Node.Entry) -> Node.Entry) -> Node.Entry {
    var entry = self
    entry.value = value.mapEntries(transform)
    return entry
  }
}
