import Testing

@testable import Records

/// Run lengths and bit packing.
@Suite struct HybridRunsTests {
  private func encode<Value: FixedWidthInteger & UnsignedInteger>(_ values: [Value], width: Int) -> [UInt8] {
    var out = ByteBuffer(capacity: 0)
    values.withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return }
      HybridRuns.append(start, count: buffer.count, width: width, to: &out)
    }
    #expect(out.count <= HybridRuns.bound(count: values.count, width: width))
    return Array(out.bytes)
  }

  private func decode(_ bytes: [UInt8], count: Int, width: Int) throws -> [UInt64] {
    var position = 0
    let values = try ParquetReader.hybrid(bytes, &position, end: bytes.count, count: count, width: width)
    #expect(position == bytes.count)
    return values
  }

  /// The example of Parquet's documentation.
  @Test func theDocumentedExample() {
    #expect(encode([0, 1, 2, 3, 4, 5, 6, 7] as [UInt32], width: 3) == [0x03, 0b1000_1000, 0b1100_0110, 0b1111_1010])
  }

  @Test func equalValuesAreOneRun() {
    #expect(encode([UInt8](repeating: 1, count: 8192), width: 1) == [0x80, 0x80, 0x01, 1])
    #expect(encode([UInt32](repeating: 300, count: 8), width: 9) == [16, 0x2c, 0x01])
    #expect(encode([UInt32](repeating: 0, count: 1), width: 1) == [0x03, 0])
  }

  @Test func runsBetweenGroups() throws {
    let values: [UInt32] =
      [1, 2, 3, 4, 5, 6, 7, 8] + [UInt32](repeating: 9, count: 20) + [1, 2, 3] + [UInt32](repeating: 15, count: 100)
    let bytes = encode(values, width: 4)
    #expect(try decode(bytes, count: values.count, width: 4) == values.map(UInt64.init))
    #expect(bytes.count < 40)
  }

  /// Every width, runs of every length, counts around whole groups.
  @Test(arguments: 1...32)
  func everyWidth(width: Int) throws {
    var random: UInt64 = 0x1234_5678_9abc_def1 &+ UInt64(width)
    func next() -> UInt64 {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return random
    }
    let mask: UInt64 = 1 << UInt64(width) - 1
    for count in [1, 7, 8, 9, 63, 64, 65, 1000] {
      for longest in [1, 3, 12, 60] as [UInt64] {
        var values: [UInt32] = []
        while values.count < count {
          let value = UInt32(truncatingIfNeeded: next() & mask)
          for _ in 0..<(1 + next() % longest) where values.count < count { values.append(value) }
        }
        let bytes = encode(values, width: width)
        #expect(try decode(bytes, count: count, width: width) == values.map(UInt64.init))
      }
    }
  }

  @Test func widths() {
    #expect(HybridRuns.width(highest: 0) == 1)
    #expect(HybridRuns.width(highest: 1) == 1)
    #expect(HybridRuns.width(highest: 2) == 2)
    #expect(HybridRuns.width(highest: 255) == 8)
    #expect(HybridRuns.width(highest: 256) == 9)
    #expect(HybridRuns.width(highest: 32_767) == 15)
  }
}
