// Numbers, addresses and names as text, appended at a cursor. What they append is bounded: see each.

/// Appends `value` in decimal, at most 20 bytes.
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
/// push each other out of the instruction cache.
@inline(never)
private func putLongDecimal(_ start: UnsafeMutableRawPointer, _ value: UInt64) -> UnsafeMutableRawPointer {
  let pairs: StaticString = """
    0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
    5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
    """
  let table = UnsafeRawPointer(pairs.utf8Start)
  let count = decimalDigits(value)
  let last = start + count
  var end = last
  var rest = value
  while rest >= 100 {
    let quotient = rest / 100
    let pair = Int(truncatingIfNeeded: rest &- quotient &* 100)
    end -= 2
    end.storeBytes(of: table.loadUnaligned(fromByteOffset: pair &* 2, as: UInt16.self), as: UInt16.self)
    rest = quotient
  }
  if rest >= 10 {
    let pair = table.loadUnaligned(fromByteOffset: Int(truncatingIfNeeded: rest) &* 2, as: UInt16.self)
    (end - 2).storeBytes(of: pair, as: UInt16.self)
  } else {
    (end - 1).storeBytes(of: UInt8(truncatingIfNeeded: 48 &+ rest), as: UInt8.self)
  }
  return last
}

/// Appends `value` in decimal with its sign, at most 20 bytes.
func putDecimal(_ cursor: inout UnsafeMutableRawPointer, signed value: Int64) {
  if value < 0 {
    cursor.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
    cursor += 1
  }
  putDecimal(&cursor, value.magnitude)
}

/// How many decimal digits `value` has, 1...20.
@inline(__always)
func decimalDigits(_ value: UInt64) -> Int {
  if value < 100 { return value < 10 ? 1 : 2 }
  if value < 10_000 { return value < 1_000 ? 3 : 4 }
  if value < 1_000_000 { return value < 100_000 ? 5 : 6 }
  if value < 100_000_000 { return value < 10_000_000 ? 7 : 8 }
  if value < 10_000_000_000 { return value < 1_000_000_000 ? 9 : 10 }
  return 10 + decimalDigitsSlow(value / 10_000_000_000)
}

private func decimalDigitsSlow(_ value: UInt64) -> Int {
  var digits = 0
  var rest = value
  while rest > 0 {
    digits += 1
    rest /= 10
  }
  return digits
}

/// Appends an IP address as text, at most 45 bytes: IPv4 in dots, IPv6 as in RFC 5952, an IPv4-mapped address as
/// `::ffff:1.2.3.4`. The same text that `inet_ntop(3)` and `ss` print.
@inline(never)
func putAddress(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ count: Int) {
  if count == 4 { putIPv4(&cursor, start) } else { putIPv6(&cursor, start) }
}

@inline(__always)
func putIPv4(_ cursor: inout UnsafeMutableRawPointer, _ start: UnsafeRawPointer) {
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
func putState(_ cursor: inout UnsafeMutableRawPointer, _ value: UInt32) {
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
    putDecimal(&cursor, UInt64(value))
    return
  }
  cursor.copyMemory(from: name.utf8Start, byteCount: name.utf8CodeUnitCount)
  cursor += name.utf8CodeUnitCount
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
