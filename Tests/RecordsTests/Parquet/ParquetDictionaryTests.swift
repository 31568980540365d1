import Testing

@testable import Records

/// Distinct values and how they are found again.
@Suite struct ParquetDictionaryTests {
  private func look<Value: FixedWidthInteger & UnsignedInteger>(
    up values: [Value], in dictionary: inout ParquetDictionary
  ) -> [UInt32]? {
    var indexes = [UInt32](repeating: .max, count: values.count)
    let isComplete = indexes.withUnsafeMutableBufferPointer { room in
      values.withUnsafeBufferPointer { buffer in
        guard let start = buffer.baseAddress, let base = room.baseAddress else { return true }
        return dictionary.look(up: start, count: buffer.count, into: base)
      }
    }
    return isComplete ? indexes : nil
  }

  private func look(
    up texts: [String], in dictionary: inout ParquetDictionary, _ bounds: inout TextBounds
  ) -> [UInt32]? {
    var bytes: [UInt8] = []
    for text in texts { bytes += withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { Array($0) } + text.utf8 }
    bytes += [UInt8](repeating: 0xee, count: 8)
    var indexes = [UInt32](repeating: .max, count: texts.count)
    let isComplete = indexes.withUnsafeMutableBufferPointer { room in
      bytes.withUnsafeBytes { buffer in
        guard let start = buffer.baseAddress, let base = room.baseAddress else { return true }
        return dictionary.look(upTexts: start, count: texts.count, into: base, bounds: &bounds)
      }
    }
    return isComplete ? indexes : nil
  }

  @Test func numbersInTheOrderOfTheirAppearance() {
    var dictionary = ParquetDictionary(mostValues: 20_000)
    #expect(look(up: [5, 5, 0, 7, 0, 5] as [UInt32], in: &dictionary) == [0, 0, 1, 2, 1, 0])
    #expect(look(up: [7, 9] as [UInt32], in: &dictionary) == [2, 3])
    #expect(Array(dictionary.values.bytes) == [5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0])
    dictionary.removeAll()
    #expect(look(up: [.max, 9] as [UInt64], in: &dictionary) == [0, 1])
    #expect(dictionary.values.count == 16)
  }

  @Test func manyNumbersAreFoundAgain() {
    var dictionary = ParquetDictionary(mostValues: 20_000)
    let values = (0..<20_000).map { UInt64($0) &* 0x1_0000_0001 }
    #expect(look(up: values, in: &dictionary) == (0..<20_000).map { UInt32($0) })
    #expect(look(up: values.reversed(), in: &dictionary) == (0..<20_000).reversed().map { UInt32($0) })
    let large = dictionary.memory
    dictionary.removeAll()
    #expect(dictionary.memory < large / 20)
    #expect(look(up: [3, 3] as [UInt32], in: &dictionary) == [0, 0])
  }

  @Test func itIsFullAtItsLimit() {
    var dictionary = ParquetDictionary(mostValues: 20_000)
    let most: UInt32 = 20_000
    #expect(look(up: Array(0..<most), in: &dictionary) != nil)
    #expect(look(up: [most - 1], in: &dictionary) == [most - 1])
    #expect(look(up: [most], in: &dictionary) == nil)
    #expect(dictionary.count == Int(most))
  }

  /// Numbers chosen so that all of them want the same slot: an attempt to make a search long.
  @Test func collisionsFillIt() {
    // The inverse of the multiplier modulo 2^64, by Newton's iteration.
    let multiplier: UInt64 = 0x9e37_79b9_7f4a_7c15
    var inverse = multiplier
    for _ in 0..<6 { inverse = inverse &* (2 &- multiplier &* inverse) }
    #expect(inverse &* multiplier == 1)
    let hostile = (1...10_000 as ClosedRange<UInt64>).map { small in
      let mixed = small &* inverse
      return mixed ^ mixed >> 32
    }
    var dictionary = ParquetDictionary(mostValues: 20_000)
    #expect(look(up: hostile, in: &dictionary) == nil)
    #expect(dictionary.count <= 257)
  }

  @Test func texts() {
    var dictionary = ParquetDictionary(mostValues: 20_000)
    var bounds = TextBounds()
    let texts = ["b", "", "b", "a longer text than a word", "a longer text than a worm", "", "ä"]
    #expect(look(up: texts, in: &dictionary, &bounds) == [0, 1, 0, 2, 3, 1, 4])
    #expect(bounds.lowest.map { String(decoding: $0, as: UTF8.self) } == "")
    #expect(bounds.highest.map { String(decoding: $0, as: UTF8.self) } == "ä")
    let many = (0..<5000).map { "text number \($0)" }
    let indexes = look(up: many, in: &dictionary, &bounds)
    #expect(indexes == (0..<5000).map { UInt32($0 + 5) })
    #expect(look(up: many, in: &dictionary, &bounds) == indexes)
  }

  @Test func textsAreLimitedByTheirBytes() {
    var dictionary = ParquetDictionary(mostValues: 20_000)
    var bounds = TextBounds()
    let long = (0..<6000).map { number in String(repeating: "x", count: 250 - "\(number)".count) + "\(number)" }
    #expect(look(up: long, in: &dictionary, &bounds) == nil)
    #expect(dictionary.values.count <= ParquetDictionary.mostBytes)
  }

  @Test func boundsOfTexts() {
    var bounds = TextBounds()
    #expect(bounds.lowest == nil && bounds.highest == nil)
    for text in ["m", "ma", "l", "lz", "m"] { text.utf8.withContiguousStorageIfAvailable { bounds.note($0) } }
    #expect(bounds.lowest.map { String(decoding: $0, as: UTF8.self) } == "l")
    #expect(bounds.highest.map { String(decoding: $0, as: UTF8.self) } == "ma")
    bounds.removeAll()
    #expect(bounds.lowest == nil)
  }

  @Test func boundsOfNumbers() {
    var unsigned = NumberBounds()
    unsigned.note([7, UInt32.max, 3] as [UInt32], count: 3)
    unsigned.note([5] as [UInt32], count: 1)
    #expect(unsigned.lowest == 3 && unsigned.highest == UInt64(UInt32.max))
    var signed = NumberBounds()
    signed.note([-1, 5] as [Int64], count: 2)
    #expect(Int64(bitPattern: signed.lowest) == -1 && signed.highest == 5)
  }
}

extension TextBounds {
  fileprivate mutating func note(_ text: UnsafeBufferPointer<UInt8>) {
    if let start = text.baseAddress { note(UnsafeRawPointer(start), text.count) }
  }
}
