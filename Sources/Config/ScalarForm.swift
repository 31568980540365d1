/// How scalars are told apart: as strictly as YAML 1.1, YAML 1.2 and JSON agree on.
enum ScalarForm {
  /// A plain decimal integer. Hexadecimal, octal-looking (`010`), signed plus and underscored forms mean different numbers
  /// to different readers, so they are none.
  static func integer(_ node: Node) -> Int? {
    guard let scalar = node.scalar, scalar.isPlain || scalar.isExpanded else { return nil }
    // More than 19 digits and a sign are no Int, however long they take to look at.
    guard scalar.text.utf8.count <= 20 else { return nil }
    let digits = scalar.text.hasPrefix("-") ? scalar.text.dropFirst() : scalar.text[...]
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), digits == "0" || !digits.hasPrefix("0") else { return nil }
    return Int(scalar.text)
  }

  /// Text that no YAML reader takes for anything else, without control characters.
  static func text(_ node: Node, _ path: String, _ reading: inout Reading) -> String? {
    guard let scalar = node.scalar, !node.isNull else {
      reading.mismatch(path, "text", node)
      return nil
    }
    if scalar.isPlain, !scalar.isExpanded, isTyped(scalar.text) {
      let text = scalar.text.printable(limit: 60)
      reading.problems.error(node.mark, "`\(path)` must be text, and \(text) is a number or boolean; write \"\(text)\"")
      return nil
    }
    if let bad = scalar.text.unicodeScalars.first(where: { $0.properties.generalCategory == .control }) {
      let code = String(bad.value, radix: 16, uppercase: true)
      reading.problems.error(node.mark, "`\(path)` holds the control character U+\(code); remove it")
      return nil
    }
    return scalar.text
  }

  /// What `parse` makes of the text of a scalar, quoted or not: a number with units, a range of ports.
  static func parsed<Value, Mistake: TextMistake>(
    _ node: Node, _ path: String, _ expected: String, _ reading: inout Reading,
    _ parse: (String) throws(Mistake) -> Value
  ) -> Value? {
    guard let scalar = node.scalar, !node.isNull else {
      reading.mismatch(path, expected, node)
      return nil
    }
    do throws(Mistake) {
      return try parse(scalar.text)
    } catch {
      // The reason may quote a part of the text.
      if scalar.isExpanded {
        reading.mismatch(path, expected, node)
      } else {
        reading.problems.error(node.mark, "`\(path)`: \(scalar.written.quotedForMessage) \(error.reason)")
      }
      return nil
    }
  }

  /// Whether some YAML reader takes this plain scalar for a number or a boolean.
  private static func isTyped(_ text: String) -> Bool {
    if ["true", "false", "yes", "no", "on", "off"].contains(text.lowercased()) { return true }
    guard let first = text.unicodeScalars.first, "0123456789+-.".unicodeScalars.contains(first) else { return false }
    return Double(text.filter { $0 != "_" }) != nil || text.hasPrefix("0o")
  }

  /// `rw-r-----` and the like, for the low nine bits.
  static func permissions(_ mode: UInt32) -> String {
    let letters = Array("rwxrwxrwx")
    return String((0..<9).map { mode & (0o400 >> UInt32($0)) != 0 ? letters[$0] : "-" })
  }

  /// Four octal digits.
  static func octal(_ mode: UInt32) -> String {
    let digits = String(mode & 0o777, radix: 8)
    return String(repeating: "0", count: 4 - digits.count) + digits
  }
}

/// Why a text is not what it should be.
public protocol TextMistake: Error {
  /// What is wrong and what to do, to be put behind the text.
  var reason: String { get }
}
