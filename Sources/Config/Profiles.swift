/// The section `profiles`: layers by name that pipelines, and other profiles, lay below their own settings.
struct Profiles {
  /// Profiles in one pipeline, those that they extend included.
  static let maximumDepth = 16

  static let key = "extends"

  private var entries: [String: Node.Entry] = [:]
  private let names: [String]
  /// Names that a profile extends, checked.
  private var parents: [String: [String]] = [:]

  /// Checks every profile by itself, used or not.
  init(_ root: Node, _ reading: inout Reading) {
    guard let section = root.entry(SettingsList.Section.profiles.rawValue)?.value,
      let read = NamedEntries.read(section, "profiles", "a profile", &reading)
    else {
      names = []
      return
    }
    let mappings = read.filter { entry in
      if entry.value.entries == nil { reading.mismatch("profiles.\(entry.key)", "a mapping", entry.value) }
      return entry.value.entries != nil
    }
    names = mappings.map(\.key)
    for entry in mappings { entries[entry.key] = entry }
    for entry in mappings where !reading.problems.isFull {
      parents[entry.key] = extended(by: entry, &reading)
    }
    for entry in mappings where !reading.problems.isFull { reportCycle(entry, &reading) }
  }

  /// All profiles.
  var all: [Node.Entry] { names.compactMap { entries[$0] } }

  /// The profiles below the settings of a pipeline, the lowest first, each once: one that two others extend is where the
  /// first of them needs it.
  func layers(below pipeline: Node.Entry, _ reading: inout Reading) -> [Node.Entry] {
    var order: [String] = []
    for name in extended(by: pipeline, &reading) { collect(name, &order, chain: []) }
    if order.count > Self.maximumDepth {
      reading.problems.error(
        pipeline.keyMark,
        "pipeline `\(pipeline.key)` extends \(order.count) profiles, those included that they extend; "
          + "\(Self.maximumDepth) are permitted")
      return []
    }
    return order.compactMap { entries[$0] }
  }

  private func collect(_ name: String, _ order: inout [String], chain: Set<String>) {
    guard !order.contains(name), !chain.contains(name), order.count <= Self.maximumDepth,
      chain.count <= Self.maximumDepth
    else { return }
    for parent in parents[name] ?? [] { collect(parent, &order, chain: chain.union([name])) }
    order.append(name)
  }

  /// The names in the `extends` of a pipeline or profile that are profiles; the others are reported.
  private func extended(by entry: Node.Entry, _ reading: inout Reading) -> [String] {
    guard let list = entry.value.entry(Self.key)?.value else { return [] }
    guard let elements = list.elements else {
      let sample = list.scalar?.written.printable(limit: 40) ?? "NAME"
      reading.mismatch(Self.key, "a list of profiles such as [\(list.isNull ? "NAME" : sample)]", list)
      return []
    }
    var extended: [String] = []
    for element in elements {
      guard let scalar = element.scalar, !element.isNull else {
        reading.mismatch(Self.key, "a list of names of profiles", element)
        continue
      }
      if scalar.isUnresolved { continue }
      if entries[scalar.text] == nil {
        // What a file that cannot be read would have said is not known.
        if reading.isIncomplete { continue }
        reading.problems.error(
          element.mark, "there is no profile \(scalar.written.quotedForMessage); define it under `profiles`",
          suggestion: scalar.hint.flatMap { Suggestion.nearest($0, in: names) })
      } else if extended.contains(scalar.text) {
        reading.problems.error(element.mark, "`\(Self.key)` holds \(element.description) twice; remove one of them")
      } else {
        extended.append(scalar.text)
      }
    }
    return extended
  }

  /// Reports a profile that extends itself, once for each cycle: at the one that comes first in the file.
  private func reportCycle(_ entry: Node.Entry, _ reading: inout Reading) {
    guard let cycle = cycle(from: entry.key), let first = names.first(where: cycle.contains), first == entry.key,
      let list = entry.value.entry(Self.key)?.value
    else { return }
    let chain = (cycle + [entry.key]).joined(separator: " -> ")
    reading.problems.error(list.mark, "profile `\(entry.key)` extends itself: \(chain)")
  }

  /// The way from a profile back to itself, if there is one; the shortest.
  private func cycle(from name: String) -> [String]? {
    var cameFrom: [String: String] = [:]
    var queue = [name]
    var next = 0
    while next < queue.count {
      let current = queue[next]
      next += 1
      for parent in parents[current] ?? [] {
        if parent == name {
          var chain = [current]
          while let last = chain.last, last != name, let before = cameFrom[last] { chain.append(before) }
          return chain.reversed()
        }
        if cameFrom[parent] == nil {
          cameFrom[parent] = current
          queue.append(parent)
        }
      }
    }
    return nil
  }
}
