import Glibc

/// A row that was read from a file, put back into the shape in which the kernel sent it: one block of memory for each
/// source. So a decoded row goes through the same encoders as a fresh one, and comes out the same.
///
/// What the file says about presence (`attributes`, `tcp_info_length`) decides which blocks are there. A file without these
/// columns, such as the predecessor's, has the sources of which it names a field.
struct RestoredRow: ~Copyable {
  let dump = DumpBlock()
  let starts: UnsafeMutablePointer<UnsafeRawPointer>
  let lengths: UnsafeMutablePointer<Int>
  private(set) var present: UInt32 = 0
  private(set) var accurateECN = AccurateECNLayout.unknown

  private let blocks: UnsafeMutableRawPointer
  /// Sources of which the file names a field.
  private var named: UInt32 = 0
  private var attributes: UInt32?
  private var infoLength: Int?
  /// Where the last field of tcp_info that the file names ends.
  private var namedInfoEnd = 0
  private var algorithm = 0
  private var sourceAddressLength = 0
  private var destinationAddressLength = 0
  private var ecn = (mode: UInt32(0), optionSeen: UInt32(0), failMode: UInt32(0), options2: UInt32(0))

  /// Room for every structure and every text.
  private static let blockSize = 512
  /// A longer tcp_info than this has never been; a file that says so is damaged.
  private static let longestInfo = 65_535

  init() {
    blocks = .allocate(byteCount: Source.slotCount * Self.blockSize, alignment: 64)
    starts = .allocate(capacity: Source.slotCount)
    lengths = .allocate(capacity: Source.slotCount)
    for slot in 0..<Source.slotCount {
      (starts + slot).initialize(to: UnsafeRawPointer(blocks + slot * Self.blockSize))
      (lengths + slot).initialize(to: 0)
    }
    starts[Int(Source.dump.rawValue)] = UnsafeRawPointer(dump.memory)
    clear()
  }

  deinit {
    blocks.deallocate()
    starts.deallocate()
    lengths.deallocate()
  }

  /// Forgets the row before.
  mutating func clear() {
    blocks.initializeMemory(as: UInt8.self, repeating: 0, count: Source.slotCount * Self.blockSize)
    dump.memory.initializeMemory(as: UInt8.self, repeating: 0, count: DumpBlock.Text.daemonVersion.rawValue)
    for text in DumpBlock.Text.allCases { dump.set(text, "") }
    named = 0
    attributes = nil
    infoLength = nil
    namedInfoEnd = 0
    algorithm = 0
    sourceAddressLength = 0
    destinationAddressLength = 0
    ecn = (0, 0, 0, 0)
    accurateECN = .unknown
  }

  private func block(_ source: Source) -> UnsafeMutableRawPointer {
    source == .dump ? dump.memory : blocks + Int(source.rawValue) * Self.blockSize
  }

  private mutating func name(_ field: FieldDescription) {
    named |= field.source.bit
    if field.source == .info { namedInfoEnd = max(namedInfoEnd, field.offset + field.form.width) }
  }

  // MARK: Values of the file

