extension ValueType where Value == [SinkSettings] {
  /// The sinks of a pipeline: each refers to one of the section `sinks` or is defined right here.
  static var sinks: ValueType {
    ValueType(
      name: "sinks by name", allowed: "",
      schema: .object(
        .init("type", .string("object")), .init("minProperties", .integer(1)),
        .init("propertyNames", .object(.init("pattern", .string(SettingsList.namePattern)))),
        .init("additionalProperties", .object(.init("$ref", .string("#/$defs/pipelineSink")))))
    ) { node, path, reading in
      guard let entries = NamedEntries.read(node, path, "a sink", &reading) else { return nil }
      return entries.compactMap { SinkReading.pipelineSink($0, &reading) }
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
        reading.problems.error(entry.keyMark, "`\(entry.key)` has no value; write `\(entry.key): {}`")
        return false
      }
      return true
    }
  }

  static func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}

/// Reads one sink, laid over what it refers to.
enum SinkReading {
  /// A sink as a pipeline names it.
  static func pipelineSink(_ entry: Node.Entry, _ reading: inout Reading) -> SinkSettings? {
    guard entry.value.entries != nil else {
      reading.mismatch("sinks.\(entry.key)", "a mapping", entry.value)
      return nil
    }
    switch (reading.sharedSinks.entry(entry.key), entry.value.entry("type")) {
    case (nil, .some): return read(entry, entry.value, &reading)
    case (let shared?, nil): return read(entry, shared.value.merged(under: entry.value), &reading)
    case (nil, nil):
      let known = reading.sharedSinks.entries?.map(\.key) ?? []
      reading.problems.error(
        entry.keyMark, "`\(entry.key)` is not defined under `sinks`; define it there or give it a `type` here",
        suggestion: Suggestion.nearest(entry.key, in: known))
    case (let shared?, let type?):
      reading.problems.error(
        type.keyMark, "`\(entry.key)` has its type from the section `sinks`; remove `type` here or rename this sink",
        notes: [(shared.keyMark, "defined here")])
    }
    return nil
  }

  /// A sink whose settings are all in `node`; `entry` names it and says where.
  static func read(_ entry: Node.Entry, _ node: Node, _ reading: inout Reading) -> SinkSettings? {
    guard let entries = node.entries else {
      reading.mismatch("sinks.\(entry.key)", "a mapping", node)
      return nil
    }
    guard let typeNode = node.entry("type")?.value else {
      let types = SinkType.names.joined(separator: ", ")
      reading.problems.error(entry.keyMark, "sink `\(entry.key)` has no `type`; give it one of \(types)")
      return nil
    }
    guard let type = SinkType.named(by: typeNode, &reading) else { return nil }
    var settings = SinkSettings(name: entry.key, kind: type.blank)
    let own = Node(content: .mapping(entries.filter { $0.key != "type" }), mark: node.mark)
    type.table.read(type.table.builtIn.merged(under: own), into: &settings, &reading)
    let missing = type.table.settings.map(\.description).filter { $0.isRequired && own.node(at: $0.path) == nil }
    for setting in missing {
      reading.problems.error(entry.keyMark, "sink `\(entry.key)` of type `\(type.name)` needs `\(setting.path)`")
    }
    checkColumns(settings, own, &reading)
    return settings
  }

  private static func checkColumns(_ settings: SinkSettings, _ node: Node, _ reading: inout Reading) {
    guard let columns = node.entry("columns"), !settings.format.hasColumns else { return }
    if let format = node.entry("format")?.value.mark, reading.problems.hasError(at: format) { return }
    let notes = node.entry("format").map { [($0.value.mark, "the format is set here")] } ?? []
    reading.problems.error(
      columns.keyMark,
      "`columns` select and order the cells of csv and tsv; this sink writes \(settings.format.rawValue)",
      notes: notes)
  }
}
