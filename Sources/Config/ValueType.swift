/// What a setting can hold: how it is read, how the reference describes it, how JSON Schema checks it.
struct ValueType<Value: Sendable>: Sendable {
  /// For the reference, such as "duration".
  let name: String
  /// For the reference, such as "1 to 4096"; empty if the name says all.
  let allowed: String
  /// What an editor checks with.
  let schema: JSONValue
  /// Reads the value of the setting at a path; on nil it has reported why not, or it is not known here.
  let read: @Sendable (_ node: Node, _ path: String, _ reading: inout Reading) -> Value?

  init(
    name: String, allowed: String, schema: JSONValue,
    read: @escaping @Sendable (_ node: Node, _ path: String, _ reading: inout Reading) -> Value?
  ) {
    self.name = name
    self.allowed = allowed
    self.schema = schema
    self.read = { node, path, reading in
      node.scalar?.isUnresolved == true ? nil : read(node, path, &reading)
    }
  }
}

extension ValueType where Value == Int {
  /// A whole number, written in decimal and not quoted.
  static func integer(_ range: ClosedRange<Int>) -> ValueType {
    let allowed =
      range.lowerBound == range.upperBound ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
    return ValueType(
      name: "integer", allowed: allowed,
      schema: .object(
        .init("type", .string("integer")), .init("minimum", .integer(range.lowerBound)),
        .init("maximum", .integer(range.upperBound)))
    ) { node, path, reading in
      let expected = range.lowerBound == range.upperBound ? allowed : "a whole number from \(allowed)"
      guard let number = ScalarForm.integer(node), range.contains(number) else {
        reading.mismatch(path, expected, node)
        return nil
      }
      return number
    }
  }

  /// A number of bytes, written with its unit.
  static func size(_ range: ClosedRange<Int>) -> ValueType {
    let allowed = "\(Units.text(bytes: range.lowerBound)) to \(Units.text(bytes: range.upperBound))"
    return ValueType(
      name: "size", allowed: allowed,
      schema: .pattern("^[0-9]+(" + Units.sizes.map(\.unit).joined(separator: "|") + ")$")
    ) { node, path, reading in
      guard let size = ScalarForm.parsed(node, path, "a size from \(allowed)", &reading, Units.size) else {
        return nil
      }
      guard range.contains(size) else {
        reading.mismatch(path, "from \(allowed)", node)
        return nil
      }
      return size
    }
  }
}

extension ValueType where Value == Duration {
  /// A length of time, written with its unit.
  static func duration(_ range: ClosedRange<Duration>) -> ValueType {
    let allowed = "\(Units.text(range.lowerBound)) to \(Units.text(range.upperBound))"
    return ValueType(
      name: "duration", allowed: allowed,
      schema: .pattern("^([0-9]+(" + Units.durations.map(\.unit).joined(separator: "|") + "))+$")
    ) { node, path, reading in
      let expected = "a duration from \(allowed)"
      guard let duration = ScalarForm.parsed(node, path, expected, &reading, Units.duration) else { return nil }
      guard range.contains(duration) else {
        reading.mismatch(path, "from \(allowed)", node)
        return nil
      }
      return duration
    }
  }
}

extension ValueType where Value == Bool {
  /// `true` or `false`; the other words that some YAML readers take for booleans are errors.
  static var boolean: ValueType {
    ValueType(name: "boolean", allowed: "", schema: .object(.init("type", .string("boolean")))) { node, path, reading in
      guard let scalar = node.scalar, scalar.isPlain || scalar.isExpanded, let value = Bool(scalar.text) else {
        let meant = ["yes": "true", "on": "true", "no": "false", "off": "false"]
        let word = node.scalar?.hint?.lowercased()
        let suggestion = word.flatMap { meant[$0] ?? Bool($0)?.description }
        reading.mismatch(path, "true or false", node, suggestion: suggestion)
        return nil
      }
      return value
    }
  }
}

