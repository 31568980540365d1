// Numbers, addresses and names as text, appended at a cursor. What they append is bounded: see each.
//
// What is too long to be inlined takes the cursor as a value and returns the next one: a cursor whose address is taken
// lives in memory, and then every one of a row's 125 columns waits for a store and a load.

/// Appends `value` in decimal, at most 20 bytes. Up to 8 bytes are written from where the digits begin, whatever `value`.
@inline(__always)
func putDecimal(_ cursor: inout UnsafeMutableRawPointer, _ value: UInt64) {
  if value < 10 {
    cursor.storeBytes(of: UInt8(truncatingIfNeeded: 48 &+ value), as: UInt8.self)
    cursor += 1
  } else {
    cursor = putLongDecimal(cursor, value)
  }
}

/// The rest of `putDecimal`, one copy for all fields: most values have a single digit, and a hundred copies of this would
/// push each other out of the instruction cache. How many digits a number has is different from field to field, so that
/// a loop or a branch over it is mispredicted most of the time: numbers below 100,000,000 take none.
@inline(never)
private func putLongDecimal(_ start: UnsafeMutableRawPointer, _ value: UInt64) -> UnsafeMutableRawPointer {
  if value < 100_000_000 { return putFirstDigits(start, value) }
  return putLongerDecimal(start, value)
}

/// The rest of `putLongDecimal`, apart so that the common case need not save registers.
@inline(never)
private func putLongerDecimal(_ start: UnsafeMutableRawPointer, _ value: UInt64) -> UnsafeMutableRawPointer {
  let high = value / 100_000_000
  let end = high < 100_000_000 ? putFirstDigits(start, high) : putLongerDecimal(start, high)
  end.storeBytes(of: eightDigits(value &- high &* 100_000_000) | asciiZeros, as: UInt64.self)
  return end + 8
}

/// Appends `value`, which is below 100,000,000, without leading zeros. Writes 8 bytes.
@inline(__always)
private func putFirstDigits(_ start: UnsafeMutableRawPointer, _ value: UInt64) -> UnsafeMutableRawPointer {
  let digits = eightDigits(value)
  // The last digit stays even if it is zero.
  let leadingZeros = (digits | 1 << 63).trailingZeroBitCount & ~7
  start.storeBytes(of: (digits | asciiZeros) &>> UInt64(truncatingIfNeeded: leadingZeros), as: UInt64.self)
  return start + (8 &- leadingZeros &>> 3)
}

private let asciiZeros: UInt64 = 0x3030_3030_3030_3030

/// The eight digits of `value`, which is below 100,000,000, a byte each, the first in the lowest byte. Splits in halves,
/// all halves at once: 4 digits in 32 bits, 2 in 16, 1 in 8; a division is a multiplication with the rounded reciprocal.
@inline(__always)
private func eightDigits(_ value: UInt64) -> UInt64 {
  let tenThousands = value / 10_000
  let fours = tenThousands | (value &- tenThousands &* 10_000) &<< 32
  let hundreds = (fours &* 10_486) &>> 20 & 0x7f_0000_007f
  let twos = hundreds | (fours &- hundreds &* 100) &<< 16
  let tens = (twos &* 103) &>> 10 & 0x0f_000f_000f_000f
  return tens | (twos &- tens &* 10) &<< 8
}

/// Appends `value` in decimal with its sign, at most 20 bytes.
@inline(__always)
func putDecimal(_ cursor: inout UnsafeMutableRawPointer, signed value: Int64) {
  if value < 0 {
    cursor.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
    cursor += 1
  }
  putDecimal(&cursor, value.magnitude)
}

/// Appends an IP address as text, at most 45 bytes: IPv4 in dots, IPv6 as in RFC 5952, an IPv4-mapped address as
/// `::ffff:1.2.3.4`. The same text that `inet_ntop(3)` and `ss` print.
@inline(__always)
func putAddress(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int) {
  cursor = addressText(cursor, start, count)
}

@inline(never)
private func addressText(
  _ cursor: UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int
) -> UnsafeMutableRawPointer {
  var cursor = cursor
  if count == 4 { putIPv4(&cursor, start) } else { putIPv6(&cursor, start) }
  return cursor
}

@inline(__always)
private func putIPv4(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer) {
  for index in 0..<4 {
    putDecimal(&cursor, UInt64(start.load(fromByteOffset: index, as: UInt8.self)))
    cursor.storeBytes(of: UInt8(ascii: "."), as: UInt8.self)
    cursor += 1
  }
  cursor -= 1
}

