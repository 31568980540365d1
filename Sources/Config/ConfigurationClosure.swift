import Glibc

/// Everything that a configuration is made of, read once: the main file, what it includes, and which files its values
/// came from. Their contents are kept as they were written, with every `${...}` unexpanded.
public struct ConfigurationClosure: Sendable {
  /// One YAML file.
  public struct File: Sendable, Hashable {
    /// As diagnostics report it.
    public let name: String
    /// Relative to the directory of the main file, whose own is empty; absolute where the include is.
    public let relativeName: String
    public let bytes: [UInt8]
    /// Nil if the bytes did not come from a file.
    public let identity: FileIdentity?
  }

  /// A file that `${file:}` or `${credential:}` refers to. What it holds is not kept.
  public struct ValueFile: Sendable, Hashable {
    public let path: String
    /// Nil if it could not be read.
    public let identity: FileIdentity?
  }

  /// The main file, then its includes, each followed by its own.
  public internal(set) var files: [File] = []
  public internal(set) var valueFiles: [ValueFile] = []
  /// Paths of includes that could not be read, to see when they can.
  var missing: [String] = []
  /// The entries of `include`, with what they matched.
  var includes: [Include] = []
  /// Whether the files came from an archive: then none is looked for on disk.
  var isArchived = false

  struct Include: Sendable, Hashable {
    var pattern: IncludePattern
    var matches: IncludePattern.Matches
  }

  /// SHA-256 in hexadecimal digits, the same on every host with the same files: for each file in order its relative
  /// name, a NUL, the length as eight bytes, the most significant first, and the bytes. The main file's name and
  /// directory do not count, nor does what a `${...}` stands for.
  public var hash: String {
    var hash = SHA256()
    for file in files {
      hash.update(Array(file.relativeName.utf8) + [0] + UInt64(file.bytes.count).bigEndianBytes)
      hash.update(file.bytes)
    }
    return hash.finish().map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  /// When something of it was last changed, as nanoseconds of the wall clock: any of its files, as read or as they are
  /// now, or a directory that a pattern of `include` searches. Zero if nothing is on disk.
  public var youngestChange: Int64 {
    let read = files.compactMap(\.identity) + valueFiles.compactMap(\.identity)
    let now = (paths + includes.flatMap(\.matches.directories)).compactMap(FileIdentity.init(path:))
    return (read + now).map(\.youngest).max() ?? 0
  }

  /// The paths of all files, there or not.
  var paths: [String] {
    (isArchived ? [] : files.filter { $0.identity != nil }.map(\.name)) + valueFiles.map(\.path) + missing
  }
}

/// Tells whether anything of a configuration has changed since it was read.
public struct ClosureWatch: Sendable {
  private let files: [(path: String, identity: FileIdentity?)]
  private let includes: [ConfigurationClosure.Include]

  /// Compares with what was read, so that a change between reading and this is seen.
  public init(_ closure: ConfigurationClosure) {
    var files: [(path: String, identity: FileIdentity?)] = closure.valueFiles.map { ($0.path, $0.identity) }
    if !closure.isArchived {
      files += closure.files.filter { $0.identity != nil }.map { ($0.name, $0.identity) }
    }
    // What could not be read for another reason than that it is not there is compared with what is there now.
    files += closure.missing.map { ($0, FileIdentity(path: $0)) }
    self.files = files.map { $0.identity == nil ? ($0.path, FileIdentity(path: $0.path)) : $0 }
    includes = closure.includes
  }

  /// Whether a file is another one, or in another state, than it was, or an include matches other names. Costs one
  /// `stat` a file and a look through the directories that are searched; symbolic links are followed.
  public var hasChanged: Bool {
    files.contains { FileIdentity(path: $0.path) != $0.identity }
      || includes.contains { $0.pattern.matches().names != $0.matches.names }
  }
}
