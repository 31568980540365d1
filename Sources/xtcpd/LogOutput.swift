import Config
import Glibc
import Logging
import Synchronization

/// Writes log lines to standard error: for people, or one JSON object a line for collectors.
struct LogOutput: LogHandler {
  var metadata: Logger.Metadata = [:]
  /// Of this logger; nil: that of the process, which may change while it runs.
  private var ownLevel: Logger.Level?

  /// Index of `Logger.Level.allCases`, and whether lines are JSON.
  private static let level = Atomic(2)
  private static let isJSON = Atomic(false)

  /// What no line of any logger shows. That of the process, because a value may turn up in the text of any error.
  private static let redaction = Mutex(Redaction())

  /// From now on the values of these references too are shown as the configuration spells them: for a configuration that
  /// has just been read and may be refused.
  static func redact(also references: [ValueReference]) {
    redaction.withLock { $0 = Redaction($0.references + references) }
  }

  /// From now on only these values are: for a configuration that has taken the place of all others.
  static func redact(only references: [ValueReference]) {
    redaction.withLock { $0 = Redaction(references) }
  }

  /// A text with the values that came from outside of the configuration replaced by their spelling.
  static func redacted(_ text: String) -> String {
    redaction.withLock { $0 }(text)
  }

  /// From now on every logger that has no level of its own writes what these settings say.
  static func follow(_ settings: LogSettings) {
    let index = Logger.Level.allCases.firstIndex(of: Logger.Level(settings.level)) ?? 0
    level.store(index, ordering: .relaxed)
    isJSON.store(settings.format == .json, ordering: .relaxed)
  }

  /// - Parameter level: of this logger alone; nil: that of the process.
  init(level: LogLevel? = nil) { ownLevel = level.map { Logger.Level($0) } }

  var logLevel: Logger.Level {
    get { ownLevel ?? Logger.Level.allCases[LogOutput.level.load(ordering: .relaxed)] }
    set { ownLevel = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    // Replaced before the line is made: quoting would hide a value that holds a quote.
    let redaction = LogOutput.redaction.withLock { $0 }
    let fields = metadata.merging(event.metadata ?? [:]) { $1 }.map { ($0.key, redaction("\($0.value)")) }
      .sorted { $0.0 < $1.0 }
    let message = redaction("\(event.message)")
    let line =
      LogOutput.isJSON.load(ordering: .relaxed)
      ? LogOutput.json(event.level, message, fields) : LogOutput.text(event.level, message, fields)
    // In one piece, so that lines of several threads do not mix.
    printError(line)
  }

  private static func text(_ level: Logger.Level, _ message: String, _ fields: [(String, String)]) -> String {
    var line = "\(timestamp()) \(level.rawValue.uppercased()) \(message)"
    for (key, value) in fields { line += " \(key)=\(value)" }
    return line
  }

  private static func json(_ level: Logger.Level, _ message: String, _ fields: [(String, String)]) -> String {
    var line = "{\"time\":\"\(timestamp())\",\"level\":\"\(level.rawValue)\",\"message\":\(quoted(message))"
    for (key, value) in fields { line += ",\(quoted(key)):\(isNumber(key, value) ? value : quoted(value))" }
    return line + "}"
  }

  /// Fields that are text even if they consist of digits, so that a collector sees one type.
  private static let texts: Set = ["hash", "pipeline", "sink", "netns", "config", "loop"]

  /// A value that JSON can hold as a number, and whoever reads it as a double as well.
  private static func isNumber(_ key: String, _ value: String) -> Bool {
    guard !texts.contains(key), value.utf8.count <= 17, let number = Int64(value), String(number) == value else {
      return false
    }
    return number.magnitude < 1 << 53
  }

  /// RFC 3339, UTC, milliseconds.
  private static func timestamp() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var parts = tm()
    gmtime_r(&now.tv_sec, &parts)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let milliseconds = String(now.tv_nsec / 1_000_000 + 1000).dropFirst()
    return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
      + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)Z"
  }

  /// A JSON string, RFC 8259 section 7.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\u{0}"..<"\u{20}": result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

extension Logger.Level {
  init(_ level: LogLevel) {
    switch level {
    case .trace: self = .trace
    case .debug: self = .debug
    case .info: self = .info
    case .notice: self = .notice
    case .warning: self = .warning
    case .error: self = .error
    }
  }
}
