/// A structure of Thrift's compact protocol, written field by field in the order of their numbers, as far as Parquet's
/// metadata needs it (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
///
///     var header = ThriftStruct()
///     header.i32(1, 7, &out)
///     header.end(&out)
struct ThriftStruct {
  private var last: Int16 = 0

  /// Types of fields and of elements of lists.
  enum Kind: UInt8 {
    case isTrue = 1, isFalse = 2, i8 = 3, i16 = 4, i32 = 5, i64 = 6, binary = 8, list = 9, structure = 12
  }

  /// Field numbers are written as the distance from the field before.
  private mutating func head(_ id: Int16, _ kind: Kind, _ out: inout ByteBuffer) {
    let distance = id - last
    if 1...15 ~= distance {
      out.append(UInt8(truncatingIfNeeded: distance) << 4 | kind.rawValue)
    } else {
      out.append(kind.rawValue)
      out.appendZigzag(Int64(id))
    }
    last = id
  }

  mutating func bool(_ id: Int16, _ value: Bool, _ out: inout ByteBuffer) {
    head(id, value ? .isTrue : .isFalse, &out)
  }

  mutating func i8(_ id: Int16, _ value: Int8, _ out: inout ByteBuffer) {
    head(id, .i8, &out)
    out.append(UInt8(bitPattern: value))
  }

  mutating func i16(_ id: Int16, _ value: Int16, _ out: inout ByteBuffer) {
    head(id, .i16, &out)
    out.appendZigzag(Int64(value))
  }

  mutating func i32(_ id: Int16, _ value: Int32, _ out: inout ByteBuffer) {
    head(id, .i32, &out)
    out.appendZigzag(Int64(value))
  }

  mutating func i64(_ id: Int16, _ value: Int, _ out: inout ByteBuffer) {
    head(id, .i64, &out)
    out.appendZigzag(Int64(value))
  }

  mutating func binary(_ id: Int16, _ value: UnsafeRawBufferPointer, _ out: inout ByteBuffer) {
    head(id, .binary, &out)
    out.appendBinary(value)
  }

  mutating func text(_ id: Int16, _ value: String, _ out: inout ByteBuffer) {
    head(id, .binary, &out)
    out.appendBinary(value)
  }

  /// The head of a list; its `count` elements follow.
  mutating func list(_ id: Int16, of kind: Kind, count: Int, _ out: inout ByteBuffer) {
    head(id, .list, &out)
    if count < 15 {
      out.append(UInt8(truncatingIfNeeded: count) << 4 | kind.rawValue)
    } else {
      out.append(0xf0 | kind.rawValue)
      out.appendVarint(UInt64(count))
    }
  }

  /// A structure within this one. `fields` need not end it.
  mutating func structure(
    _ id: Int16, _ out: inout ByteBuffer, _ fields: (inout ThriftStruct, inout ByteBuffer) -> Void = { _, _ in }
  ) {
    structureHead(id, &out)
    Self.element(&out, fields)
  }

  /// The head of a structure within this one; the inner one follows, up to its `end`.
  mutating func structureHead(_ id: Int16, _ out: inout ByteBuffer) { head(id, .structure, &out) }

  /// A structure that is an element of a list, or stands alone.
  static func element(
    _ out: inout ByteBuffer, _ fields: (inout ThriftStruct, inout ByteBuffer) -> Void
  ) {
    var inner = ThriftStruct()
    fields(&inner, &out)
    inner.end(&out)
  }

  func end(_ out: inout ByteBuffer) { out.append(0) }
}

extension ByteBuffer {
  /// A signed number: 0, -1, 1, -2 ... become 0, 1, 2, 3 ...
  mutating func appendZigzag(_ value: Int64) { appendVarint(UInt64(bitPattern: value << 1 ^ value >> 63)) }

  /// A length and as many bytes.
  mutating func appendBinary(_ value: UnsafeRawBufferPointer) {
    appendVarint(UInt64(value.count))
    append(value)
  }

  mutating func appendBinary(_ value: String) {
    var value = value
    value.withUTF8 { appendBinary(UnsafeRawBufferPointer($0)) }
  }
}
