import Glibc

/// A row that was read from a file, put back into the shape in which the kernel sent it: one block of memory for each
/// source. So a decoded row goes through the same encoders as a fresh one, and comes out the same.
///
/// What the file says about presence (`attributes`, `tcp_info_length`) decides which blocks are there. A file without
/// these columns, such as the predecessor's, has the sources of which it names a field.
struct RestoredRow: ~Copyable {
  let dump = DumpBlock()
  let starts: UnsafeMutablePointer<UnsafeRawPointer>
  let lengths: UnsafeMutablePointer<Int>
  private(set) var present: UInt32 = 0
  private(set) var accurateECN = AccurateECNLayout.unknown
  private let fillable = RecordSchema.fillableSources

  private let blocks: UnsafeMutableRawPointer
  /// How many bytes of each block a row can have changed.
  private let sizes: UnsafeMutablePointer<Int>
  /// Every field by protobuf number.
  private let places: UnsafeMutableBufferPointer<FieldPlace>
  /// Sources of which the file names a field.
  private var named: UInt32 = 0
  /// Texts of the dump block that the file names, and those that are not empty, by position in `DumpBlock.Text`.
  private var namedTexts: UInt32 = 0
  private var filledTexts: UInt32 = 0
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
    sizes = .allocate(capacity: Source.slotCount)
    places = FieldPlace.byNumber()
    for slot in 0..<Source.slotCount {
      (starts + slot).initialize(to: UnsafeRawPointer(blocks + slot * Self.blockSize))
      (lengths + slot).initialize(to: RecordSchema.knownLengths[slot])
      (sizes + slot).initialize(to: max(RecordSchema.knownLengths[slot], maximumTextBytes))
    }
    starts[Int(Source.dump.rawValue)] = UnsafeRawPointer(dump.memory)
    blocks.initializeMemory(as: UInt8.self, repeating: 0, count: Source.slotCount * Self.blockSize)
    clear()
  }

  deinit {
    blocks.deallocate()
    starts.deallocate()
    lengths.deallocate()
    sizes.deallocate()
    places.deallocate()
  }

  /// Forgets the row before: what it named is zero again, except for texts, which `finish` sees to, because most are
  /// the same in the next row.
  mutating func clear() {
    var touched = named | Source.info.bit | Source.dump.bit
    while touched != 0 {
      let slot = touched.trailingZeroBitCount
      touched &= touched &- 1
      if slot == Int(Source.dump.rawValue) {
        memset(dump.memory, 0, DumpBlock.Text.daemonVersion.rawValue)
      } else {
        memset(blocks + slot &* Self.blockSize, 0, sizes[slot])
      }
    }
    named = 0
    namedTexts = 0
    attributes = nil
    infoLength = nil
    namedInfoEnd = 0
    algorithm = 0
    sourceAddressLength = 0
    destinationAddressLength = 0
    ecn = (0, 0, 0, 0)
  }

  @inline(__always)
  private func block(_ source: Source) -> UnsafeMutableRawPointer {
    source == .dump ? dump.memory : blocks + Int(source.rawValue) * Self.blockSize
  }

  @inline(__always)
  private mutating func name(_ field: FieldPlace) {
    named |= field.source.bit
    if field.source == .info { namedInfoEnd = max(namedInfoEnd, Int(field.end)) }
  }

  /// The field with this protobuf number, nil if this program knows none.
  @inline(__always)
  func place(_ number: UInt32) -> FieldPlace? {
    guard number < UInt32(truncatingIfNeeded: places.count) else { return nil }
    let place = places[Int(truncatingIfNeeded: number)]
    return place.isKnown ? place : nil
  }

  // MARK: Values of the file

  /// A number. False if the field holds none, or the number is wider than the kernel's.
  @inline(__always)
  mutating func set(_ field: FieldPlace, _ value: UInt64) -> Bool {
    let target = block(field.source) + Int(field.offset)
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

  private mutating func setBits(_ field: FieldPlace, _ value: UInt64, width: UInt8, shift: UInt8) -> Bool {
    guard value < 1 << UInt64(width) else { return false }
    let target = block(field.source) + Int(field.offset)
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
  mutating func set(_ field: FieldPlace, text: UnsafeRawBufferPointer) -> Bool {
    switch field.form {
    case .text:
      guard let slot = DumpBlock.Text(rawValue: Int(field.offset)) else { return false }
      let isNew = dump.set(slot, utf8: text)
      if isNew && slot == .kernelRelease { readKernelRelease() }
      namedTexts |= slot.bit
      filledTexts |= slot.bit
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
  mutating func set(_ field: FieldPlace, address: UnsafeRawBufferPointer) -> Bool {
    guard field.form == .address, address.count == 4 || address.count == 16, let start = address.baseAddress else {
      return false
    }
    (block(field.source) + Int(field.offset)).copyMemory(from: start, byteCount: address.count)
    if field.offset == 8 { sourceAddressLength = address.count } else { destinationAddressLength = address.count }
    name(field)
    return true
  }

  private mutating func set(_ field: FieldPlace, addressText: String) -> Bool {
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
    present &= fillable
    finishTexts()
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

  private mutating func readKernelRelease() {
    accurateECN = AccurateECNLayout(kernelRelease: dump.text(.kernelRelease))
  }

  /// Empties the texts that only rows before named.
  private mutating func finishTexts() {
    let stale = filledTexts & ~namedTexts
    filledTexts = namedTexts
    guard stale != 0 else { return }
    for text in DumpBlock.Text.allCases where stale & text.bit != 0 { dump.set(text, "") }
    if stale & DumpBlock.Text.kernelRelease.bit != 0 { readKernelRelease() }
  }

  private mutating func finishAccurateECN() {
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

/// Where a field of a file goes: what of its description is needed for every value, in a table by protobuf number.
struct FieldPlace {
  var form = Form.u32
  var source = Source.unfilled
  var offset: UInt16 = 0
  /// Where the field ends in its source.
  var end: UInt16 = 0
  /// Position in `RecordSchema.fields`, -1 for a number that no field has.
  private var index: Int16 = -1

  init() {}

  init(_ field: FieldDescription, at index: Int) {
    form = field.form
    source = field.source
    offset = UInt16(clamping: field.offset)
    end = UInt16(clamping: field.offset + field.form.width)
    self.index = Int16(clamping: index)
  }

  var isKnown: Bool { index >= 0 }
  var name: StaticString { isKnown ? RecordSchema.fields[Int(index)].name : "" }

  /// Every field at its number. The caller deallocates it.
  static func byNumber() -> UnsafeMutableBufferPointer<FieldPlace> {
    let last = RecordSchema.fieldsByNumber.last.map { Int($0.number) } ?? 0
    let places = UnsafeMutableBufferPointer<FieldPlace>.allocate(capacity: last + 1)
    places.initialize(repeating: FieldPlace())
    for (index, field) in RecordSchema.fields.enumerated() {
      places[Int(field.number)] = FieldPlace(field, at: index)
    }
    return places
  }
}