extension ValueType where Value == String {
  /// Free text for a column of every row. What YAML readers take for a number, a boolean or null must be quoted, so that
  /// a tool that rewrites the file cannot change it.
  static func text(bytes range: ClosedRange<Int>) -> ValueType {
    ValueType(
      name: "text", allowed: "\(range.lowerBound) to \(range.upperBound) bytes",
      schema: .object(
        .init("type", .string("string")), .init("minLength", .integer(range.lowerBound)),
        .init("maxLength", .integer(range.upperBound)))
    ) { node, path, reading in
      guard let text = ScalarForm.text(node, path, &reading) else { return nil }
      guard range.contains(text.utf8.count) else {
        let expected = "\(range.lowerBound) to \(range.upperBound) bytes long"
        reading.problems.error(node.mark, "`\(path)` must be \(expected), not \(text.utf8.count)")
        return nil
      }
      return text
    }
  }

  /// The absolute path of a file or directory.
  static var path: ValueType {
    ValueType(name: "path", allowed: "absolute", schema: .pattern("^/")) { node, path, reading in
      guard let text = ScalarForm.text(node, path, &reading) else { return nil }
      guard text.hasPrefix("/") else {
        reading.mismatch(path, "an absolute path", node)
        return nil
      }
      guard text.utf8.count <= 4095 else {
        reading.problems.error(node.mark, "`\(path)` must be at most 4095 bytes long, not \(text.utf8.count)")
        return nil
      }
      return text
    }
  }
}

extension ValueType where Value == UInt32 {
  /// Permission bits as quoted octal digits: unquoted, YAML 1.1 reads 0640 as octal and YAML 1.2 as decimal.
  static var fileMode: ValueType {
    ValueType(name: "file mode", allowed: "quoted octal digits", schema: .pattern("^0[0-7]{3}$")) {
      node, path, reading in
      guard let scalar = node.scalar, !node.isNull else {
        reading.mismatch(path, "a quoted octal mode such as \"0640\"", node)
        return nil
      }
      if scalar.isPlain, !scalar.isExpanded, let octal = UInt32(scalar.text, radix: 8),
        let decimal = UInt32(scalar.text)
      {
        let readings = "octal \(ScalarForm.permissions(octal)) or decimal \(ScalarForm.permissions(decimal))"
        reading.problems.error(
          node.mark,
          "`\(path)` must be quoted: \(scalar.text) could be read as \(readings); "
            + "write \"\(ScalarForm.octal(octal))\" or \"\(ScalarForm.octal(decimal))\"")
        return nil
      }
      guard scalar.text.utf8.count == 4, scalar.text.hasPrefix("0"), let mode = UInt32(scalar.text, radix: 8) else {
        reading.mismatch(path, "a quoted octal mode such as \"0640\"", node)
        return nil
      }
      return mode
    }
  }
}

extension ValueType where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
  /// One word of an enumeration.
  static var choice: ValueType {
    let words = Value.allCases.map(\.rawValue)
    return ValueType(
      name: "word", allowed: words.joined(separator: ", "),
      schema: .object(.init("enum", .strings(words)))
    ) { node, path, reading in
      guard let text = node.scalar?.text, let value = Value(rawValue: text) else {
        let suggestion = node.scalar?.hint.flatMap { Suggestion.nearest($0, in: words) }
        reading.mismatch(path, "one of \(words.joined(separator: ", "))", node, suggestion: suggestion)
        return nil
      }
      return value
    }
  }
}

extension ValueType {
  /// The word `auto`, read as nil, or a value.
  static func auto<Wrapped>(or wrapped: ValueType<Wrapped>) -> ValueType where Value == Wrapped? {
    optional("auto", or: wrapped)
  }

  /// The word `none`, read as nil, or a value.
  static func none<Wrapped>(or wrapped: ValueType<Wrapped>) -> ValueType where Value == Wrapped? {
    optional("none", or: wrapped)
  }

  private static func optional<Wrapped>(_ word: String, or wrapped: ValueType<Wrapped>) -> ValueType
  where Value == Wrapped? {
    ValueType(
      name: "`\(word)` or \(wrapped.name)", allowed: wrapped.allowed,
      schema: .object(.init("anyOf", .array([.object(.init("const", .string(word))), wrapped.schema])))
    ) { node, path, reading in
      if node.scalar?.text == word { return .some(nil) }
      return wrapped.read(node, path, &reading).map(Optional.some)
    }
  }

