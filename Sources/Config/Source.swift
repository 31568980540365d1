/// The bytes of one file and the name they are reported under.
struct Source: Sendable {
  let name: String
  let bytes: [UInt8]

  /// Lines longer than this are cut in excerpts.
  private static let excerptLimit = 160
  /// What is shown to the left of the caret in a line that is cut.
  private static let excerptLead = 60

  /// The place of a mark in this source.
  func place(_ mark: Mark) -> Place {
    let scalars = Array(line(mark.line).unicodeScalars)
    let target = min(max(0, mark.column - 1), scalars.count)
    let start = scalars.count > Self.excerptLimit ? max(0, target - Self.excerptLead) : 0
    let end = min(scalars.count, start + Self.excerptLimit)
    var excerpt = start > 0 ? "..." : ""
    var caret = excerpt.count
    for index in start..<end {
      let shown = scalars[index].shown
      excerpt += shown
      if index < target { caret += shown.unicodeScalars.count }
    }
    if end < scalars.count { excerpt += "..." }
    let width = max(1, min(mark.width, end - target))
    return Place(
      file: name, line: mark.line, column: mark.column, excerpt: excerpt, caret: caret, width: width)
  }

  /// The file as a whole.
  var whole: Place { Place(file: name, line: 0, column: 0, excerpt: "", caret: 0, width: 1) }

  /// The place itself, or, where nothing but empty lines follows, the end of the last line that holds something:
  /// parsers report what is missing at the end on the line after it.
  func upToEnd(line: Int, column: Int) -> (line: Int, column: Int) {
    guard let last = bytes.lastIndex(where: { $0 > UInt8(ascii: " ") }) else { return (1, 1) }
    let lastLine = bytes[..<last].count { $0 == UInt8(ascii: "\n") } + 1
    guard line > lastLine else { return (line, column) }
    return (lastLine, self.line(lastLine).unicodeScalars.count + 1)
  }

  /// What stands at a line and column, both counted from 1; nil beyond the end.
  func scalar(line number: Int, column: Int) -> Unicode.Scalar? {
    line(number).unicodeScalars.dropFirst(column - 1).first
  }

  /// The column, counted from 1, of the first such scalar in a line.
  func column(of scalar: Unicode.Scalar, line number: Int) -> Int? {
    line(number).unicodeScalars.enumerated().first { $0.element == scalar }.map { $0.offset + 1 }
  }

  /// The text of a line, counted from 1, without its line break; empty beyond the end. Only an error asks for it, so
  /// lines are searched for rather than indexed.
  private func line(_ number: Int) -> String {
    var start = 0
    var left = number - 1
    while left > 0 {
      guard let lineFeed = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) else { return "" }
      start = lineFeed + 1
      left -= 1
    }
    var end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
    if end > start, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
    if number == 1, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { start = min(3, end) }
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }
}

extension Unicode.Scalar {
  /// One column wide and harmless: a tab is an arrow, whatever else cannot be seen is a replacement character.
  fileprivate var shown: String {
    if self == "\t" { return "\u{2192}" }
    return isPrintable ? String(self) : "\u{FFFD}"
  }
}
