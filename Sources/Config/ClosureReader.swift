/// Reads the files of a configuration and makes a tree of each: the main file, then what it includes, each followed by
/// its own includes.
struct ClosureReader {
  private(set) var closure = ConfigurationClosure()
  /// The trees of those files that are YAML.
  private(set) var trees: [Node] = []
  /// Whether the main file is YAML.
  private(set) var hasMainTree = false
  /// Whether some file could not be read or is not YAML: what it would have said must not be missed.
  private(set) var isIncomplete = false

  private let expander: ValueExpander
  /// Devices and inodes of the files that have been taken.
  private var known: Set<[UInt64]> = []
  private var nodeCount = 0
  private var totalBytes = 0
  /// The files that led to the one being read, for cycles.
  private var chain: [ConfigurationClosure.File] = []

  /// Ends reading; why is in the problems.
  private struct Stopped: Error {}

  init(_ expander: ValueExpander) { self.expander = expander }

  /// Reads the main file at `path`, and what it includes.
  mutating func read(path: String, _ problems: inout Problems) {
    do throws(FileReading.Refusal) {
      let contents = try FileReading.contents(of: path)
      let file = ConfigurationClosure.File(
        name: path, relativeName: "", bytes: contents.bytes, identity: contents.identity)
      try? take(file, &problems)
    } catch {
      refuse(path, error.message, &problems)
      closure.missing.append(path)
    }
    finish()
  }

  /// Reads bytes that come from no file and so can include none.
  mutating func read(bytes: [UInt8], named name: String, _ problems: inout Problems) {
    if bytes.count > ConfigurationFile.maximumBytes {
      refuse(name, FileReading.tooLarge(Int64(bytes.count)), &problems)
    } else {
      try? take(.init(name: name, relativeName: "", bytes: bytes, identity: nil), &problems)
    }
    finish()
  }

  /// Reads the files of an archive; its includes have been resolved when it was made.
  mutating func read(archived: ConfigurationClosure, _ problems: inout Problems) {
    closure.isArchived = true
    for file in archived.files {
      guard (try? take(file, &problems)) != nil else { break }
    }
    finish()
  }

  private mutating func finish() { closure.valueFiles = expander.files }

  private mutating func refuse(_ name: String, _ message: String, _ problems: inout Problems) {
    isIncomplete = true
    problems.error(in: problems.add(Source(name: name, bytes: [])), message)
  }

  /// Takes a file into the closure, and then its includes.
  private mutating func take(_ file: ConfigurationClosure.File, _ problems: inout Problems) throws {
    closure.files.append(file)
    if let identity = file.identity { known.insert([identity.device, identity.inode]) }
    totalBytes += file.bytes.count
    // Names of files must not drive a terminal either.
    let source = Source(name: file.name.printable(limit: 4096), bytes: file.bytes)
    let index = problems.add(source)
    guard
      let tree = Composer.compose(source, index: index, nodeCount: &nodeCount, expander: expander, problems: &problems)
    else {
      isIncomplete = true
      if nodeCount > Composer.maximumNodes { throw Stopped() }
      return
    }
    trees.append(tree)
    if closure.files.count == 1 { hasMainTree = true }
    guard let include = tree.entry(SettingsList.Section.include.rawValue) else { return }
    chain.append(file)
    defer { chain.removeLast() }
    for (pattern, mark) in patterns(include.value, file, &problems) where !closure.isArchived {
      try self.include(pattern, mark, &problems)
    }
  }

  /// The entries of `include` that can be gone on with.
  private mutating func patterns(
    _ list: Node, _ file: ConfigurationClosure.File, _ problems: inout Problems
  ) -> [(IncludePattern, Mark)] {
    guard let elements = list.elements else {
      problems.error(
        list.mark,
        "`include` must be a list of files or patterns such as [conf.d/*.yaml], not \(list.description)")
      isIncomplete = true
      return []
    }
    if file.identity == nil, !closure.isArchived, let first = elements.first {
      problems.error(first.mark, "`include` needs a configuration that is a file, to look beside it")
      isIncomplete = true
      return []
    }
    let directory = String(
      file.name[..<(file.name.lastIndex(of: "/").map(file.name.index(after:)) ?? file.name.startIndex)])
    return elements.compactMap { element in
      guard let pattern = Self.pattern(element, in: directory, &problems) else {
        isIncomplete = true
        return nil
      }
      return (pattern, element.mark)
    }
  }

