/// What a changed value costs a running daemon.
public enum ReloadClass: String, CaseIterable, Sendable {
  /// Taken over at the next poll.
  case live
  /// The pipeline is made anew.
  case pipeline
  /// Held by the process as a whole.
  case process
}

/// What the reference and the JSON Schema say of one setting.
struct SettingDescription: Sendable {
  /// Dotted, relative to its table: `reader.recv_batch`.
  let path: String
  let type: String
  let allowed: String
  /// The default as it would be written in YAML; nil if there is none.
  let defaultText: String?
  /// What holds when the key is left out and there is no default.
  let otherwise: String?
  /// Whether the key must be there.
  let isRequired: Bool
  let reload: ReloadClass
  /// One sentence, starting with a capital, for people who run xtcpd.
  let doc: String
  let schema: JSONValue
}

/// One entry of the list of settings: what it is called, what it may hold, where it goes.
struct Setting<Root>: Sendable {
  let description: SettingDescription
  /// Reads a value and stores it; reports what is wrong instead if something is.
  let apply: @Sendable (Node, inout Root, inout Reading) -> Void
  /// The default as a tree, the lowest layer of every merge; nil if there is none.
  let builtIn: Node?
  /// Two configurations say the same of it.
  let isEqual: @Sendable (Root, Root) -> Bool
  /// Its value for people; nil if it is of a kind that could hold a secret or is too long for a line.
  let shown: @Sendable (Root) -> String?

  init<Value: Equatable>(
    _ path: String, _ target: any WritableKeyPath<Root, Value> & Sendable, _ type: ValueType<Value>,
    default defaultText: String? = nil, otherwise: String? = nil, required: Bool = false, reload: ReloadClass,
    _ doc: String
  ) {
    description = SettingDescription(
      path: path, type: type.name, allowed: type.allowed, defaultText: defaultText, otherwise: otherwise,
      isRequired: required, reload: reload, doc: doc, schema: type.schema)
    builtIn = defaultText.flatMap(Node.init(builtIn:))
    isEqual = { $0[keyPath: target] == $1[keyPath: target] }
    shown = { PlainValue.text($0[keyPath: target], of: type.name) }
    let builtIn = builtIn
    apply = { node, root, reading in
      // What is wrong or unknown is the default, so that the rules between settings have something to hold on to.
      guard let value = type.read(node, path, &reading) ?? builtIn.flatMap({ type.read($0, path, &reading) }) else {
        return
      }
      root[keyPath: target] = value
    }
  }

  /// The setting of another root that is kept in a part which both have, without its default: what `otherwise` says
  /// holds if it is left out.
  init<Other: Sendable>(
    _ other: Setting<Other>, of blank: Other, otherwise: String,
    into: @escaping @Sendable (Root, inout Other) -> Void, outOf: @escaping @Sendable (Other, inout Root) -> Void
  ) {
    let inner = other.description
    description = SettingDescription(
      path: inner.path, type: inner.type, allowed: inner.allowed, defaultText: nil, otherwise: otherwise,
      isRequired: false, reload: inner.reload, doc: inner.doc, schema: inner.schema)
    builtIn = nil
    let applyInner = other.apply
    let part = { @Sendable (root: Root) -> Other in
      var part = blank
      into(root, &part)
      return part
    }
    isEqual = { other.isEqual(part($0), part($1)) }
    shown = { other.shown(part($0)) }
    apply = { node, root, reading in
      var part = part(root)
      applyInner(node, &part, &reading)
      outOf(part, &root)
    }
  }
}

/// The settings that one kind of mapping can hold.
struct SettingsTable<Root>: Sendable {
  /// What holds them, for messages: "a pipeline".
  let title: String
  /// Says of a key that this table does not have where it belongs instead, if there is more to say than its name.
  let explanation: @Sendable (_ key: String) -> String?
  let settings: [Setting<Root>]
  /// What each inner mapping is about, by path.
  let groups: [(path: String, doc: String)]
  /// All defaults as one tree.
  let builtIn: Node