  /// A number. False if the field holds none, or the number is wider than the kernel's.
  mutating func set(_ field: FieldDescription, _ value: UInt64) -> Bool {
    let target = block(field.source) + field.offset
    switch field.form {
    case .u8, .state:
      guard let byte = UInt8(exactly: value) else { return false }
      target.storeBytes(of: byte, as: UInt8.self)
    case .u16:
      guard let half = UInt16(exactly: value) else { return false }
      target.storeBytes(of: half, as: UInt16.self)
    case .port:
      guard let half = UInt16(exactly: value) else { return false }
      target.storeBytes(of: half.bigEndian, as: UInt16.self)
    case .u32:
      guard let word = UInt32(exactly: value) else { return false }
      target.storeBytes(of: word, as: UInt32.self)
    case .u64, .i64:
      target.storeBytes(of: value, as: UInt64.self)
    case .lowNibble: return setBits(field, value, width: 4, shift: 0)
    case .highNibble: return setBits(field, value, width: 4, shift: 4)
    case .bit0: return setBits(field, value, width: 1, shift: 0)
    case .bits1to2: return setBits(field, value, width: 2, shift: 1)
    case .ecnMode, .ecnOptionSeen, .ecnFailMode, .ecnOptions2:
      guard let word = UInt32(exactly: value) else { return false }
      setAccurateECN(field.form, word)
    case .algorithm:
      algorithm = Int(truncatingIfNeeded: min(value, 255))
    case .unfilledUInt32, .unfilledUInt64:
      return true
    case .address, .name, .text, .endpoint, .unfilledString:
      return false
    }
    if field.source == .row && field.offset == 16 { attributes = UInt32(truncatingIfNeeded: value) }
    if field.source == .row && field.offset == 20 { infoLength = Int(value) }
    name(field)
    return true
  }

  private mutating func setBits(_ field: FieldDescription, _ value: UInt64, width: UInt8, shift: UInt8) -> Bool {
    guard value < 1 << UInt64(width) else { return false }
    let target = block(field.source) + field.offset
    let others = target.load(as: UInt8.self) & ~((1 << width - 1) << shift)
    target.storeBytes(of: others | UInt8(value) << shift, as: UInt8.self)
    name(field)
    return true
  }

  private mutating func setAccurateECN(_ form: Form, _ value: UInt32) {
    switch form {
    case .ecnMode: ecn.mode = value
    case .ecnOptionSeen: ecn.optionSeen = value
    case .ecnFailMode: ecn.failMode = value
    default: ecn.options2 = value
    }
  }

  /// Text, as UTF-8 that need not be valid. False if the field holds none, or not one like this.
  mutating func set(_ field: FieldDescription, text: UnsafeRawBufferPointer) -> Bool {
    switch field.form {
    case .text:
      guard let slot = DumpBlock.Text(rawValue: field.offset) else { return false }
      dump.set(slot, String(decoding: text, as: UTF8.self))
    case .name:
      guard text.count <= maximumTextBytes else { return false }
      let target = block(field.source)
      for (index, byte) in text.enumerated() {
        let shown = byte > 0x20 && byte < 0x7f ? byte : UInt8(ascii: "?")
        target.storeBytes(of: shown, toByteOffset: index, as: UInt8.self)
      }
      lengths[Int(field.source.rawValue)] = text.count
    case .state:
      guard let number = SocketStates.number(of: String(decoding: text, as: UTF8.self)) else { return false }
      return set(field, UInt64(number))
    case .address:
      return set(field, addressText: String(decoding: text, as: UTF8.self))
    case .unfilledString:
      return true
    default:
      return false
    }
    name(field)
    return true
  }

  /// An address as bytes in network order.
  mutating func set(_ field: FieldDescription, address: UnsafeRawBufferPointer) -> Bool {
    guard field.form == .address, address.count == 4 || address.count == 16, let start = address.baseAddress else {
      return false
    }
    (block(field.source) + field.offset).copyMemory(from: start, byteCount: address.count)
    if field.offset == 8 { sourceAddressLength = address.count } else { destinationAddressLength = address.count }
    name(field)
    return true
  }

  private mutating func set(_ field: FieldDescription, addressText: String) -> Bool {
    var bytes: (UInt64, UInt64) = (0, 0)
    let isV6 = addressText.utf8.contains(UInt8(ascii: ":"))
    return withUnsafeMutableBytes(of: &bytes) { buffer in
      guard inet_pton(isV6 ? AF_INET6 : AF_INET, addressText, buffer.baseAddress) == 1 else { return false }
      return set(field, address: UnsafeRawBufferPointer(rebasing: buffer[..<(isV6 ? 16 : 4)]))
    }
  }

  // MARK: The whole row

