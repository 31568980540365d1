/// Makes a tree of the events of one document, within limits that no honest configuration reaches: aliases cost nothing
/// until their written-out size is over the limit, depth is cut before anything recurses deeply.
struct Composer {
  /// Containers in containers; the deepest setting is at 6.
  static let maximumDepth = 32
  /// Nodes of all files together, aliases written out: 1,000 pipelines with 60 settings each.
  static let maximumNodes = 65_536
  /// Keys of one mapping, elements of one list.
  static let maximumEntries = 1_024

  /// Ends composing; the diagnostic is already in `problems`.
  private struct Stopped: Error {}

  private var problems: Problems
  private let source: Int
  private let expander: ValueExpander?
  private var anchors: [String: Node] = [:]
  private var nodeCount: Int

  private init(source: Int, nodeCount: Int, expander: ValueExpander?, problems: Problems) {
    self.source = source
    self.nodeCount = nodeCount
    self.expander = expander
    self.problems = problems
  }

  /// Parses `source`, which is registered in `problems` under `index`. Nil if there is no whole tree to go on with;
  /// whatever is wrong is then in `problems`. A tree may be returned along with problems. `nodeCount` is what earlier
  /// files of the configuration hold; `expander` replaces each `${...}` in a value.
  static func compose(
    _ source: Source, index: Int, nodeCount: inout Int, expander: ValueExpander? = nil, problems: inout Problems
  ) -> Node? {
    var start = 0
    for finding in TextCheck.findings(in: source.bytes) {
      problems.error(Mark(source: index, line: finding.line, column: finding.column), finding.message)
      if finding.isFatal { return nil }
      start = TextCheck.byteOrderMark.count
    }
    var composer = Composer(source: index, nodeCount: nodeCount, expander: expander, problems: problems)
    defer {
      problems = composer.problems
      nodeCount = composer.nodeCount
    }
    return source.bytes[start...].withUnsafeBufferPointer { text -> Node? in
      guard var reader = EventReader(text) else { return nil }
      return try? composer.document(&reader, source)
    }
  }

  /// The one document of the stream; an empty stream is an empty mapping.
  private mutating func document(_ reader: inout EventReader, _ source: Source) throws -> Node {
    do {
      _ = try reader.next()
      let start = try reader.next()
      if case .streamEnd = start.event { return .emptyMapping(at: Mark(source: self.source, line: 1, column: 1)) }
      let root = try value(try reader.next(), &reader, depth: 0)
      _ = try reader.next()
      let end = try reader.next()
      if case .streamEnd = end.event { return root }
      problems.error(mark(end), "a second document starts here; a configuration is one document, so remove this `---`")
      return root
    } catch let error as EventReader.SyntaxError {
      report(error, source)
      throw Stopped()
    }
  }

  /// A node that is no key: its `${...}` are replaced, and it may be tagged `!override`.
  private mutating func value(
    _ item: EventReader.Item, _ reader: inout EventReader, depth: Int, mayOverride: Bool = false
  ) throws -> Node {
    var item = item
    let isOverride = item.tag == "!override"
    if isOverride {
      item.tag = nil
      if !mayOverride {
        problems.error(mark(item), "`!override` belongs to the value of a key, which it replaces as a whole; remove it")
      }
    }
    var node = try node(item, &reader, depth: depth)
    if case .scalar(let scalar) = node.content, case .scalar = item.event, let expander {
      node.content = .scalar(expander.expand(scalar, at: node.mark, &problems))
      if let anchor = item.anchor { anchors[anchor] = node }
    }
    node.isOverride = isOverride && mayOverride
    return node
  }

  private mutating func node(_ item: EventReader.Item, _ reader: inout EventReader, depth: Int) throws -> Node {
    let mark = mark(item)
    nodeCount += 1
    try check(nodeCount, at: mark)
    if let tag = item.tag {
      problems.error(
        mark, "the tag \(tag.quotedForMessage) means nothing here; remove it",
        suggestion: Suggestion.nearest(tag, in: ["!override"]))
    }
    var node: Node
    switch item.event {
    case .scalar(let text, let isPlain):
      node = Node(content: .scalar(Node.Scalar(text, isPlain: isPlain)), mark: mark)
    case .alias(let name): return try alias(name, at: mark)
    case .sequenceStart: node = try sequence(at: mark, &reader, depth: depth + 1)
    default: node = try mapping(at: mark, &reader, depth: depth + 1)
    }
    if let anchor = item.anchor { anchors[anchor] = node }
    node.mark = mark
    return node
  }

