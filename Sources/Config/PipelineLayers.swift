/// Lays the layers of a pipeline over each other: built-in values and what `global` gives, `defaults`, profiles, the
/// pipeline. Its sinks have a layer more, their definition in the section `sinks`, right above `defaults`.
struct PipelineLayers {
  /// One layer, its sinks kept apart.
  struct Layer {
    let settings: Node
    let sinks: Node.Entry?
    /// What the layer says of every sink: `queue` and `retry`.
    let delivery: Node
    let idleNulls: Node.IdleNulls

    init(_ node: Node, idleNulls: Node.IdleNulls) {
      sinks = node.entry("sinks")
      settings = node.without(["sinks", Profiles.key])
      delivery = Node(
        content: .mapping((settings.entries ?? []).filter { SinkType.delivery.contains($0.key) }), mark: node.mark)
      self.idleNulls = idleNulls
    }
  }

  /// What a pipeline has of which nobody says anything.
  private let lowest: Node
  private let defaults: Layer
  /// `lowest` and `defaults`, which all pipelines have in common.
  private let base: Node
  private let shared: [String: Node.Entry]
  private let sharedNames: [String]

  init(global: Node?, defaults: Node?, shared: [Node.Entry]) {
    let inherited = (global?.entries ?? []).filter { ["label", "tag"].contains($0.key) && !$0.value.isNull }
    lowest = SettingsList.pipeline.builtIn.merged(under: Node(content: .mapping(inherited), mark: .builtIn))
    self.defaults = Layer(defaults ?? .emptyMapping(at: .builtIn), idleNulls: .kept)
    base = lowest.layered(under: self.defaults.settings, lowest: lowest, idleNulls: .dropped)
    self.shared = Dictionary(shared.map { ($0.key, $0) }) { first, _ in first }
    sharedNames = shared.map(\.key)
  }

  /// The effective settings of a pipeline as a tree, each sink with its type and all that it has of any layer; and
  /// whether all of its sinks are there, or some are left out and reported.
  func effective(
    _ pipeline: Node.Entry, _ profiles: [Node.Entry], _ reading: inout Reading
  ) -> (node: Node, hasEverySink: Bool) {
    var layers = [defaults]
    layers += profiles.map { Layer($0.value, idleNulls: .dropped) }
    layers.append(Layer(pipeline.value, idleNulls: .kept))
    var node = layers.dropFirst().reduce(base) {
      $0.layered(under: $1.settings, lowest: lowest, idleNulls: $1.idleNulls)
    }
    guard let sinks = sinks(layers, &reading), let entries = node.entries else { return (node, true) }
    node.content = .mapping(entries + [sinks.section])
    return (node, sinks.hasEverySink)
  }

  /// What a profile or `defaults` says of sinks, as far as it can be checked without a pipeline: laid over the shared sink
  /// if there is one of the name.
  func checkable(sinksOf layer: Node) -> [(entry: Node.Entry, node: Node)] {
    (layer.entry("sinks")?.value.entries ?? []).compactMap { entry in
      guard entry.value.entries != nil else { return nil }
      return (entry, shared[entry.key].map { $0.value.layered(under: entry.value) } ?? entry.value)
    }
  }

  /// What one layer says of one sink.
  private struct Mention {
    var layer: Int
    var entry: Node.Entry
  }

  /// The sinks by name, in the order in which they are first mentioned; nil if no layer has the key.
  private func sinks(_ layers: [Layer], _ reading: inout Reading) -> (section: Node.Entry, hasEverySink: Bool)? {
    var latest: Node.Entry?
    var names: [String] = []
    var mentions: [String: [Mention]] = [:]
    for (index, layer) in layers.enumerated() {
      guard var section = layer.sinks else { continue }
      if section.value.isNull {
        let isIdle = mentions.isEmpty && section.replaced.isEmpty
        (names, mentions) = ([], [:])
        latest = isIdle && layer.idleNulls == .kept ? section : nil
        continue
      }
      // What is no mapping is reported where it is read.
      guard let entries = section.value.entries else { return (section, false) }
      for entry in entries {
        if !entry.value.isNull {
          if mentions[entry.key] == nil { names.append(entry.key) }
          mentions[entry.key, default: []].append(Mention(layer: index, entry: entry))
        } else if mentions.removeValue(forKey: entry.key) != nil {
          names.removeAll { $0 == entry.key }
        } else if layer.idleNulls == .kept {
          names.append(entry.key)
          mentions[entry.key] = [Mention(layer: index, entry: entry)]
        }
      }
      if let earlier = latest { section.replaced = earlier.replaced }
      latest = section
    }
    guard var sinks = latest else { return nil }
    guard sinks.value.entries != nil else { return (sinks, false) }
    let resolved = names.compactMap { sink($0, mentions[$0] ?? [], layers, &reading) }
    sinks.value = Node(content: .mapping(resolved), mark: sinks.value.mark)
    return (sinks, resolved.count == names.count)
  }

  /// One sink with all its layers; nil if it is reported that it is nowhere defined, or twice.
  private func sink(
    _ name: String, _ mentions: [Mention], _ layers: [Layer], _ reading: inout Reading
  ) -> Node.Entry? {
    guard var entry = mentions.last?.entry, entry.value.entries != nil else { return mentions.last?.entry }
    let types = mentions.compactMap { $0.entry.value.entry("type") }
    if let shared = shared[name], let type = types.first {
      reading.problems.error(
        type.keyMark, "`\(name)` has its type from the section `sinks`; remove `type` here or rename this sink",
        notes: [(shared.keyMark, "defined here")])
      return nil
    }
    if shared[name] == nil, types.isEmpty {
      guard !reading.isIncomplete else { return nil }
      reading.problems.error(
        entry.keyMark, "`\(name)` is not defined under `sinks`; define it there or give it a `type` here",
        suggestion: Suggestion.nearest(name, in: sharedNames))
      return nil
    }
    var node = Node.emptyMapping(at: entry.value.mark)
    for (index, layer) in layers.enumerated() {
      node = node.layered(under: layer.delivery)
      for mention in mentions where mention.layer == index {
        node = node.layered(under: mention.entry.value, idleNulls: layer.idleNulls)
      }
      if index == 0, let shared = shared[name] { node = node.layered(under: shared.value) }
    }
    entry.value = node
    return entry
  }
}
