/// Makes settings of a tree: checks each layer, lays them over each other, types the result, applies the rules that
/// concern more than one setting.
struct Assembly {
  /// The tree of all files.
  private let root: Node
  /// What every setting is in the end, as a tree.
  private(set) var effective = Node.emptyMapping(at: .builtIn)

  /// Sinks of all pipelines together.
  static let maximumSinks = 4096

  init(_ root: Node) { self.root = SinkReading.spelledOut(root) }

  /// The settings, as far as they can be told; whatever is wrong is in `reading.problems`.
  mutating func settings(_ reading: inout Reading) -> Settings {
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
    settings.version = version(&reading)
    settings.global = global(&reading)
    settings.pipelines = pipelines(&reading)
    return settings
  }

  private mutating func version(_ reading: inout Reading) -> Int {
    guard let entry = root.entry("version") else {
      if !reading.isIncomplete {
        reading.problems.error(start, "`version` is missing; begin the file with `version: 1`")
      }
      return 0
    }
    add(entry)
    return SettingsList.version.read(entry.value, "version", &reading) ?? 0
  }

  private mutating func global(_ reading: inout Reading) -> GlobalSettings {
    var global = GlobalSettings.blank
    let table = SettingsList.global
    let node = root.entry("global").map { table.builtIn.merged(under: $0.value) } ?? table.builtIn
    table.read(node, into: &global, &reading)
    add(Node.Entry(key: "global", keyMark: root.entry("global")?.keyMark ?? .builtIn, value: node))
    return global
  }

  /// Checks every shared sink by itself, used or not.
  private func sharedSinks(_ reading: inout Reading) -> [Node.Entry] {
    guard let section = root.entry("sinks")?.value else { return [] }
    let entries = NamedEntries.read(section, "sinks", "a sink", &reading) ?? []
    for entry in entries where !reading.problems.isFull {
      _ = SinkReading.read(entry, entry.value, &reading)
    }
    return entries
  }

  /// Checks the settings of a layer that several pipelines use, so that it is checked if none does.
  private func check(_ layer: Node, _ layers: PipelineLayers, _ reading: inout Reading) {
    var settings = PipelineSettings(blank: "layer")
    SettingsList.pipeline.read(layer.without(["sinks", Profiles.key]), into: &settings, &reading)
    for (entry, node) in layers.checkable(sinksOf: layer) where !reading.problems.isFull {
      SinkReading.check(entry, node, &reading)
    }
  }

  private mutating func pipelines(_ reading: inout Reading) -> [PipelineSettings] {
    reading.permitsRemoval = true
    let shared = sharedSinks(&reading)
    let profiles = Profiles(root, &reading)
    let defaults = root.entry("defaults")?.value
    let layers = PipelineLayers(
      global: effective.entry("global")?.value, defaults: defaults?.entries == nil ? nil : defaults, shared: shared)
    for profile in profiles.all where !reading.problems.isFull { check(profile.value, layers, &reading) }
    reading.permitsRemoval = false
    if let defaults {
      if let misplaced = defaults.entry(Profiles.key) {
        reading.problems.error(
          misplaced.keyMark, "`defaults` cannot extend profiles; put `extends` into the pipelines")
      }
      check(defaults, layers, &reading)
    }
    return PipelineAssembly(root, layers, profiles, &reading).map { pipelines($0, &reading) } ?? []
  }

  private mutating func pipelines(_ assembly: PipelineAssembly, _ reading: inout Reading) -> [PipelineSettings] {
    let (settings, effective) = assembly.pipelines(&reading)
    add(Node.Entry(key: "pipelines", keyMark: root.entry("pipelines")?.keyMark ?? .builtIn, value: effective))
    return settings
  }

  private mutating func add(_ entry: Node.Entry) {
    effective = effective.merged(under: Node(content: .mapping([entry]), mark: .builtIn))
  }

  /// Where an error goes that concerns the configuration but no line of it.
  private var start: Mark { Mark(source: root.mark.source, line: 1, column: 1) }
}

/// Makes settings of every pipeline.
struct PipelineAssembly {
  private let entries: [Node.Entry]
  private let layers: PipelineLayers
  private let profiles: Profiles
  private let mark: Mark

  /// One pipeline: typed, as a tree, and as it stands in the file.
  struct Assembled {
    var settings: PipelineSettings
    var effective: Node
    var entry: Node.Entry
  }

  /// Nil if there are no pipelines to read; that is reported.
  init?(_ root: Node, _ layers: PipelineLayers, _ profiles: Profiles, _ reading: inout Reading) {
    self.layers = layers
    self.profiles = profiles
    guard let section = root.entry("pipelines") else {
      if !reading.isIncomplete {
        reading.problems.error(
          Mark(source: root.mark.source, line: 1, column: 1),
          "`pipelines` is missing; add one, such as `pipelines: { host: { sinks: { out: { type: stdout } } } }`")
      }
      return nil
    }
    guard let entries = NamedEntries.read(section.value, "pipelines", "a pipeline", &reading) else { return nil }
    if section.value.entries?.isEmpty == true, !reading.isIncomplete {
      reading.problems.error(section.value.mark, "`pipelines` is empty; a configuration needs at least one")
    }
    self.entries = entries
    mark = section.value.mark
  }

  /// The enabled pipelines, and all of them as a tree.
  func pipelines(_ reading: inout Reading) -> ([PipelineSettings], Node) {
    var all: [Assembled] = []
    var sinkCount = 0
    for entry in entries where !reading.problems.isFull {
      guard entry.value.entries != nil else {
        reading.mismatch("pipelines.\(entry.key)", "a mapping", entry.value)
        continue
      }
      let pipeline = assemble(entry, &reading)
      all.append(pipeline)
      sinkCount += pipeline.effective.node(at: "sinks")?.entries?.count ?? 0
      if sinkCount > Assembly.maximumSinks {
        reading.problems.error(
          entry.keyMark, "the pipelines up to this one have more than \(Assembly.maximumSinks) sinks together")
        break
      }
    }
    let tree = Node(
      content: .mapping(
        all.map { .init(key: $0.entry.key, keyMark: $0.entry.keyMark, value: $0.effective) }), mark: mark)
    guard !reading.problems.hasErrors else { return ([], tree) }
    let enabled = all.filter(\.settings.isEnabled)
    if enabled.isEmpty, let first = all.first {
      reading.problems.error(first.entry.keyMark, "every pipeline is disabled; a configuration needs one that runs")
    }
    DestinationRules.check(enabled, &reading.problems)
    return (enabled.map(\.settings), tree)
  }

  private func assemble(_ entry: Node.Entry, _ reading: inout Reading) -> Assembled {
    var settings = PipelineSettings(blank: entry.key)
    let (effective, hasEverySink) = layers.effective(entry, profiles.layers(below: entry, &reading), &reading)
    SettingsList.pipeline.read(effective, into: &settings, &reading)
    PipelineRules(
      settings: settings, effective: effective, entry: entry, isIncomplete: reading.isIncomplete || !hasEverySink
    )
    .check(&reading.problems)
    settings.sinks.removeAll { !$0.isEnabled }
    return Assembled(settings: settings, effective: effective, entry: entry)
  }
}