  /// A list whose elements all differ.
  static func list<Element: Hashable>(of element: ValueType<Element>, atLeast minimum: Int) -> ValueType
  where Value == [Element] {
    var members: [JSONValue.Member] = [
      .init("type", .string("array")), .init("items", element.schema), .init("uniqueItems", .boolean(true)),
    ]
    if minimum > 0 { members.append(.init("minItems", .integer(minimum))) }
    return ValueType(
      name: "list of \(element.name)", allowed: element.allowed, schema: .object(members)
    ) { node, path, reading in
      guard let nodes = node.elements else {
        reading.mismatch(path, node.scalar == nil || node.isNull ? "a list" : "a list such as [\(node.sample)]", node)
        return nil
      }
      guard nodes.count >= minimum else {
        reading.problems.error(node.mark, "`\(path)` must not be empty")
        return nil
      }
      return elements(nodes, of: element, path, &reading)
    }
  }

  private static func elements<Element: Hashable>(
    _ nodes: [Node], of element: ValueType<Element>, _ path: String, _ reading: inout Reading
  ) -> [Element]? {
    var values: [Element] = []
    var marks: [Element: Mark] = [:]
    var isWhole = true
    for node in nodes {
      guard let value = element.read(node, path, &reading) else {
        isWhole = false
        continue
      }
      if let first = marks[value] {
        reading.problems.error(
          node.mark, "`\(path)` holds \(node.description) twice; remove one of them", notes: [(first, "first here")])
        isWhole = false
      }
      marks[value] = node.mark
      values.append(value)
    }
    return isWhole ? values : nil
  }

  /// One of several words, each for a whole set, or a list that makes a set up.
  ///
  /// - Parameter isScalarTaken: `list` reads other scalars than the words, too.
  static func set<Element: Hashable>(
    _ words: [(word: String, elements: Set<Element>)], or list: ValueType<[Element]>, isScalarTaken: Bool = false
  ) -> ValueType where Value == Set<Element> {
    let names = words.map(\.word)
    let shown = names.map { "`\($0)`" }.joined(separator: ", ")
    return ValueType(
      name: "\(shown) or \(list.name)", allowed: list.allowed,
      schema: .object(.init("anyOf", .array([.object(.init("enum", .strings(names))), list.schema])))
    ) { node, path, reading in
      if let scalar = node.scalar, !node.isNull {
        if let word = words.first(where: { $0.word == scalar.text }) { return word.elements }
        if isScalarTaken { return list.read(node, path, &reading).map(Set.init) }
        reading.mismatch(
          path, "\(shown) or a list", node, suggestion: scalar.hint.flatMap { Suggestion.nearest($0, in: names) })
        return nil
      }
      return list.read(node, path, &reading).map(Set.init)
    }
  }
}

extension ValueType where Value == [Int] {
  /// CPUs as cpuset(7) lists them: `0-3,8`; empty for no restriction.
  static var cpuList: ValueType {
    ValueType(
      name: "CPU list", allowed: "such as `0-3,8`",
      schema: .pattern("^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$")
    ) { node, path, reading in
      let expected = "a list of CPUs such as \"0-3,8\""
      guard let scalar = node.scalar, !node.isNull else {
        reading.mismatch(path, expected, node)
        return nil
      }
      var cpus: Set<Int> = []
      for part in scalar.text.split(separator: ",", omittingEmptySubsequences: false) where !scalar.text.isEmpty {
        let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(bounds.count), let first = bounds[0], let last = bounds[bounds.count - 1],
          first >= 0, first <= last, last < 8192
        else {
          reading.mismatch(path, expected, node)
          return nil
        }
        cpus.formUnion(first...last)
      }
      return cpus.sorted()
    }
  }
}

extension JSONValue {
  /// The schema of a string that a pattern describes.
  static func pattern(_ pattern: String) -> JSONValue {
    .object(.init("type", .string("string")), .init("pattern", .string(pattern)))
  }
}

extension Node {
  /// The text of a scalar, for an example of how it should have been written.
  fileprivate var sample: String { scalar?.written.printable(limit: 40) ?? "" }
}