  /// The row is complete: decides what is present. A reason if its parts contradict each other.
  mutating func finish() -> String? {
    let message = block(.message)
    if named & Source.message.bit != 0 {
      let length = message.load(as: UInt8.self) == 2 ? 4 : 16
      for given in [sourceAddressLength, destinationAddressLength] where given != 0 && given != length {
        return "address of \(given) bytes in a row of address family \(message.load(as: UInt8.self))"
      }
    }
    present = (attributes ?? named) & Source.attributeBits | named & Source.message.bit
    present |= Source.row.bit | Source.dump.bit
    if present & Source.info.bit != 0 {
      let length = infoLength ?? namedInfoEnd
      guard length <= Self.longestInfo else { return "tcp_info_length \(length) is out of range" }
      lengths[Int(Source.info.rawValue)] = length
    }
    for source in Source.allCases where source != .info && source != .congestion && source != .upperLayerProtocol {
      lengths[Int(source.rawValue)] = RecordSchema.knownLengths[Int(source.rawValue)]
    }
    present &= RecordSchema.fillableSources
    finishName()
    finishAccurateECN()
    finishRowBlock()
    return nil
  }

  /// The predecessor writes the number of the algorithm and never its name.
  private mutating func finishName() {
    if named & Source.congestion.bit == 0 || present & Source.congestion.bit == 0 {
      lengths[Int(Source.congestion.rawValue)] = 0
    }
    if present & Source.upperLayerProtocol.bit == 0 || named & Source.upperLayerProtocol.bit == 0 {
      lengths[Int(Source.upperLayerProtocol.rawValue)] = 0
    }
    guard present & Source.congestion.bit != 0, lengths[Int(Source.congestion.rawValue)] == 0 else { return }
    let names: [StaticString] = ["", "cubic", "dctcp", "vegas", "prague", "bbr", "bbr2", "bbr3"]
    guard algorithm < names.count else { return }
    let name = names[algorithm]
    block(.congestion).copyMemory(from: name.utf8Start, byteCount: name.utf8CodeUnitCount)
    lengths[Int(Source.congestion.rawValue)] = name.utf8CodeUnitCount
  }

  private mutating func finishAccurateECN() {
    let release = dump.text(.kernelRelease)
    accurateECN = AccurateECNLayout(kernelRelease: release)
    let word: UInt32 =
      switch accurateECN {
      case .unknown: 0
      case .halves: ecn.failMode & 0xffff | (ecn.optionSeen & 0xffff) << 16
      case .bitFields:
        ecn.mode & 3 | (ecn.optionSeen & 3) << 2 | (ecn.failMode & 15) << 4 | (ecn.options2 & 0xff_ffff) << 8
      }
    block(.info).storeBytes(of: word, toByteOffset: 276, as: UInt32.self)
    clearBeyondInfo()
  }

  /// A file may name fields beyond its own `tcp_info_length`; they do not exist.
  private func clearBeyondInfo() {
    let known = RecordSchema.wholeInfoLengths.count - 1
    let length = lengths[Int(Source.info.rawValue)]
    guard present & Source.info.bit != 0, length < known else { return }
    let whole = RecordSchema.wholeInfoLengths[length]
    (block(.info) + whole).initializeMemory(as: UInt8.self, repeating: 0, count: known - whole)
  }

  /// The row for an encoder.
  var sources: RowSources {
    RowSources(starts: starts, lengths: lengths, present: present, accurateECN: accurateECN)
  }

  /// `attributes` may name more than this program knows, and none if the file did not say.
  private mutating func finishRowBlock() {
    let row = block(.row)
    row.storeBytes(of: present & Source.attributeBits, toByteOffset: 16, as: UInt32.self)
    let hasInfo = present & Source.info.bit != 0
    row.storeBytes(
      of: hasInfo ? UInt32(lengths[Int(Source.info.rawValue)]) : 0, toByteOffset: 20, as: UInt32.self)
    lengths[Int(Source.row.rawValue)] = hasInfo ? RowBlock.byteCount : RowBlock.byteCountWithoutInfo
  }
}
