import Glibc

/// The bytes of one file and the name they are reported under.
struct Source: Sendable {
  let name: String
  let bytes: [UInt8]

  /// The file as a whole.
  var whole: Place { Place(file: name, line: 0, column: 0, excerpt: "", caret: 0, width: 1) }

  /// Where the text begins, after a byte order mark.
  var start: Int { bytes.starts(with: TextCheck.byteOrderMark) ? TextCheck.byteOrderMark.count : 0 }

  /// Where the line that begins at `offset` ends, its line break not included.
  func lineEnd(from offset: Int) -> Int {
    let end = lineFeed(from: offset) ?? bytes.count
    return end > offset && bytes[end - 1] == UInt8(ascii: "\r") ? end - 1 : end
  }

  /// The next line feed at or after `offset`.
  func lineFeed(from offset: Int) -> Int? {
    bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress, offset < bytes.count else { return nil }
      guard let found = memchr(base + offset, Int32(UInt8(ascii: "\n")), bytes.count - offset) else { return nil }
      return UnsafeRawPointer(found) - base
    }
  }

  /// The text of a line, counted from 1; empty beyond the end.
  func line(_ number: Int) -> String {
    var offset = start
    for _ in 1..<max(1, number) {
      guard let lineFeed = lineFeed(from: offset) else { return "" }
      offset = lineFeed + 1
    }
    return String(decoding: bytes[offset..<lineEnd(from: offset)], as: UTF8.self)
  }

  /// What stands at a line and column, both counted from 1; nil beyond the end.
  func scalar(line number: Int, column: Int) -> Unicode.Scalar? {
    line(number).unicodeScalars.dropFirst(column - 1).first
  }

  /// The column, counted from 1, of the first such scalar in a line.
  func column(of scalar: Unicode.Scalar, line number: Int) -> Int? {
    line(number).unicodeScalars.enumerated().first { $0.element == scalar }.map { $0.offset + 1 }
  }

  /// The place itself, or, where nothing but empty lines follows, the end of the last line that holds something:
  /// parsers report what is missing at the end on the line after it.
  func upToEnd(line: Int, column: Int) -> (line: Int, column: Int) {
    guard let last = bytes.lastIndex(where: { $0 > UInt8(ascii: " ") }) else { return (1, 1) }
    var lastLine = 1
    var offset = start
    while let lineFeed = lineFeed(from: offset), lineFeed < last {
      lastLine += 1
      offset = lineFeed + 1
    }
    guard line > lastLine else { return (line, column) }
    return (lastLine, String(decoding: bytes[offset..<lineEnd(from: offset)], as: UTF8.self).unicodeScalars.count + 1)
  }
}

/// Makes places of marks. It remembers where it was, so that marks in ascending order cost one pass over the file,
/// however many there are and however long its lines.
struct PlaceFinder {
  private let source: Source
  private var line = 1
  private var lineStart: Int
  private var column = 1
  private var offset: Int

  /// What is shown of a line.
  private static let excerptLimit = 160
  /// What is shown of it to the left of the caret, if it is longer.
  private static let excerptLead = 60

  init(_ source: Source) {
    self.source = source
    lineStart = source.start
    offset = source.start
  }

  /// The place of a mark in the source.
  mutating func place(_ mark: Mark) -> Place {
    guard mark.line > 0 else { return source.whole }
    seek(line: mark.line)
    let end = source.lineEnd(from: lineStart)
    let first = end - lineStart > Self.excerptLimit ? max(1, mark.column - Self.excerptLead) : 1
    seek(column: first, before: end)
    let windowEnd = min(end, offset + 4 * Self.excerptLimit)
    let scalars = String(decoding: source.bytes[offset..<windowEnd], as: UTF8.self).unicodeScalars
    let shown = Array(scalars.prefix(Self.excerptLimit))
    let target = min(mark.column - column, shown.count)

    let lead = column > 1 ? "..." : ""
    let isCut = windowEnd < end || shown.count < scalars.count
    return Place(
      file: source.name, line: mark.line, column: mark.column,
      excerpt: lead + shown.map(\.shown).joined() + (isCut ? "..." : ""), caret: lead.count + max(0, target),
      width: max(1, min(mark.width, shown.count - target)))
  }

  private mutating func seek(line wanted: Int) {
    if wanted < line { self = PlaceFinder(source) }
    while line < wanted {
      lineStart = source.lineFeed(from: lineStart).map { $0 + 1 } ?? source.bytes.count
      line += 1
      (column, offset) = (1, lineStart)
    }
  }

  /// Goes to a column of the line, or to its end if it is shorter.
  private mutating func seek(column wanted: Int, before end: Int) {
    if wanted < column { (column, offset) = (1, lineStart) }
    source.bytes.withUnsafeBufferPointer { bytes in
      while column < wanted, offset < end {
        offset += 1
        while offset < end, bytes[offset] & 0xC0 == 0x80 { offset += 1 }
        column += 1
      }
    }
  }
}

extension Unicode.Scalar {
  /// One column wide and harmless: a tab is an arrow, whatever else cannot be seen is a replacement character.
  fileprivate var shown: String {
    if self == "\t" { return "\u{2192}" }
    return isPrintable ? String(self) : "\u{FFFD}"
  }
}
