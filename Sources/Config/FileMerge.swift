/// Lays the files of a configuration side by side: mappings join; what two files both set is an error unless the later
/// one is tagged `!override`.
struct FileMerge {
  private var problems: Problems

  /// One tree of the trees of all files in order. What is wrong is reported at the later place.
  static func merge(_ trees: [Node], _ problems: inout Problems) -> Node? {
    var merge = FileMerge(problems: problems)
    defer { problems = merge.problems }
    // What is wrong with a main file that is no mapping is reported where it is read.
    guard let main = trees.first, main.entries != nil else { return trees.first }
    var parts: [Node] = []
    for tree in trees {
      if tree.entries == nil {
        merge.problems.error(tree.mark, "the file must be a mapping, not \(tree.description)")
      }
      parts.append(tree.without([SettingsList.Section.include.rawValue]))
    }
    return merge.join(parts, at: "")
  }

  /// The mappings of several files at one place as one.
  private mutating func join(_ parts: [Node], at path: String) -> Node {
    var keys: [String] = []
    var values: [String: [Node.Entry]] = [:]
    for entry in parts.lazy.flatMap({ $0.entries ?? [] }) {
      if values[entry.key] == nil { keys.append(entry.key) }
      values[entry.key, default: []].append(entry)
    }
    let entries = keys.compactMap { key in
      values[key].flatMap { join($0, at: path.isEmpty ? key : "\(path).\(key)") }
    }
    let weight = 1 + entries.reduce(0) { $0 + $1.value.weight }
    return Node(content: .mapping(entries), mark: parts.first?.mark ?? .builtIn, weight: weight)
  }

  /// What several files say of one key, in their order.
  private mutating func join(_ entries: [Node.Entry], at path: String) -> Node.Entry? {
    guard var result = entries.first else { return nil }
    if result.value.isOverride {
      // Whoever wrote it expects something.
      problems.warning(
        result.value.mark, "`!override` replaces nothing: no earlier file sets \(path.quotedForMessage)")
    }
    var parts = [result.value]
    for entry in entries.dropFirst() {
      if entry.value.isOverride {
        (result, parts) = (entry.replacing(result), [entry.value])
      } else if result.value.entries != nil, entry.value.entries != nil {
        parts.append(entry.value)
      } else if !isSameVersion(result, entry, at: path) {
        problems.error(
          entry.keyMark,
          "\(path.quotedForMessage) is set by an earlier file; remove one of them, or tag this value `!override`",
          notes: [(result.keyMark, "first here")])
        (result, parts) = (entry.replacing(result), [entry.value])
      }
    }
    if result.value.entries != nil { result.value = join(parts, at: path) }
    result.value.isOverride = false
    return result
  }

  /// Every file may say which version of the format it has.
  private func isSameVersion(_ one: Node.Entry, _ other: Node.Entry, at path: String) -> Bool {
    guard path == SettingsList.Section.version.rawValue, let text = one.value.scalar?.text else { return false }
    return text == other.value.scalar?.text
  }
}

extension Node.Entry {
  /// This entry in the place of an earlier one.
  fileprivate func replacing(_ earlier: Node.Entry) -> Node.Entry {
    var entry = self
    entry.replaced = [earlier.keyMark] + earlier.replaced
    return entry
  }
}
