extension KernelProgram {
  /// The program for people, an operation a line: where it is, what it compares, and where it goes on if that is not so.
  ///
  /// - Parameter names: what the blanks stand for, by binding.
  public func listing(names: [String]) -> [String] {
    var lines: [String] = []
    var at = 0
    while at + 4 <= bytes.count {
      let target = at + Int(number(at + 2, UInt16.self))
      let otherwise = target > bytes.count ? "drop" : target == bytes.count ? "report" : "\(target)"
      let code = Code(rawValue: bytes[at])
      let text = code.map { describe($0, at, names) } ?? "operation \(bytes[at])"
      lines.append("\(at): \(text)\(code == .jump ? " " : ", else ")\(otherwise)")
      at += max(4, Int(bytes[at + 1]))
    }
    return lines
  }

  private func describe(_ code: Code, _ at: Int, _ names: [String]) -> String {
    let name = code.kernelName
    switch code {
    case .jump: return name
    case .sourcePortAtLeast, .sourcePortAtMost, .destinationPortAtLeast, .destinationPortAtMost:
      return "\(name) \(number(at + 6, UInt16.self))"
    case .source, .destination: return "\(name) \(network(at + 4))"
    case .interface: return "\(name) \(operand(at + 4, UInt32.self, names))"
    case .mark:
      let (value, mask) = (number(at + 4, UInt32.self), number(at + 8, UInt32.self))
      return "\(name) 0x\(String(value, radix: 16))\(mask == .max ? "" : "/0x\(String(mask, radix: 16))")"
    case .controlGroup: return "\(name) \(operand(at + 4, UInt64.self, names))"
    }
  }

  private func operand<Number: FixedWidthInteger>(_ at: Int, _ type: Number.Type, _ names: [String]) -> String {
    if let blank = blanks.first(where: { $0.offset == at }), blank.binding < names.count { return names[blank.binding] }
    return "\(number(at, type))"
  }

  private func network(_ at: Int) -> String {
    let count = bytes[at] == 2 ? 4 : 16
    let address = Array(bytes[at + 8..<at + 8 + count])
    var text = [UInt8](repeating: 0, count: 64)
    let length = text.withUnsafeMutableBytes { room -> Int in
      guard var cursor = room.baseAddress else { return 0 }
      address.withUnsafeBytes { bytes in
        if let start = bytes.baseAddress { putAddress(&cursor, start, count) }
      }
      return cursor - UnsafeMutableRawPointer(room.baseAddress ?? cursor)
    }
    return String(decoding: text[..<length], as: UTF8.self) + "/\(bytes[at + 1])"
  }

  private func number<Number: FixedWidthInteger>(_ at: Int, _ type: Number.Type) -> Number {
    (0..<MemoryLayout<Number>.size).reversed().reduce(0) { $0 << 8 | Number(bytes[at + $1]) }
  }
}

extension KernelProgram.Code {
  /// Without `INET_DIAG_BC_`.
  fileprivate var kernelName: String {
    switch self {
    case .jump: "jmp"
    case .sourcePortAtLeast: "s_ge"
    case .sourcePortAtMost: "s_le"
    case .destinationPortAtLeast: "d_ge"
    case .destinationPortAtMost: "d_le"
    case .source: "s_cond"
    case .destination: "d_cond"
    case .interface: "dev_cond"
    case .mark: "mark_cond"
    case .controlGroup: "cgroup_cond"
    }
  }
}
