import Glibc

/// The smallest and the largest of the texts of a column chunk, in the order of their bytes, which is also that of
/// Unicode's code points. Owns copies of them.
struct TextBounds: ~Copyable {
  private let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * maximumTextBytes, alignment: 16)
  private var lowestCount = -1
  private var highestCount = -1

  deinit { memory.deallocate() }

  /// Nil before the first text.
  var lowest: UnsafeRawBufferPointer? {
    lowestCount < 0 ? nil : UnsafeRawBufferPointer(start: memory, count: lowestCount)
  }

  var highest: UnsafeRawBufferPointer? {
    highestCount < 0 ? nil : UnsafeRawBufferPointer(start: memory + maximumTextBytes, count: highestCount)
  }

  mutating func removeAll() {
    lowestCount = -1
    highestCount = -1
  }

  /// - Parameter count: at most `maximumTextBytes`.
  mutating func note(_ text: UnsafeRawPointer, _ count: Int) {
    if lowestCount < 0 || Self.isOrdered(text, count, before: memory, lowestCount) {
      memory.copyMemory(from: text, byteCount: count)
      lowestCount = count
    }
    let highest = memory + maximumTextBytes
    if highestCount < 0 || Self.isOrdered(highest, highestCount, before: text, count) {
      highest.copyMemory(from: text, byteCount: count)
      highestCount = count
    }
  }

  /// Takes note of `count` texts, each a 32-bit length and as many bytes.
  mutating func note(texts: UnsafeRawPointer, count: Int) {
    var text = texts
    for _ in 0..<count {
      let size = Int(UInt32(littleEndian: text.loadUnaligned(as: UInt32.self)))
      note(text + 4, size)
      text += 4 + size
    }
  }

  private static func isOrdered(
    _ left: UnsafeRawPointer, _ leftCount: Int, before right: UnsafeRawPointer, _ rightCount: Int
  ) -> Bool {
    let order = memcmp(left, right, min(leftCount, rightCount))
    return order < 0 || order == 0 && leftCount < rightCount
  }
}

/// The smallest and the largest number of a column chunk, as the 64 bits that its type makes of them.
struct NumberBounds {
  private(set) var isEmpty = true
  private(set) var lowest: UInt64 = 0
  private(set) var highest: UInt64 = 0

  /// Takes note of `count` numbers, at least one, compared as `Value` compares.
  mutating func note<Value: FixedWidthInteger>(_ numbers: UnsafePointer<Value>, count: Int) {
    var low = numbers[0]
    var high = numbers[0]
    for index in 1..<max(1, count) {
      low = min(low, numbers[index])
      high = max(high, numbers[index])
    }
    if !isEmpty {
      low = min(low, Value(truncatingIfNeeded: lowest))
      high = max(high, Value(truncatingIfNeeded: highest))
    }
    isEmpty = false
    lowest = UInt64(truncatingIfNeeded: low)
    highest = UInt64(truncatingIfNeeded: high)
  }
}