private func putIPv6(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer) {
  func group(_ index: Int) -> UInt16 {
    UInt16(bigEndian: start.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
  }
  let zeros = longestZeroRun(group)
  // glibc's inet_ntop: addresses whose first 96 bits say "an IPv4 address follows" end in dots.
  let endsInDots = zeros.lowerBound == 0 && (zeros.count == 6 || zeros.count == 5 && group(5) == 0xffff)
  var index = 0
  while index < (endsInDots ? 6 : 8) {
    if zeros.lowerBound == index && !zeros.isEmpty {
      cursor.storeBytes(of: 0x3a3a, as: UInt16.self)  // "::"
      cursor += 2
      index = zeros.upperBound
      continue
    }
    if index != 0 && index != zeros.upperBound {
      cursor.storeBytes(of: UInt8(ascii: ":"), as: UInt8.self)
      cursor += 1
    }
    putHexadecimal(&cursor, group(index))
    index += 1
  }
  if endsInDots {
    if zeros.upperBound < 6 {
      cursor.storeBytes(of: UInt8(ascii: ":"), as: UInt8.self)
      cursor += 1
    }
    putIPv4(&cursor, start + 12)
  }
}

/// The first of the longest runs of two or more zero groups; empty at 8 if there is none (RFC 5952, 4.2).
private func longestZeroRun(_ group: (Int) -> UInt16) -> Range<Int> {
  var best = 8..<8
  var start = 0
  while start < 8 {
    var end = start
    while end < 8 && group(end) == 0 { end += 1 }
    if end - start >= 2 && end - start > best.count { best = start..<end }
    start = end + 1
  }
  return best
}

private func putHexadecimal(_ cursor: inout UnsafeMutableRawPointer, _ value: UInt16) {
  var shift: UInt16 = value >= 0x1000 ? 12 : value >= 0x100 ? 8 : value >= 0x10 ? 4 : 0
  while true {
    cursor.storeBytes(of: hexadecimalDigit(UInt8(truncatingIfNeeded: value >> shift)), as: UInt8.self)
    cursor += 1
    if shift == 0 { return }
    shift -= 4
  }
}

/// The lower-case digit for the lower four bits of `value`.
@inline(__always)
func hexadecimalDigit(_ value: UInt8) -> UInt8 {
  let digit = value & 15
  return digit < 10 ? 48 + digit : 87 + digit
}

/// Appends a state's kernel name without `TCP_`, at most 14 bytes; the number where the kernel is newer than this list.
@inline(__always)
func putState(_ cursor: inout UnsafeMutableRawPointer, _ value: UInt32) { cursor = stateText(cursor, value) }

@inline(never)
private func stateText(_ cursor: UnsafeMutableRawPointer, _ value: UInt32) -> UnsafeMutableRawPointer {
  let name: StaticString
  switch value {
  case 1: name = "ESTABLISHED"
  case 2: name = "SYN_SENT"
  case 3: name = "SYN_RECV"
  case 4: name = "FIN_WAIT1"
  case 5: name = "FIN_WAIT2"
  case 6: name = "TIME_WAIT"
  case 7: name = "CLOSE"
  case 8: name = "CLOSE_WAIT"
  case 9: name = "LAST_ACK"
  case 10: name = "LISTEN"
  case 11: name = "CLOSING"
  case 12: name = "NEW_SYN_RECV"
  case 13: name = "BOUND_INACTIVE"
  default:
    var end = cursor
    putDecimal(&end, UInt64(value))
    return end
  }
  cursor.copyMemory(from: name.utf8Start, byteCount: name.utf8CodeUnitCount)
  return cursor + name.utf8CodeUnitCount
}

/// The number of enum CongestionAlgorithm for a kernel name, 0 where it has none. The kernel calls BBRv1 `bbr`.
///
/// - Parameter start: the name, with at least 8 readable bytes whatever `count` is.
@inline(__always)
func congestionAlgorithm(_ start: UnsafeRawPointer, _ count: Int) -> UInt32 {
  guard count >= 3, count <= 6 else { return 0 }
  let mask = 1 as UInt64 &<< UInt64(truncatingIfNeeded: count &* 8) &- 1
  switch start.loadUnaligned(as: UInt64.self) & mask {
  case 0x63_6962_7563: return 1  // cubic
  case 0x70_6374_6364: return 2  // dctcp
  case 0x73_6167_6576: return 3  // vegas
  case 0x6575_6761_7270: return 4  // prague
  case 0x72_6262, 0x3172_6262: return 5  // bbr, bbr1
  case 0x3272_6262: return 6  // bbr2
  case 0x3372_6262: return 7  // bbr3
  default: return 0
  }
}

/// The names of enum CongestionAlgorithm by number, without their common prefix.
let congestionAlgorithmNames: [StaticString] = [
  "UNSPECIFIED", "CUBIC", "DCTCP", "VEGAS", "PRAGUE", "BBR1", "BBR2", "BBR3",
]

/// Appends `CONGESTION_ALGORITHM_` and the name of `value`, at most 32 bytes. `value` comes from `congestionAlgorithm`.
func putAlgorithm(_ cursor: inout UnsafeMutableRawPointer, _ value: UInt32) {
  let name = congestionAlgorithmNames[min(Int(value), congestionAlgorithmNames.count - 1)]
  let prefix: StaticString = "CONGESTION_ALGORITHM_"
  cursor.copyMemory(from: prefix.utf8Start, byteCount: prefix.utf8CodeUnitCount)
  cursor += prefix.utf8CodeUnitCount
  cursor.copyMemory(from: name.utf8Start, byteCount: name.utf8CodeUnitCount)
  cursor += name.utf8CodeUnitCount
}