  init(
    title: String, groups: [(path: String, doc: String)] = [], _ settings: [Setting<Root>],
    explanation: @escaping @Sendable (_ key: String) -> String? = { _ in nil }
  ) {
    self.title = title
    self.explanation = explanation
    self.groups = groups
    self.settings = settings
    var layer = Node.emptyMapping(at: .builtIn)
    for setting in settings {
      guard let value = setting.builtIn else { continue }
      layer = layer.merged(under: Node.nested(value, at: setting.description.path))
    }
    builtIn = layer
  }

  var paths: [String] { settings.map(\.description.path) }

  /// Reads a mapping into `root`; everything that is wrong with it is reported.
  func read(_ node: Node, into root: inout Root, _ reading: inout Reading) {
    read(node, under: "", into: &root, &reading)
  }

  /// Fills in every default.
  func readDefaults(into root: inout Root) {
    var reading = Reading(problems: Problems(), vocabulary: Vocabulary(columns: []))
    read(builtIn, into: &root, &reading)
  }

  private func read(_ node: Node, under path: String, into root: inout Root, _ reading: inout Reading) {
    guard let entries = node.entries else {
      reading.mismatch(of: path.isEmpty ? title : "`\(path)`", "a mapping", node)
      return
    }
    for entry in entries where !reading.problems.isFull {
      let entryPath = path.isEmpty ? entry.key : "\(path).\(entry.key)"
      // A null that has removed something, be it in another layer or with `!override` in another file.
      let isRemoval = entry.value.isNull && (reading.permitsRemoval || !entry.replaced.isEmpty)
      if let setting = settings.first(where: { $0.description.path == entryPath }) {
        if !isRemoval { setting.apply(entry.value, &root, &reading) }
      } else if settings.contains(where: { $0.description.path.hasPrefix(entryPath + ".") }) {
        if !isRemoval { read(entry.value, under: entryPath, into: &root, &reading) }
      } else {
        reportUnknown(entry, under: path, &reading)
      }
    }
  }

  private func reportUnknown(_ entry: Node.Entry, under path: String, _ reading: inout Reading) {
    if Self.mayBeSecret(entry.key) {
      reading.problems.hide(entry.keyMark)
      reading.problems.hide(entry.value.mark)
    }
    let message = "unknown key \(entry.key.quotedForMessage) in \(path.isEmpty ? title : "`\(path)`")"
    if path.isEmpty, let explanation = explanation(entry.key) {
      reading.problems.error(entry.keyMark, "\(message); \(explanation)")
    } else {
      reading.problems.error(entry.keyMark, message, suggestion: suggestion(for: entry.key, under: path))
    }
  }

  /// A secret at the wrong place, or with its name misspelt, is still one.
  private static func mayBeSecret(_ key: String) -> Bool {
    let key = key.lowercased()
    return ["pas", "pw", "secret", "token", "key", "cred", "auth"].contains { key.contains($0) }
  }

  /// What was probably meant by an unknown key: the same key in another mapping of this table, a sibling that is spelled
  /// almost like it, the same key in another table.
  private func suggestion(for key: String, under path: String) -> String? {
    if let moved = paths.first(where: { $0.hasSuffix(".\(key)") }) { return moved }
    let start = path.isEmpty ? "" : path + "."
    let siblings = paths.filter { $0.hasPrefix(start) }.map { String($0.dropFirst(start.count).prefix { $0 != "." }) }
    return Suggestion.nearest(key, in: siblings) ?? SettingsList.path(endingIn: key)
  }
}

extension Node {
  /// A default from the settings list, written in YAML; nil if it is not YAML, which a test rules out.
  init?(builtIn text: String) {
    var problems = Problems()
    let source = Source(name: "built-in defaults", bytes: Array(text.utf8))
    var nodeCount = 0
    guard
      var node = Composer.compose(source, index: Mark.builtIn.source, nodeCount: &nodeCount, problems: &problems)
    else { return nil }
    node.mark = .builtIn
    self = node
  }

  /// `value` at the end of a chain of mappings.
  static func nested(_ value: Node, at path: String) -> Node {
    path.split(separator: ".").reversed().reduce(value) { inner, key in
      let entry = Entry(key: String(key), keyMark: .builtIn, value: inner)
      return Node(content: .mapping([entry]), mark: .builtIn, weight: 1 + inner.weight)
    }
  }
}
