import Testing

@testable import Records

/// Bytes of Thrift's compact protocol.
@Suite struct ThriftStructTests {
  private func bytes(_ fields: (inout ThriftStruct, inout ByteBuffer) -> Void) -> [UInt8] {
    var out = ByteBuffer(capacity: 0)
    ThriftStruct.element(&out, fields)
    return Array(out.bytes)
  }

  @Test func fieldsAreDistances() {
    let found = bytes { fields, out in
      fields.i32(1, 1, &out)
      fields.i64(2, -1, &out)
      fields.bool(5, true, &out)
      fields.bool(6, false, &out)
      fields.i8(7, -2, &out)
      fields.i16(8, 300, &out)
    }
    #expect(found == [0x15, 2, 0x16, 1, 0x31, 0x12, 0x13, 0xfe, 0x14, 0xd8, 0x04, 0])
  }

  /// A distance of more than 15 does not fit the head: the number follows, as a zigzag varint.
  @Test func farFields() {
    #expect(bytes { fields, out in fields.i32(16, 5, &out) } == [0x05, 0x20, 10, 0])
    #expect(bytes { fields, out in fields.i32(15, 5, &out) } == [0xf5, 10, 0])
    #expect(bytes { fields, out in fields.i32(1000, 5, &out) } == [0x05, 0xd0, 0x0f, 10, 0])
  }

  @Test func textsAndLists() {
    let found = bytes { fields, out in
      fields.text(4, "ab", &out)
      fields.list(5, of: .i32, count: 2, &out)
      out.appendZigzag(3)
      out.appendZigzag(-3)
      fields.list(6, of: .structure, count: 15, &out)
    }
    #expect(found == [0x48, 2, 0x61, 0x62, 0x19, 0x25, 6, 5, 0x19, 0xfc, 15, 0])
  }

  @Test func structuresEndAndFieldsGoOn() {
    let found = bytes { fields, out in
      fields.structure(3, &out) { inner, out in inner.i32(2, 0, &out) }
      fields.structure(4, &out)
      fields.i32(5, 7, &out)
    }
    #expect(found == [0x3c, 0x25, 0, 0, 0x1c, 0, 0x15, 14, 0])
  }

  @Test func extremes() throws {
    let found = bytes { fields, out in
      fields.i64(1, Int.max, &out)
      fields.i64(2, Int.min, &out)
      fields.i32(3, Int32.min, &out)
    }
    var position = 0
    let read = try ParquetReader.structure(found, &position)
    #expect(read == .structure([1: .number(.max), 2: .number(.min), 3: .number(Int64(Int32.min))]))
  }
}
