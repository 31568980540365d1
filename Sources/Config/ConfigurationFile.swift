import Glibc

/// What came of reading a configuration.
public struct Outcome: Sendable {
  /// The settings; nil if there is any error.
  public var settings: Settings?
  /// Every error and warning, in the order of the file.
  public var diagnostics: [Diagnostic]
  /// Where settings stand that are judged after reading, by dotted path; those that are in no file are left out.
  public var places: [String: Place] = [:]
  /// The configuration as a whole, for what concerns no line of it.
  public var whole: Place

  init(settings: Settings?, diagnostics: [Diagnostic], whole: Place = Source(name: "", bytes: []).whole) {
    self.settings = settings
    self.diagnostics = diagnostics
    self.whole = whole
  }

  /// The errors, without the warnings.
  public var errors: [Diagnostic] { diagnostics.filter { $0.severity == .error } }

  /// All diagnostics as compilers print them, and a last line that counts them; empty if there are none.
  public var rendered: String {
    guard !diagnostics.isEmpty else { return "" }
    let warnings = diagnostics.count - errors.count
    let counts = [(errors.count, "error"), (warnings, "warning")].filter { $0.0 > 0 }
      .map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }
    return diagnostics.map { $0.rendered + "\n" }.joined() + counts.joined(separator: ", ") + "\n"
  }
}

/// Reads configurations. Everything that is wrong with one comes at once; nothing is thrown.
public enum ConfigurationFile {
  /// No honest configuration is larger; what is, is refused unread.
  public static let maximumBytes = 1 << 20

  /// Reads the file at `path`, which is also the name it is reported under.
  public static func read(path: String, vocabulary: Vocabulary) -> Outcome {
    do {
      return read(Source(name: path, bytes: try FileReading.contents(of: path)), vocabulary)
    } catch {
      return refusal(of: path, error.message)
    }
  }

  /// Reads a text that was got elsewhere and is reported under `name`.
  public static func read(text: String, named name: String, vocabulary: Vocabulary) -> Outcome {
    read(bytes: Array(text.utf8), named: name, vocabulary: vocabulary)
  }

  /// Reads bytes that were got elsewhere and are reported under `name`; they need not be UTF-8, which is an error then.
  public static func read(bytes: [UInt8], named name: String, vocabulary: Vocabulary) -> Outcome {
    guard bytes.count <= maximumBytes else { return refusal(of: name, FileReading.tooLarge(Int64(bytes.count))) }
    return read(Source(name: name, bytes: bytes), vocabulary)
  }

  private static func read(_ source: Source, _ vocabulary: Vocabulary) -> Outcome {
    var reading = Reading(problems: Problems(), vocabulary: vocabulary)
    let index = reading.problems.add(source)
    let root = Composer.compose(source, index: index, problems: &reading.problems)
    let settings = root.map { Assembly.settings(from: $0, &reading) }
    let isRefused = reading.problems.hasErrors
    var outcome = Outcome(
      settings: isRefused ? nil : settings, diagnostics: reading.problems.diagnostics, whole: source.whole)
    for path in judgedLater { outcome.places[path] = root?.node(at: path).map { reading.problems.place(of: $0.mark) } }
    return outcome
  }

  /// What admission has something to say about.
  private static let judgedLater = ["global.resources.threads", "global.resources.memory"]

  private static func refusal(of name: String, _ message: String) -> Outcome {
    var problems = Problems()
    let source = Source(name: name, bytes: [])
    problems.error(in: problems.add(source), message)
    return Outcome(settings: nil, diagnostics: problems.diagnostics, whole: source.whole)
  }
}

/// Gets at the bytes of a configuration file, and of nothing that is not a file of sensible size.
enum FileReading {
  struct Refusal: Error {
    var message: String
  }

  static func tooLarge(_ size: Int64) -> String {
    "the file is \(size) bytes long; a configuration has at most \(ConfigurationFile.maximumBytes)"
  }

  /// The whole file. O_NONBLOCK lets the open of a FIFO without a writer return at once, so that it can be refused.
  static func contents(of path: String) throws(Refusal) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw Refusal(message: "cannot open: \(errorText())") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Refusal(message: "cannot stat: \(errorText())") }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Refusal(message: "is \(kind(of: status.st_mode)), not a file; give the path of a regular file")
    }
    guard status.st_size <= ConfigurationFile.maximumBytes else {
      throw Refusal(message: tooLarge(Int64(status.st_size)))
    }
    return try bytes(from: descriptor)
  }

  /// Reads to the end, or one byte beyond the limit if the file grows meanwhile.
  private static func bytes(from descriptor: Int32) throws(Refusal) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw Refusal(message: "cannot read: \(errorText())")
      }
      bytes += chunk[..<count]
      guard bytes.count <= ConfigurationFile.maximumBytes else { throw Refusal(message: tooLarge(Int64(bytes.count))) }
    }
  }

  private static func kind(of mode: mode_t) -> String {
    switch mode & S_IFMT {
    case S_IFDIR: "a directory"
    case S_IFIFO: "a FIFO or pipe"
    case S_IFSOCK: "a socket"
    case S_IFCHR, S_IFBLK: "a device"
    default: "something else"
    }
  }

  /// What errno says, with its number for searches.
  private static func errorText() -> String {
    let code = errno
    return "\(String(cString: strerror(code))) (errno \(code))"
  }
}
