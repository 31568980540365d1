import Records

/// Batches of format protobuf made of the rows of a file, again and again, with numbers that move as those of real
/// sockets do: time goes on, counters grow, round trips vary, and after 50 rounds of the file all sockets are new ones.
struct RowSource {
  private let seed: UnsafeRawBufferPointer
  private var position = 0
  private var round: UInt64 = 0
  private var counter: UInt64 = 0
  private var random: UInt64 = 0x9e37_79b9_7f4a_7c15
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 16)

  init(seed: UnsafeRawBufferPointer) { self.seed = seed }

  /// The next batch, valid until the one after it.
  mutating func batch(rows: Int) -> UnsafeRawBufferPointer {
    var end = 0
    for _ in 0..<rows { appendRow(&end) }
    return UnsafeRawBufferPointer(rebasing: memory[..<end])
  }

  private mutating func appendRow(_ end: inout Int) {
    if position >= seed.count {
      position = 0
      round += 1
    }
    counter += 1
    let length = Int(varint(&position))
    let rowEnd = position + length
    let start = end + 2  // every row takes 128 to 16,383 bytes, so two bytes of length
    var out = start
    while position < rowEnd {
      let tagStart = position
      let tag = varint(&position)
      copy(tagStart..<position, &out)
      if tag & 7 == 0 {
        put(moved(UInt32(tag >> 3), varint(&position)), &out)
      } else {
        appendBytes(UInt32(tag >> 3), &out)
      }
    }
    let size = out - start
    memory[end] = UInt8(size & 0x7f | 0x80)
    memory[end + 1] = UInt8(size >> 7)
    end = out
  }

  /// Text and addresses; the last byte of a peer's address varies.
  private mutating func appendBytes(_ number: UInt32, _ out: inout Int) {
    let start = position
    let length = Int(varint(&position))
    position += length
    copy(start..<position, &out)
    if number == 1008 && length > 0 { memory[out - 1] ^= UInt8(truncatingIfNeeded: next() & 15) }
  }

  /// What becomes of a number; numbers of fields are those of the .proto.
  private mutating func moved(_ number: UInt32, _ value: UInt64) -> UInt64 {
    switch number {
    case 10, 3005: value &+ round &* 1_000_000_000
    case 60: counter
    case 3004: value &+ round
    case 1010: value &+ (round / 50) &* 100_003
    case 1006: (value &+ round / 50) & 0x7fff | 0x4000
    // Times, windows, rates: up to an eighth more or less.
    case 1215, 1224...1227, 1230, 1231, 1233, 1236, 1239, 1249:
      value &+ value / 8 &* (next() & 7) / 7 &- value / 16
    // Counters of bytes, segments and time: grow with every poll.
    case 1238, 1241...1244, 1247, 1248, 1250, 1253, 1255: value &+ round &* (value & 63)
    default: value
    }
  }

  private mutating func next() -> UInt64 {
    random ^= random << 13
    random ^= random >> 7
    random ^= random << 17
    return random
  }

  private func copy(_ range: Range<Int>, _ out: inout Int) {
    for index in range {
      memory[out] = seed[index]
      out += 1
    }
  }

  private func varint(_ position: inout Int) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < seed.count {
      let byte = seed[position]
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { break }
      shift += 7
    }
    return value
  }

  private func put(_ value: UInt64, _ out: inout Int) {
    var rest = value
    while rest >= 0x80 {
      memory[out] = UInt8(truncatingIfNeeded: rest) | 0x80
      out += 1
      rest >>= 7
    }
    memory[out] = UInt8(truncatingIfNeeded: rest)
    out += 1
  }
}
