extension ValueType where Value == NamespaceSelector {
  /// `host`, `all`, `rest`, or a mapping with one key that says how the value is meant.
  static var namespaceSelector: ValueType {
    ValueType(
      name: "selector",
      allowed: "`host`, `all`, `rest`, " + kinds.map { "`{\($0): \(argument(of: $0))}`" }.joined(separator: ", "),
      schema: .object(.init("$ref", .string("#/$defs/selector")))
    ) { node, path, reading in
      if let entries = node.entries { return selector(entries, node, path, &reading) }
      switch node.scalar?.text {
      case "host": return .host
      case "all": return .all
      case "rest": return .rest
      default:
        let suggestion = node.scalar?.hint.flatMap { Suggestion.nearest($0, in: words) }
        let forms = kinds.map { "{\($0): \(argument(of: $0))}" }.joined(separator: ", ")
        reading.mismatch(path, "host, all, rest or one of \(forms)", node, suggestion: suggestion)
        return nil
      }
    }
  }

  private static let words = ["host", "all", "rest"]
  private static let kinds = ["name", "path", "inode", "pid", "cgroup"]

  private static func argument(of kind: String) -> String { kind == "inode" || kind == "pid" ? "N" : "GLOB" }

  private static func selector(
    _ entries: [Node.Entry], _ node: Node, _ path: String, _ reading: inout Reading
  ) -> NamespaceSelector? {
    guard entries.count == 1, let entry = entries.first else {
      reading.problems.error(
        node.mark,
        "`\(path)`: a selector has one key, one of \(kinds.joined(separator: ", ")); "
          + "list several selectors to select more")
      return nil
    }
    let path = "\(path).\(entry.key.printable(limit: 60))"
    switch entry.key {
    case "name": return glob(entry.value, path, &reading).map(NamespaceSelector.name)
    case "path": return glob(entry.value, path, &reading).map(NamespaceSelector.path)
    case "inode":
      return ValueType<Int>.integer(1...Int(UInt32.max)).read(entry.value, path, &reading).map { .inode(UInt64($0)) }
    case "pid": return ValueType<Int>.integer(1...4_194_304).read(entry.value, path, &reading).map { .pid(Int32($0)) }
    case "cgroup": return glob(entry.value, path, &reading).map(NamespaceSelector.cgroup)
    default:
      reading.problems.error(
        entry.keyMark,
        "unknown selector \(entry.key.quotedForMessage); the selectors are host, all, rest and "
          + kinds.map { "{\($0): ...}" }.joined(separator: ", "), suggestion: Suggestion.nearest(entry.key, in: kinds))
      return nil
    }
  }

  private static func glob(_ node: Node, _ path: String, _ reading: inout Reading) -> Glob? {
    guard let text = ValueType<String>.text(bytes: 1...4095).read(node, path, &reading) else { return nil }
    guard let glob = Glob(text) else {
      reading.mismatch(path, "a pattern of `*`, `?` and `[a-z]` whose brackets are closed", node)
      return nil
    }
    return glob
  }

  /// What an editor checks a selector with.
  static var definition: JSONValue {
    let text = JSONValue.object(.init("type", .string("string")), .init("minLength", .integer(1)))
    func object(_ key: String, _ value: JSONValue, _ doc: String) -> JSONValue {
      .object(
        .init("type", .string("object")), .init("description", .string(doc)),
        .init("properties", .object(.init(key, value))), .init("required", .strings([key])),
        .init("additionalProperties", .boolean(false)))
    }
    return .object(
      .init(
        "anyOf",
        .array([
          .object(.init("enum", .strings(words))),
          object("name", text, "Namespaces whose name matches a pattern of `*`, `?` and `[a-z]`."),
          object("path", text, "Namespaces mounted at a path that matches; `*` matches `/` too."),
          object("inode", ValueType<Int>.integer(1...Int(UInt32.max)).schema, "The namespace with this inode number."),
          object("pid", ValueType<Int>.integer(1...4_194_304).schema, "The namespace of this process."),
          object(
            "cgroup", text,
            "Namespaces whose first process is in a control group whose path matches; `*` matches `/` too."),
        ])))
  }
}