  private mutating func alias(_ name: String, at mark: Mark) throws -> Node {
    guard let node = anchors[name] else {
      problems.error(
        mark, "no anchor `&\(name.printable(limit: 40))` stands before this alias",
        suggestion: Suggestion.nearest(name, in: Array(anchors.keys.sorted().prefix(100))))
      return Node(content: .scalar(Node.Scalar("", isPlain: true)), mark: mark)
    }
    nodeCount += node.weight - 1
    try check(nodeCount, at: mark)
    return node
  }

  private mutating func sequence(at mark: Mark, _ reader: inout EventReader, depth: Int) throws -> Node {
    try checkDepth(depth, at: mark)
    var elements: [Node] = []
    while true {
      let item = try reader.next()
      if case .sequenceEnd = item.event { break }
      try checkEntries(elements.count, at: self.mark(item))
      elements.append(try value(item, &reader, depth: depth))
    }
    return Node(content: .sequence(elements), mark: mark, weight: elements.reduce(1) { $0 + $1.weight })
  }

  private mutating func mapping(at mark: Mark, _ reader: inout EventReader, depth: Int) throws -> Node {
    try checkDepth(depth, at: mark)
    var entries: [Node.Entry] = []
    var marks: [String: Mark] = [:]
    while true {
      let item = try reader.next()
      if case .mappingEnd = item.event { break }
      let keyMark = self.mark(item)
      try checkEntries(entries.count, at: keyMark)
      let key = try node(item, &reader, depth: depth)
      let value = try value(try reader.next(), &reader, depth: depth, mayOverride: true)
      guard case .scalar(let scalar) = key.content else {
        problems.error(keyMark, "a key must be text, not \(key.description)")
        continue
      }
      if scalar.text == "<<" {
        problems.error(
          keyMark,
          "YAML merge keys (`<<`) are not supported; put what pipelines share into a profile and name it in `extends`, "
            + "or under `defaults`")
      } else if let first = marks.updateValue(keyMark, forKey: scalar.text) {
        marks[scalar.text] = first
        problems.error(
          keyMark, "\(scalar.text.quotedForMessage) is given twice; remove one of them", notes: [(first, "first here")])
      } else {
        entries.append(Node.Entry(key: scalar.text, keyMark: keyMark, value: value))
      }
    }
    return Node(content: .mapping(entries), mark: mark, weight: entries.reduce(1) { $0 + $1.value.weight })
  }

  private func mark(_ item: EventReader.Item) -> Mark {
    Mark(source: source, line: item.line, column: item.column, width: item.width)
  }

  private mutating func check(_ nodes: Int, at mark: Mark) throws {
    guard nodes > Self.maximumNodes else { return }
    problems.error(
      mark, "the configuration holds more than \(Self.maximumNodes) values, aliases written out; make it smaller")
    throw Stopped()
  }

  private mutating func checkDepth(_ depth: Int, at mark: Mark) throws {
    guard depth > Self.maximumDepth else { return }
    problems.error(mark, "nested more than \(Self.maximumDepth) levels deep; no setting lies that deep")
    throw Stopped()
  }

  private mutating func checkEntries(_ count: Int, at mark: Mark) throws {
    guard count >= Self.maximumEntries else { return }
    problems.error(mark, "more than \(Self.maximumEntries) entries in one list or mapping; make it smaller")
    throw Stopped()
  }

  private mutating func report(_ error: EventReader.SyntaxError, _ source: Source) {
    let explanation = SyntaxExplanation(error, in: source)
    let mark = Mark(source: self.source, line: explanation.line, column: explanation.column)
    var notes: [(mark: Mark, message: String)] = []
    if let note = explanation.note {
      notes.append((Mark(source: self.source, line: note.line, column: note.column), note.message))
    }
    problems.error(mark, explanation.message, notes: notes)
  }
}
