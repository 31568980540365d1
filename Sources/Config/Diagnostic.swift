/// A place in a configuration file together with the text that stands there.
public struct Place: Sendable, Hashable {
  /// The file as it was named by the caller.
  public var file: String
  /// Counts from 1; 0 when the file as a whole is meant.
  public var line: Int
  /// Counts Unicode scalars from 1; 0 when the file as a whole is meant.
  public var column: Int
  /// The text of the line, control characters made visible, long lines cut around the column.
  public var excerpt: String
  /// Index of the scalar of `excerpt` that the caret points at.
  public var caret: Int
  /// How many scalars are underlined; at least 1.
  public var width: Int

  /// `file:line:column`, or just the file.
  public var label: String { line == 0 ? file : "\(file):\(line):\(column)" }

  /// The excerpt with its line number and, below, the caret. Empty for a file as a whole.
  var illustration: String {
    guard line > 0 else { return "" }
    let number = String(line)
    let margin = String(repeating: " ", count: max(0, 5 - number.count))
    let blank = String(repeating: " ", count: margin.count + number.count)
    let padding = String(repeating: " ", count: caret)
    let underline = "^" + String(repeating: "~", count: max(0, width - 1))
    return "\n\(margin)\(number) | \(excerpt)\n\(blank) | \(padding)\(underline)"
  }
}

/// One thing that is wrong with a configuration, or that looks wrong.
public struct Diagnostic: Sendable, Hashable {
  /// An error keeps the configuration from being used, a warning does not.
  public enum Severity: String, Sendable {
    case error, warning
  }

  /// Another place that has to do with it, such as the first of two equal keys.
  public struct Note: Sendable, Hashable {
    public var place: Place
    public var message: String
  }

  public var severity: Severity
  public var place: Place
  /// What is wrong and what to do, without place or line break.
  public var message: String
  /// The key or value that was probably meant.
  public var suggestion: String?
  public var notes: [Note]

  public var file: String { place.file }
  public var line: Int { place.line }
  public var column: Int { place.column }
  public var excerpt: String { place.excerpt }

  /// All of it as compilers print it: `file:line:column: error: message`, the line, a caret, then the notes.
  public var rendered: String {
    let hint = suggestion.map { "; did you mean `\($0)`?" } ?? ""
    var text = "\(place.label): \(severity.rawValue): \(message)\(hint)\(place.illustration)"
    for note in notes {
      text += "\n\(note.place.label): note: \(note.message)\(note.place.illustration)"
    }
    return text
  }
}
