import Glibc

/// What the fields of source `.dump` are read from: values that are the same in all rows of one dump.
///
/// Plain memory at the offsets that `describeDump` names, so that these fields are read like those of a kernel structure.
/// A string is 16 bytes: its address, then its length. Owns the memory and the bytes of every string.
struct DumpBlock: ~Copyable {
  let memory: UnsafeMutableRawPointer
  private let texts: UnsafeMutableRawPointer

  /// Where each string lies in the block, in the order of their storage.
  enum Text: Int, CaseIterable {
    case daemonVersion = 40, hostname = 56, location = 72, namespace = 88, label = 104, tag = 120, pipeline = 136
    case bootID = 152, machineID = 168, kernelRelease = 184

    /// The bit that stands for this text in a mask.
    var bit: UInt32 { 1 << UInt32((rawValue - Self.daemonVersion.rawValue) / 16) }
  }

  static let byteCount = 200

  init() {
    memory = .allocate(byteCount: Self.byteCount, alignment: 16)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
    texts = .allocate(byteCount: Text.allCases.count * (maximumTextBytes + 1), alignment: 16)
    for text in Text.allCases { set(text, "") }
    set(schemaVersion: RecordSchema.version)
    set(sampleEvery: 1)
  }

  deinit {
    memory.deallocate()
    texts.deallocate()
  }

  func set(schemaVersion: UInt32) { memory.storeBytes(of: schemaVersion, toByteOffset: 0, as: UInt32.self) }
  func set(sampleEvery: UInt32) { memory.storeBytes(of: sampleEvery, toByteOffset: 4, as: UInt32.self) }
  func set(inode: UInt64) { memory.storeBytes(of: inode, toByteOffset: 8, as: UInt64.self) }
  func set(cookie: UInt64) { memory.storeBytes(of: cookie, toByteOffset: 16, as: UInt64.self) }
  func set(pollSequence: UInt64) { memory.storeBytes(of: pollSequence, toByteOffset: 24, as: UInt64.self) }
  func set(pollStart: Int64) { memory.storeBytes(of: pollStart, toByteOffset: 32, as: Int64.self) }

  /// Copies `value`, cut to `maximumTextBytes` at a character. Does not allocate for native strings.
  func set(_ text: Text, _ value: String) {
    let slot = (text.rawValue - Text.daemonVersion.rawValue) / 16
    let copy = texts + slot * (maximumTextBytes + 1)
    var count = 0
    if let copied = value.utf8.withContiguousStorageIfAvailable({ bytes in
      let kept = Self.wholeCharacters(in: bytes, limit: maximumTextBytes)
      if let base = bytes.baseAddress { copy.copyMemory(from: base, byteCount: kept) }
      return kept
    }) {
      count = copied
    } else {
      for scalar in value.unicodeScalars where count + UTF8.width(scalar) <= maximumTextBytes {
        for byte in String(scalar).utf8 {
          copy.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
          count += 1
        }
      }
    }
    memory.storeBytes(of: UnsafeRawPointer(copy), toByteOffset: text.rawValue, as: UnsafeRawPointer.self)
    memory.storeBytes(of: count, toByteOffset: text.rawValue + 8, as: Int.self)
  }

  /// Copies UTF-8 that need not be valid (`U+FFFD` stands for what is not) and is cut like any other. False if it is
  /// what `text` holds already.
  func set(_ text: Text, utf8 bytes: UnsafeRawBufferPointer) -> Bool {
    let copy = memory.load(fromByteOffset: text.rawValue, as: UnsafeMutableRawPointer.self)
    guard let start = bytes.baseAddress, !bytes.isEmpty else {
      let wasEmpty = memory.load(fromByteOffset: text.rawValue + 8, as: Int.self) == 0
      set(text, "")
      return !wasEmpty
    }
    let count = memory.load(fromByteOffset: text.rawValue + 8, as: Int.self)
    if count == bytes.count && memcmp(copy, start, count) == 0 { return false }
    if bytes.count <= maximumTextBytes && bytes.allSatisfy({ $0 < 0x80 }) {
      copy.copyMemory(from: start, byteCount: bytes.count)
      memory.storeBytes(of: bytes.count, toByteOffset: text.rawValue + 8, as: Int.self)
    } else {
      set(text, String(decoding: bytes, as: UTF8.self))
    }
    return true
  }

  /// The string that `text` holds.
  func text(_ text: Text) -> String {
    let start = memory.load(fromByteOffset: text.rawValue, as: UnsafeRawPointer.self)
    let count = memory.load(fromByteOffset: text.rawValue + 8, as: Int.self)
    return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
  }

  /// How many of the first `limit` bytes of valid UTF-8 are whole characters.
  private static func wholeCharacters(in bytes: UnsafeBufferPointer<UInt8>, limit: Int) -> Int {
    guard bytes.count > limit else { return bytes.count }
    var end = limit
    while end > 0 && bytes[end] & 0xc0 == 0x80 { end -= 1 }
    return end
  }
}

/// What the fields of source `.row` are read from, at the offsets that `describeRow` names. Owns its memory.
struct RowBlock: ~Copyable {
  let memory: UnsafeMutableRawPointer
  static let byteCount = 24
  /// Without tcp_info the block ends before `tcp_info_length`, which so becomes absent.
  static let byteCountWithoutInfo = 20

  init() {
    memory = .allocate(byteCount: Self.byteCount, alignment: 16)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
  }

  deinit { memory.deallocate() }

  @inline(__always)
  func set(timestamp: Int64, counter: UInt64, attributes: UInt32, infoLength: UInt32) {
    memory.storeBytes(of: timestamp, toByteOffset: 0, as: Int64.self)
    memory.storeBytes(of: counter, toByteOffset: 8, as: UInt64.self)
    memory.storeBytes(of: attributes, toByteOffset: 16, as: UInt32.self)
    memory.storeBytes(of: infoLength, toByteOffset: 20, as: UInt32.self)
  }
}
