/// A shell-like pattern over bytes: `*` is any run (`/` included), `?` any one byte, `[a-z]` and `[!a-z]` a set,
/// `\` takes the next byte as it is. Matching takes at most pattern x text steps and allocates nothing.
public struct Glob: Sendable, Hashable, CustomStringConvertible {
  private enum Piece: Sendable, Hashable {
    case byte(UInt8)
    case anyByte
    case anyRun
    case set([ClosedRange<UInt8>], negated: Bool)
  }

  /// The pattern as it was written.
  public let pattern: String
  /// The one text that matches, if the pattern has no wildcard.
  let literal: String?
  private let pieces: [Piece]

  public var description: String { pattern }

  /// Nil when a `[` is not closed, a range runs backwards, or the pattern is empty or ends in a lone backslash.
  public init?(_ pattern: String) {
    var rest = Array(pattern.utf8)[...]
    var pieces: [Piece] = []
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "*"): if pieces.last != .anyRun { pieces.append(.anyRun) }
      case UInt8(ascii: "?"): pieces.append(.anyByte)
      case UInt8(ascii: "["):
        guard let set = Self.parseSet(&rest) else { return nil }
        pieces.append(set)
      case UInt8(ascii: "\\"):
        guard let literal = rest.popFirst() else { return nil }
        pieces.append(.byte(literal))
      default: pieces.append(.byte(byte))
      }
    }
    guard !pieces.isEmpty else { return nil }
    self.pattern = pattern
    self.pieces = pieces
    let bytes = Self.literalPrefix(of: pieces)
    literal = bytes.count == pieces.count ? String(decoding: bytes, as: UTF8.self) : nil
  }

  /// Whether the whole of `text` matches.
  public func matches(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { matches($0) }
  }

  /// Whether all of `bytes` match. On a mismatch only the latest `*` is retried one byte further on: an earlier one
  /// could not match more, because the latest takes any run.
  public func matches(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    var piece = 0
    var position = 0
    var retry: (piece: Int, position: Int)?
    while position < bytes.count {
      if piece < pieces.count, pieces[piece] == .anyRun {
        piece += 1
        retry = (piece, position)
      } else if piece < pieces.count, Self.matches(pieces[piece], bytes[position]) {
        piece += 1
        position += 1
      } else if let last = retry {
        piece = last.piece
        position = last.position + 1
        retry = (piece, position)
      } else {
        return false
      }
    }
    return pieces[piece...].allSatisfy { $0 == .anyRun }
  }

  /// Whether some text may match both: exact if one has no wildcard, else whether their beginnings agree.
  func mayOverlap(_ other: Glob) -> Bool {
    switch (literal, other.literal) {
    case (let one?, let other?): one == other
    case (let one?, nil): other.matches(one)
    case (nil, let other?): matches(other)
    case (nil, nil):
      zip(Self.literalPrefix(of: pieces), Self.literalPrefix(of: other.pieces)).allSatisfy { $0 == $1 }
    }
  }

  private static func literalPrefix(of pieces: [Piece]) -> [UInt8] {
    var prefix: [UInt8] = []
    for case .byte(let byte) in pieces.prefix(while: { if case .byte = $0 { true } else { false } }) {
      prefix.append(byte)
    }
    return prefix
  }

  private static func matches(_ piece: Piece, _ byte: UInt8) -> Bool {
    switch piece {
    case .byte(let wanted): wanted == byte
    case .anyByte: true
    case .anyRun: false
    case .set(let ranges, let negated): ranges.contains { $0.contains(byte) } != negated
    }
  }

  /// Parses what follows a `[`; a `]` right after the opening is a member, as in every shell.
  private static func parseSet(_ rest: inout ArraySlice<UInt8>) -> Piece? {
    let negated = rest.first == UInt8(ascii: "!") || rest.first == UInt8(ascii: "^")
    if negated { rest.removeFirst() }
    var ranges: [ClosedRange<UInt8>] = []
    while let low = rest.popFirst() {
      if low == UInt8(ascii: "]"), !ranges.isEmpty { return .set(ranges, negated: negated) }
      var high = low
      if rest.first == UInt8(ascii: "-"), let end = rest.dropFirst().first, end != UInt8(ascii: "]") {
        high = end
        rest.removeFirst(2)
      }
      guard low <= high else { return nil }
      ranges.append(low...high)
    }
    return nil
  }
}
