import Glibc

/// One entry of `include`: the path of a file, or a pattern that may match several. `*`, `?` and `[a-z]` match within one
/// component of the path; names that begin with a dot need a pattern that begins with one.
struct IncludePattern: Sendable, Hashable {
  /// Where a relative one begins; empty for the current directory, else with a slash at its end.
  let directory: String
  /// As it stands in the file, without `.` and empty components.
  let pattern: String
  /// Whether it is the path of one file, which must be there.
  let isLiteral: Bool
  private let components: [Glob]

  /// Entries of directories that are looked at for one pattern.
  private static let maximumEntries = 65_536

  /// What a pattern matches.
  struct Matches: Sendable, Hashable {
    /// In lexical order of their bytes; relative ones to the directory of the pattern.
    var names: [String] = []
    /// The directories that were searched, as paths.
    var directories: [String] = []
    /// A directory that cannot be searched, and why.
    var failure: String?
  }

  /// Nil if a bracket is not closed or nothing is left.
  init?(_ text: String, in directory: String) {
    var components: [Glob] = []
    for component in text.split(separator: "/") where component != "." {
      guard let glob = Glob(String(component)) else { return nil }
      components.append(glob)
    }
    guard !components.isEmpty else { return nil }
    let isAbsolute = text.hasPrefix("/")
    isLiteral = components.allSatisfy { $0.literal != nil }
    let shown = isLiteral ? components.compactMap(\.literal) : components.map(\.pattern)
    pattern = (isAbsolute ? "/" : "") + shown.joined(separator: "/")
    self.directory = isAbsolute ? "" : directory
    self.components = components
  }

  /// The path of something that matched.
  func path(of name: String) -> String { directory + name }

  /// What matches now; the one name, there or not, if it is no pattern.
  func matches() -> Matches {
    var matches = Matches()
    guard !isLiteral else {
      matches.names = [pattern]
      return matches
    }
    var found = [pattern.hasPrefix("/") ? "/" : ""]
    var budget = Self.maximumEntries
    for (index, component) in components.enumerated() {
      let end = index == components.count - 1 ? "" : "/"
      if let literal = component.literal {
        found = found.map { $0 + literal + end }
        if end.isEmpty { found = found.filter { access(path(of: $0), F_OK) == 0 } }
      } else {
        found = found.flatMap { parent in
          names(in: parent, matching: component, &budget, &matches).map { parent + $0 + end }
        }
      }
    }
    matches.names = found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    return matches
  }

  private func names(in parent: String, matching glob: Glob, _ budget: inout Int, _ matches: inout Matches) -> [String]
  {
    let path = path(of: parent)
    guard let stream = opendir(path.isEmpty ? "." : path) else {
      if errno != ENOENT, errno != ENOTDIR {
        matches.failure = "cannot search \(path.quotedForMessage): \(FileReading.errorText())"
      }
      return []
    }
    defer { closedir(stream) }
    matches.directories.append(path.isEmpty ? "." : path)
    var names: [String] = []
    while let entry = readdir(stream) {
      budget -= 1
      guard budget >= 0 else {
        matches.failure = "\(pattern.quotedForMessage) would search more than \(Self.maximumEntries) directory entries"
        return []
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasPrefix("."), !glob.pattern.hasPrefix(".") || name == "." || name == ".." { continue }
      if glob.matches(name) { names.append(name) }
    }
    return names
  }
}
