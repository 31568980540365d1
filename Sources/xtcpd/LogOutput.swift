import Config
import Glibc
import Logging

/// Writes log lines to standard error: for people, or one JSON object a line for collectors.
struct LogOutput: LogHandler {
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]
  private let format: LogFormat

  init(level: LogLevel, format: LogFormat) {
    self.format = format
    logLevel = Logger.Level(level)
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = metadata.merging(event.metadata ?? [:]) { $1 }.map { ($0.key, "\($0.value)") }.sorted { $0.0 < $1.0 }
    let line =
      switch format {
      case .text: LogOutput.text(event.level, "\(event.message)", fields)
      case .json: LogOutput.json(event.level, "\(event.message)", fields)
      }
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
    for (key, value) in fields { line += ",\(quoted(key)):\(quoted(value))" }
    return line + "}"
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
