/// A firewall mark (`SO_MARK`), or those that agree with it where a mask has ones: `0x10`, `16`, `0x10/0xff`, as `ss` writes it.
public struct MarkMatch: Sendable, Hashable, CustomStringConvertible {
  public let value: UInt32
  public let mask: UInt32

  /// Why a text is no mark.
  public struct Mistake: TextMistake, Equatable, Sendable {
    public let reason: String
  }

  public init(_ text: String) throws(Mistake) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map { Self.number($0) }
    guard let value = parts[0], let mask = parts.count > 1 ? parts[1] : .max else {
      throw Mistake(reason: "is no mark such as 0x10 or 16, nor one with a mask such as 0x10/0xff")
    }
    guard value & ~mask == 0 else {
      throw Mistake(reason: "matches nothing: it has ones where its mask has none")
    }
    (self.value, self.mask) = (value, mask)
  }

  public var description: String {
    let text = "0x" + String(value, radix: 16)
    return mask == .max ? text : "\(text)/0x" + String(mask, radix: 16)
  }

  private static func number(_ text: Substring) -> UInt32? {
    text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : ScalarForm.plainNumber(text).flatMap { UInt32($0) }
  }
}

/// A network interface that sockets are bound to: its name, which is looked up in each namespace, or its index.
public enum InterfaceMatch: Sendable, Hashable, CustomStringConvertible {
  case name(String)
  case index(UInt32)

  /// Why a text is no interface.
  public struct Mistake: TextMistake, Equatable, Sendable {
    public let reason: String
  }

  public init(_ text: String) throws(Mistake) {
    if let number = ScalarForm.plainNumber(text[...]) {
      guard let index = UInt32(number), index <= UInt32(Int32.max) else {
        throw Mistake(reason: "is no index of an interface")
      }
      self = .index(index)
      return
    }
    // dev_valid_name in net/core/dev.c
    let isName =
      (1...15).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") }
    guard isName, text != ".", text != "..", !text.contains(":") else {
      throw Mistake(reason: "is neither the name of an interface (up to 15 characters) nor an index")
    }
    self = .name(text)
  }

  public var description: String {
    switch self {
    case .name(let name): name
    case .index(let index): "\(index)"
    }
  }
}

/// A control group of version 2 that sockets were made in: its path below the mount, or its number (that of its directory's inode).
public enum CgroupMatch: Sendable, Hashable, CustomStringConvertible {
  case path(String)
  case number(UInt64)

  /// Why a text is no control group.
  public struct Mistake: TextMistake, Equatable, Sendable {
    public let reason: String
  }

  public init(_ text: String) throws(Mistake) {
    if let number = ScalarForm.plainNumber(text[...]) {
      guard let value = UInt64(number), value > 0, value < .max else {
        throw Mistake(reason: "is no number of a control group")
      }
      self = .number(value)
      return
    }
    guard text.hasPrefix("/"), !text.contains("\0"), !text.split(separator: "/").contains("..") else {
      throw Mistake(reason: "is neither a path such as /system.slice/nginx.service nor a number")
    }
    self = .path(text)
  }

  public var description: String {
    switch self {
    case .path(let path): path
    case .number(let number): "\(number)"
    }
  }
}

extension ScalarForm {
  /// Decimal digits without leading zeros, which YAML 1.1 takes for octal.
  static func plainNumber(_ text: Substring) -> Substring? {
    guard (1...20).contains(text.utf8.count), text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0 }),
      text == "0" || !text.hasPrefix("0")
    else { return nil }
    return text
  }
}

extension ValueType {
  /// A number, or text of a pattern, that `parse` makes something of, quoted or not.
  static func parsed<Mistake: TextMistake>(
    name: String, allowed: String, numbers: ClosedRange<Int>, pattern: String, expected: String,
    _ parse: @escaping @Sendable (String) throws(Mistake) -> Value
  ) -> ValueType {
    ValueType(
      name: name, allowed: allowed,
      schema: .object(.init("anyOf", .array([ValueType<Int>.integer(numbers).schema, .pattern(pattern)])))
    ) { node, path, reading in
      ScalarForm.parsed(node, path, expected, &reading, parse)
    }
  }
}

extension ValueType where Value == MarkMatch {
  static var mark: ValueType {
    .parsed(
      name: "mark", allowed: "a number, with or without a mask, such as `16`, `0x10` or `0x10/0xff`",
      numbers: 0...Int(UInt32.max), pattern: "^(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})(/(0x[0-9a-fA-F]{1,8}|[0-9]{1,10}))?$",
      expected: "a mark such as 0x10 or 0x10/0xff"
    ) { (text) throws(MarkMatch.Mistake) in try MarkMatch(text) }
  }
}

extension ValueType where Value == InterfaceMatch {
  static var interface: ValueType {
    .parsed(
      name: "interface", allowed: "a name such as `eth0`, or an index", numbers: 0...Int(Int32.max),
      pattern: "^[^/:\\s]{1,15}$", expected: "an interface such as eth0"
    ) { (text) throws(InterfaceMatch.Mistake) in try InterfaceMatch(text) }
  }
}

extension ValueType where Value == CgroupMatch {
  static var cgroup: ValueType {
    .parsed(
      name: "cgroup", allowed: "a path such as `/system.slice/nginx.service`, or a number", numbers: 1...Int.max,
      pattern: "^(/.*|[1-9][0-9]*)$", expected: "a path of a control group such as /system.slice/nginx.service"
    ) { (text) throws(CgroupMatch.Mistake) in try CgroupMatch(text) }
  }
}
