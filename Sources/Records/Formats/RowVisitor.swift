/// Reads each field from its source and hands the value to a format. Inlined into `describeRecord` it becomes straight code
/// from kernel bytes to encoded bytes; called for one column at a time it serves selections of columns.
struct RowVisitor<Format: ValueFormat>: RecordVisitor {
  var format: Format
  /// Sources of this row, by raw value of `Source`.
  let starts: UnsafePointer<UnsafeRawPointer>
  let lengths: UnsafePointer<Int>
  let present: UInt32
  let accurateECN: AccurateECNLayout

  /// The source begun last.
  private var block: UnsafeRawPointer
  private var blockLength = 0
  private let addressLength: Int

  @inline(__always)
  init(
    _ format: Format, starts: UnsafePointer<UnsafeRawPointer>, lengths: UnsafePointer<Int>, present: UInt32,
    accurateECN: AccurateECNLayout
  ) {
    self.format = format
    self.starts = starts
    self.lengths = lengths
    self.present = present
    self.accurateECN = accurateECN
    block = starts[0]
    addressLength = present & Source.message.bit != 0 && starts[0].load(as: UInt8.self) == 2 ? 4 : 16
  }

  @inline(__always)
  mutating func begin(_ source: Source) -> Bool {
    guard present & source.bit != 0 else { return false }
    block = starts[Int(source.rawValue)]
    blockLength = lengths[Int(source.rawValue)]
    return true
  }

  @inline(__always)
  mutating func field(
    _ name: StaticString, _ number: UInt32, _ form: Form, at offset: Int, _ unit: Unit, kernel: StaticString,
    _ text: StaticString
  ) {
    value(ColumnKey(name, number), form, at: offset)
  }

  /// Writes one field of the source begun last.
  @inline(__always)
  mutating func value(_ key: ColumnKey, _ form: Form, at offset: Int) {
    if !Format.hasImplicitPresence && offset &+ form.width > blockLength {
      format.absent(key)
      return
    }
    switch form {
    case .u8: format.unsigned(key, byte(offset))
    case .u16: format.unsigned(key, half(offset))
    case .u32: format.unsigned(key, word(offset))
    case .u64: format.unsigned64(key, block.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    case .i64: format.signed64(key, block.loadUnaligned(fromByteOffset: offset, as: Int64.self))
    case .port: format.unsigned(key, port(offset))
    case .lowNibble: format.unsigned(key, byte(offset) & 15)
    case .highNibble: format.unsigned(key, byte(offset) >> 4)
    case .bit0: format.unsigned(key, byte(offset) & 1)
    case .bits1to2: format.unsigned(key, byte(offset) >> 1 & 3)
    case .state: format.state(key, byte(offset))
    case .address: format.address(key, block + offset, addressLength)
    case .name: format.text(key, block, blockLength)
    case .algorithm: format.algorithm(key, congestionAlgorithm(block, blockLength))
    case .ecnMode, .ecnOptionSeen, .ecnFailMode, .ecnOptions2: accurateECNValue(key, form, word(offset))
    case .text:
      format.text(
        key, block.load(fromByteOffset: offset, as: UnsafeRawPointer.self),
        block.load(fromByteOffset: offset &+ 8, as: Int.self))
    case .endpoint: endpoint(key, offset)
    case .unfilledUInt32, .unfilledUInt64, .unfilledString: format.absent(key)
    }
  }

  @inline(__always)
  private func byte(_ offset: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: block.load(fromByteOffset: offset, as: UInt8.self))
  }

  @inline(__always)
  private func half(_ offset: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: block.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  @inline(__always)
  private func port(_ offset: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: block.loadUnaligned(fromByteOffset: offset, as: UInt16.self).byteSwapped)
  }

  @inline(__always)
  private func word(_ offset: Int) -> UInt32 { block.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }

  /// The last word of tcp_info in the layout of the kernel that sent it.
  @inline(__always)
  private mutating func accurateECNValue(_ key: ColumnKey, _ form: Form, _ word: UInt32) {
    switch (accurateECN, form) {
    case (.halves, .ecnFailMode): format.unsigned(key, word & 0xffff)
    case (.halves, .ecnOptionSeen): format.unsigned(key, word >> 16)
    case (.bitFields, .ecnMode): format.unsigned(key, word & 3)
    case (.bitFields, .ecnOptionSeen): format.unsigned(key, word >> 2 & 3)
    case (.bitFields, .ecnFailMode): format.unsigned(key, word >> 4 & 15)
    case (.bitFields, .ecnOptions2): format.unsigned(key, word >> 8)
    default: format.absent(key)
    }
  }

  /// `1.2.3.4:80`, `[::1]:80`, and `*` for port 0. The port of the address at offset 8 is at 4, of the one at 24 at 6.
  private mutating func endpoint(_ key: ColumnKey, _ offset: Int) {
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
      guard let base = buffer.baseAddress else { return }
      var end = base
      func put(_ byte: UInt8) {
        end.storeBytes(of: byte, as: UInt8.self)
        end += 1
      }
      if addressLength == 16 { put(UInt8(ascii: "[")) }
      putAddress(&end, block + offset, addressLength)
      if addressLength == 16 { put(UInt8(ascii: "]")) }
      put(UInt8(ascii: ":"))
      let number = port(offset == 8 ? 4 : 6)
      if number == 0 { put(UInt8(ascii: "*")) } else { putDecimal(&end, UInt64(number)) }
      format.text(key, UnsafeRawPointer(base), end - base)
    }
  }
}
