/// Sinks that write to one place and get into each other's way: an error where they would tear each other's rows apart, a
/// warning where it works but is seldom meant.
enum DestinationRules {
  /// One sink of one enabled pipeline that writes to a place others may write to. A class, because each is compared with
  /// all before it and copies of settings would cost more than the comparison.
  private final class Use {
    let pipeline: PipelineSettings
    let sink: SinkSettings
    let mark: Mark
    /// The place as it stands in the file.
    let shown: String

    init(pipeline: PipelineSettings, sink: SinkSettings, mark: Mark, shown: String) {
      self.pipeline = pipeline
      self.sink = sink
      self.mark = mark
      self.shown = shown
    }
  }

  /// Reports each sink at most once, at the first other one that it clashes with.
  static func check(_ pipelines: [PipelineAssembly.Assembled], _ problems: inout Problems) {
    var uses: [String: [Use]] = [:]
    for assembled in pipelines {
      let pipeline = assembled.settings
      for sink in pipeline.sinks where !problems.isFull {
        let traits = sink.kind.traits
        guard let destination = traits.destination, !destination.isEmpty else { continue }
        let entry = assembled.entry
        let mark = entry.value.entry("sinks")?.value.entry(sink.name)?.keyMark ?? entry.keyMark
        let node = assembled.effective.entry("sinks")?.value.entry(sink.name)?.value.entry(traits.destinationKey)?
          .value
        let shown = node?.scalar.map { "`\($0.written.printable(limit: 200))`" } ?? destination
        let use = Use(pipeline: pipeline, sink: sink, mark: mark, shown: shown)
        let others = uses[destination, default: []]
        if let other = others.first, traits.isStream {
          problems.error(use.mark, tearing(other, use), notes: [(other.mark, "the other sink")])
        } else if let other = others.first(where: { mixes($0, use) }) {
          problems.warning(use.mark, mixing(other, use), notes: [(other.mark, "the other sink")])
        } else if let other = others.first(where: { doubles($0, use) }) {
          problems.warning(use.mark, doubling(other, use), notes: [(other.mark, "the other sink")])
        }
        uses[destination, default: []].append(use)
      }
    }
  }

  private static func tearing(_ one: Use, _ other: Use) -> String {
    "only one sink may write to \(other.shown), and sink `\(one.sink.name)` of pipeline `\(one.pipeline.name)` does "
      + "already; keep one of them, or use files"
  }

  private static func mixes(_ one: Use, _ other: Use) -> Bool {
    one.sink.format != other.sink.format || one.sink.columns != other.sink.columns
  }

  private static func mixing(_ one: Use, _ other: Use) -> String {
    let isFormat = one.sink.format != other.sink.format
    let what = isFormat ? one.sink.format.rawValue : "\(one.sink.format.rawValue) with other columns"
    return
      "\(other.shown) also gets \(what) from sink `\(one.sink.name)` of pipeline `\(one.pipeline.name)`; its readers "
      + "will see both mixed"
  }

  private static func doubling(_ one: Use, _ other: Use) -> String {
    let twice = "write to \(other.shown); rows"
    if one.pipeline.name == other.pipeline.name {
      return "sinks `\(one.sink.name)` and `\(other.sink.name)` both \(twice) will be there twice"
    }
    return
      "pipelines `\(one.pipeline.name)` and `\(other.pipeline.name)` may read the same namespaces and both \(twice) "
      + "of those will be there twice"
  }

  private static func doubles(_ one: Use, _ other: Use) -> Bool {
    one.pipeline.name == other.pipeline.name || one.pipeline.namespaces.mayOverlap(other.pipeline.namespaces)
  }
}

extension NamespaceSelection {
  /// Whether some namespace is probably selected by both. Selectors of different kinds are taken for different
  /// namespaces, because a warning that is mostly wrong is not read.
  func mayOverlap(_ other: NamespaceSelection) -> Bool {
    include.contains { mine in
      other.include.contains { theirs in
        mine.mayOverlap(theirs) && !exclude.contains { $0.covers(theirs) }
          && !other.exclude.contains { $0.covers(mine) }
      }
    }
  }
}

extension NamespaceSelector {
  fileprivate func mayOverlap(_ other: NamespaceSelector) -> Bool {
    switch (self, other) {
    // What another pipeline selects is not among the rest, unless that one reads the rest, too.
    case (.rest, _), (_, .rest): self == other
    case (.all, _), (_, .all): true
    case (.host, .name(let glob)), (.name(let glob), .host): glob.matches("host")
    case (.name(let one), .name(let other)), (.path(let one), .path(let other)),
      (.cgroup(let one), .cgroup(let other)):
      one.mayOverlap(other)
    default: self == other
    }
  }

  /// Whether everything that `other` selects is selected by this one.
  fileprivate func covers(_ other: NamespaceSelector) -> Bool {
    switch (self, other) {
    case (.all, _): true
    case (.name(let glob), .host): glob.matches("host")
    case (.name(let one), .name(let other)), (.path(let one), .path(let other)),
      (.cgroup(let one), .cgroup(let other)):
      one == other || other.literal.map(one.matches) == true
    default: self == other
    }
  }
}
