/// Makes settings of a tree: checks each layer, lays them over each other, types the result, applies the rules that
/// concern more than one setting.
enum Assembly {
  /// The settings, as far as they can be told; whatever is wrong is in `reading.problems`.
  static func settings(from root: Node, _ reading: inout Reading) -> Settings {
    var settings = Settings()
    guard let entries = root.entries else {
      reading.problems.error(
        root.mark, "the file must be a mapping that begins with `version: 1`, not \(root.description)")
      return settings
    }
    let sections = SettingsList.Section.allCases.map(\.rawValue)
    for entry in entries where !sections.contains(entry.key) && !reading.problems.isFull {
      let near = Suggestion.nearest(entry.key, in: sections)
      reading.problems.error(
        entry.keyMark, "unknown key \(entry.key.quotedForMessage) at the top level",
        suggestion: near ?? SettingsList.path(endingIn: entry.key))
    }
    settings.version = version(root, &reading)
    settings.global = global(root, &reading)
    readSharedSinks(root, &reading)
    settings.pipelines = PipelineAssembly(root, &reading)?.pipelines(&reading) ?? []
    return settings
  }

  private static func version(_ root: Node, _ reading: inout Reading) -> Int {
    guard let entry = root.entry("version") else {
      reading.problems.error(start(of: root), "`version` is missing; begin the file with `version: 1`")
      return 0
    }
    return SettingsList.version.read(entry.value, "version", &reading) ?? 0
  }

  private static func global(_ root: Node, _ reading: inout Reading) -> GlobalSettings {
    var global = GlobalSettings.blank
    let table = SettingsList.global
    table.read(
      root.entry("global").map { table.builtIn.merged(under: $0.value) } ?? table.builtIn, into: &global, &reading)
    return global
  }

  /// Checks every shared sink by itself, used or not, and makes them known to pipelines.
  private static func readSharedSinks(_ root: Node, _ reading: inout Reading) {
    guard let section = root.entry("sinks")?.value else { return }
    guard let entries = NamedEntries.read(section, "sinks", "a sink", &reading) else { return }
    for entry in entries where !reading.problems.isFull {
      _ = SinkReading.read(entry, entry.value, &reading)
    }
    reading.sharedSinks = Node(content: .mapping(entries), mark: section.mark)
  }

  /// Where an error goes that concerns the file but no line of it.
  static func start(of root: Node) -> Mark {
    Mark(source: root.mark.source, line: 1, column: 1)
  }
}

/// Lays the layers of every pipeline over each other.
struct PipelineAssembly {
  /// Built-in values, what `global` gives to pipelines, and `defaults`.
  private let base: Node
  private let entries: [Node.Entry]
  private let root: Node

  /// Nil if there are no pipelines to read; that is reported.
  init?(_ root: Node, _ reading: inout Reading) {
    self.root = root
    let inherited = (root.entry("global")?.value.entries ?? []).filter { ["label", "tag"].contains($0.key) }
    var base = SettingsList.pipeline.builtIn
    base = base.merged(under: Node(content: .mapping(inherited), mark: .builtIn))
    if let defaults = root.entry("defaults")?.value {
      var layer = PipelineSettings(blank: "defaults")
      SettingsList.pipeline.read(defaults, into: &layer, &reading)
      if defaults.entries != nil { base = base.merged(under: defaults) }
    }
    self.base = base
    guard let section = root.entry("pipelines") else {
      reading.problems.error(
        Assembly.start(of: root),
        "`pipelines` is missing; add one, such as `pipelines: { host: { sinks: { out: { type: stdout } } } }`")
      return nil
    }
    guard let entries = NamedEntries.read(section.value, "pipelines", "a pipeline", &reading) else { return nil }
    if section.value.entries?.isEmpty == true {
      reading.problems.error(section.value.mark, "`pipelines` is empty; a configuration needs at least one")
    }
    self.entries = entries
  }

  /// The enabled pipelines.
  func pipelines(_ reading: inout Reading) -> [PipelineSettings] {
    var all: [(settings: PipelineSettings, entry: Node.Entry)] = []
    for entry in entries where !reading.problems.isFull {
      guard entry.value.entries != nil else {
        reading.mismatch("pipelines.\(entry.key)", "a mapping", entry.value)
        continue
      }
      var settings = PipelineSettings(blank: entry.key)
      let effective = base.merged(under: entry.value)
      SettingsList.pipeline.read(effective, into: &settings, &reading)
      PipelineRules(settings: settings, effective: effective, entry: entry).check(&reading.problems)
      settings.sinks.removeAll { !$0.isEnabled }
      all.append((settings, entry))
    }
    guard !reading.problems.hasErrors else { return [] }
    let enabled = all.filter(\.settings.isEnabled)
    if enabled.isEmpty, let first = all.first {
      reading.problems.error(first.entry.keyMark, "every pipeline is disabled; a configuration needs one that runs")
    }
    DestinationRules.check(enabled, &reading.problems)
    return enabled.map(\.settings)
  }
}
