/// Finds bytes that no configuration file may hold, before YAML is parsed: libyaml reports those by byte offset only,
/// and takes some of them for line breaks that editors do not count.
enum TextCheck {
  /// What was found, and where.
  struct Finding: Equatable {
    var line: Int
    var column: Int
    var message: String
    /// The text cannot be parsed at all.
    var isFatal = true
  }

  static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  /// The first such byte, and in any case a byte order mark at the start.
  static func findings(in bytes: [UInt8]) -> [Finding] {
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      return [Finding(line: 1, column: 1, message: "the file is UTF-16; save it as UTF-8")]
    }
    var findings: [Finding] = []
    if bytes.starts(with: byteOrderMark) {
      let message = "the file starts with a byte order mark; save it as UTF-8 without one"
      findings.append(Finding(line: 1, column: 1, message: message, isFatal: false))
    }
    if let bad = firstBadByte(in: bytes, from: findings.isEmpty ? 0 : 3) { findings.append(bad) }
    return findings
  }

  private static func firstBadByte(in bytes: [UInt8], from start: Int) -> Finding? {
    bytes.withUnsafeBufferPointer { bytes -> Finding? in
      var index = start
      var lineStart = start
      var line = 1
      while index < bytes.count {
        let byte = bytes[index]
        if byte >= 0x20 && byte < 0x7F {
          if byte == UInt8(ascii: "%"), index == lineStart {
            return Finding(line: line, column: 1, message: "YAML directives (`%`) mean nothing here; remove the line")
          }
          index += 1
        } else if byte == UInt8(ascii: "\n") {
          index += 1
          line += 1
          lineStart = index
        } else if byte == UInt8(ascii: "\t") {
          index += 1
        } else if let length = validScalar(bytes, at: index) {
          index += length
        } else {
          let before = UnsafeBufferPointer(rebasing: bytes[lineStart..<index])
          let column = String(decoding: before, as: UTF8.self).unicodeScalars.count + 1
          return Finding(line: line, column: column, message: message(bytes, at: index))
        }
      }
      return nil
    }
  }

  /// The length of the sequence at `index` if it is UTF-8 and allowed in a configuration file.
  private static func validScalar(_ bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> Int? {
    if bytes[index] == UInt8(ascii: "\r") {
      return index + 1 < bytes.count && bytes[index + 1] == UInt8(ascii: "\n") ? 1 : nil
    }
    guard let (scalar, length) = decode(bytes, at: index) else { return nil }
    switch scalar {
    case 0...0x1F, 0x7F...0x9F, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF: return nil
    default: return length
    }
  }

  /// Decodes one sequence; nil if it is not UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above 10FFFF).
  private static func decode(_ bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> (scalar: UInt32, length: Int)? {
    let lead = UInt32(bytes[index])
    let (length, smallest): (Int, UInt32)
    switch lead {
    case 0...0x7F: return (lead, 1)
    case 0xC2...0xDF: (length, smallest) = (2, 0x80)
    case 0xE0...0xEF: (length, smallest) = (3, 0x800)
    case 0xF0...0xF4: (length, smallest) = (4, 0x1_0000)
    default: return nil
    }
    guard index + length <= bytes.count else { return nil }
    var scalar = lead & (0x7F >> UInt32(length))
    for offset in 1..<length {
      let byte = UInt32(bytes[index + offset])
      guard byte & 0xC0 == 0x80 else { return nil }
      scalar = scalar << 6 | byte & 0x3F
    }
    guard scalar >= smallest, scalar <= 0x10FFFF, !(0xD800...0xDFFF).contains(scalar) else { return nil }
    return (scalar, length)
  }

  private static func message(_ bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> String {
    guard let (scalar, _) = decode(bytes, at: index) else {
      return "byte 0x\(hex(UInt32(bytes[index]), digits: 2)) is not UTF-8; save the file as UTF-8"
    }
    if scalar == 0x0D { return "a carriage return without a line feed; end lines with a line feed" }
    return "character U+\(hex(scalar, digits: 4)) is not allowed in a configuration file; remove it"
  }

  private static func hex(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
