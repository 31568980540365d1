/// Says in a user's words what libyaml's scanner and parser could not read, and points where the mistake was made
/// rather than where the parser gave up.
struct SyntaxExplanation {
  var message: String
  var line: Int
  var column: Int
  /// The place where the construct began that is broken here.
  var note: (line: Int, column: Int, message: String)?

  init(_ error: EventReader.SyntaxError, in source: Source) {
    (line, column) = source.upToEnd(line: error.line, column: error.column)
    message = error.problem
    let character = source.scalar(line: line, column: column)
    switch error.problem {
    case "found character that cannot start any token" where character == "\t",
      "found a tab character that violates indentation",
      "found a tab character where an indentation space is expected":
      message = "a tab cannot indent YAML; use spaces"
      if character != "\t", let tab = source.column(of: "\t", line: line) { column = tab }
    case "found character that cannot start any token":
      message = "a value cannot start with \(Self.shown(character)); put it in quotes"
    case "mapping values are not allowed in this context":
      message = "unexpected `:`; a value that holds `: ` needs quotes, and a key must be indented like its siblings"
    case "did not find expected key", "did not find expected '-' indicator":
      message = "this is not indented like the entries before it, or a quote or bracket before it is wrong"
      explainContext(error, "the block it should belong to begins here")
    case "could not find expected ':'":
      message = "a key without `:`; write `key: value`"
      if let contextLine = Self.earlier(error) { (line, column) = contextLine }
    case "found unexpected end of stream", "found unexpected document indicator":
      message = "this quote is never closed"
      if let contextLine = Self.earlier(error) { (line, column) = contextLine }
    case "did not find expected ',' or ']'", "did not find expected ',' or '}'":
      let isList = error.problem.hasSuffix("']'")
      message = "expected `,` or `\(isList ? "]" : "}")`"
      explainContext(error, "opened here")
    case "found unknown escape character":
      message = "unknown escape after `\\` in double quotes; write `\\\\` for a backslash or use single quotes"
    case "did not find expected node content":
      message = "a value is missing here"
    case "found undefined tag handle":
      message = "tags (`!`) mean nothing here; remove it or put the value in quotes"
    case "block sequence entries are not allowed in this context":
      message = "a list entry (`- `) cannot stand here; begin the list on a line of its own"
    case "did not find expected <document start>":
      message = "the document ended before this; is a line indented less than the first key?"
    case "did not find expected alphabetic or numeric character":
      message = "`&` and `*` begin anchors and aliases; put the value in quotes"
    default:
      message = "not YAML: \(error.problem)"
      explainContext(error, error.context ?? "here")
    }
  }

  private mutating func explainContext(_ error: EventReader.SyntaxError, _ message: String) {
    guard let (line, column) = Self.earlier(error) else { return }
    note = (line, column, message)
  }

  /// The context mark, if libyaml set one.
  private static func earlier(_ error: EventReader.SyntaxError) -> (line: Int, column: Int)? {
    guard error.context != nil else { return nil }
    return (error.contextLine, error.contextColumn)
  }

  private static func shown(_ character: Unicode.Scalar?) -> String {
    character.map { String($0).quotedForMessage } ?? "this"
  }
}