  private static func pattern(_ node: Node, in directory: String, _ problems: inout Problems) -> IncludePattern? {
    guard let scalar = node.scalar, !node.isNull, !scalar.text.isEmpty, scalar.text.utf8.count <= 4095,
      !scalar.text.utf8.contains(0)
    else {
      problems.error(node.mark, "`include` must list files or patterns such as conf.d/*.yaml, not \(node.description)")
      return nil
    }
    guard !scalar.isExpanded else {
      problems.error(
        node.mark, "`include` takes no `${...}`: which files a configuration has must not depend on where it is read")
      return nil
    }
    guard let pattern = IncludePattern(scalar.text, in: directory) else {
      problems.error(
        node.mark,
        "`include` must list patterns of `*`, `?` and `[a-z]` whose brackets are closed, not "
          + node.description)
      return nil
    }
    return pattern
  }

  private mutating func include(_ pattern: IncludePattern, _ mark: Mark, _ problems: inout Problems) throws {
    let matches = pattern.matches()
    closure.includes.append(.init(pattern: pattern, matches: matches))
    if let failure = matches.failure {
      problems.error(mark, failure)
      isIncomplete = true
    }
    for name in matches.names {
      try include(pattern, name, mark, &problems)
    }
  }

  private mutating func include(
    _ pattern: IncludePattern, _ name: String, _ mark: Mark, _ problems: inout Problems
  ) throws {
    let path = pattern.path(of: name)
    let file: ConfigurationClosure.File
    do throws(FileReading.Refusal) {
      // A file is looked at before it is read: a cycle may go through many, and reading takes longer.
      if let identity = FileIdentity(path: path), try isKnown(identity, path, mark, &problems) { return }
      guard closure.files.count < ConfigurationFile.maximumFiles else {
        problems.error(mark, "the configuration has more than \(ConfigurationFile.maximumFiles) files; include fewer")
        throw FileReading.Refusal(message: "")
      }
      let contents = try FileReading.contents(of: path)
      let relativeName = name.hasPrefix("/") ? name : relativeDirectory + name
      file = .init(name: path, relativeName: relativeName, bytes: contents.bytes, identity: contents.identity)
    } catch {
      isIncomplete = true
      if error.message.isEmpty { throw Stopped() }
      closure.missing.append(path)
      if pattern.isLiteral {
        problems.error(mark, "\(path.quotedForMessage): \(error.message)")
      } else {
        problems.error(in: problems.add(Source(name: path, bytes: [])), error.message)
      }
      return
    }
    guard totalBytes + file.bytes.count <= ConfigurationFile.maximumTotalBytes else {
      problems.error(
        mark, "the files of the configuration have more than \(ConfigurationFile.maximumTotalBytes) bytes together")
      isIncomplete = true
      throw Stopped()
    }
    try take(file, &problems)
  }

  /// Whether a file is a part of the configuration already. A file that leads to itself is an error, one that two
  /// patterns match is read once, where the first one has it.
  private mutating func isKnown(
    _ identity: FileIdentity, _ path: String, _ mark: Mark, _ problems: inout Problems
  ) throws(FileReading.Refusal) -> Bool {
    if let first = chain.firstIndex(where: { $0.identity?.isSameFile(as: identity) == true }) {
      let names = chain[first...].map(\.name) + [path]
      problems.error(
        mark, "the file includes itself: \(names.map { $0.printable(limit: 200) }.joined(separator: " -> "))")
      isIncomplete = true
      return true
    }
    return known.contains([identity.device, identity.inode])
  }

  /// Of the file being read, relative to that of the main file.
  private var relativeDirectory: String {
    guard let name = chain.last?.relativeName, let slash = name.lastIndex(of: "/") else { return "" }
    return String(name[...slash])
  }
}
