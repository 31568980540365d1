import Foundation
import Testing

/// A reader of the Parquet files that `ParquetWriter` makes without compression, written from the specification and not from
/// the writer: it knows no more of a file than its bytes.
struct ParquetReader {
  /// A value of Thrift's compact protocol.
  indirect enum Value: Equatable {
    case bool(Bool)
    case number(Int64)
    case binary([UInt8])
    case list([Value])
    case structure([Int16: Value])

    var number: Int64? { if case .number(let number) = self { number } else { nil } }
    var text: String? { if case .binary(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil } }
    var bytes: [UInt8]? { if case .binary(let bytes) = self { bytes } else { nil } }
    var list: [Value] { if case .list(let list) = self { list } else { [] } }
    subscript(_ id: Int16) -> Value? { if case .structure(let fields) = self { fields[id] } else { nil } }
  }

  /// What a column chunk holds: `nil` where a row has no value.
  struct Chunk {
    var name: String
    var values: [Cell?]
    var metadata: Value
    var encodings: [Int64]
  }

  enum Cell: Hashable {
    case number(UInt64)
    case text(String)
  }

  let footer: Value
  private let file: [UInt8]

  init(_ data: Data) throws {
    file = Array(data)
    try #require(file.count >= 12)
    try #require(Array(file.prefix(4)) == Array("PAR1".utf8) && Array(file.suffix(4)) == Array("PAR1".utf8))
    let length = Self.word(file, at: file.count - 8)
    var position = file.count - 8 - length
    footer = try Self.structure(file, &position)
    try #require(position == file.count - 8)
  }

  var rows: Int64? { footer[3]?.number }
  var schema: [Value] { footer[2]?.list ?? [] }
  var rowGroups: [Value] { footer[4]?.list ?? [] }
  var names: [String] { schema.dropFirst().compactMap { $0[4]?.text } }

  /// Every row as the members that are not null.
  func members() throws -> [[String: Cell]] {
    var rows: [[String: Cell]] = []
    for group in rowGroups {
      let chunks = try self.chunks(of: group)
      for row in 0..<(chunks.first?.values.count ?? 0) {
        rows.append(
          chunks.reduce(into: [:]) { members, chunk in members[chunk.name] = chunk.values[row] })
      }
    }
    return rows
  }

  func chunks(of group: Value) throws -> [Chunk] {
    try (group[1]?.list ?? []).enumerated().map { index, chunk in
      try self.chunk(try #require(chunk[3]), schema[index + 1])
    }
  }

  // MARK: Pages

  private func chunk(_ metadata: Value, _ element: Value) throws -> Chunk {
    let name = try #require(metadata[3]?.list.first?.text)
    try #require(name == element[4]?.text)
    let total = Int(try #require(metadata[5]?.number))
    let isOptional = element[3]?.number == 1
    let type = try #require(metadata[1]?.number)
    var dictionary: [Cell] = []
    var values: [Cell?] = []
    var encodings: [Int64] = []
    var position = Int(try #require((metadata[11] ?? metadata[9])?.number))
    let start = position
    while values.count < total {
      let header = try Self.structure(file, &position)
      let size = Int(try #require(header[3]?.number))
      try #require(header[2] == header[3])
      let body = Array(file[position..<(position + size)])
      position += size
      if let page = header[7] {
        var at = 0
        dictionary = try Self.plain(body, &at, count: Int(try #require(page[1]?.number)), type)
        try #require(at == body.count)
      } else {
        let page = try #require(header[5])
        encodings.append(try #require(page[2]?.number))
        values += try Self.dataPage(page, body, dictionary, type, isOptional: isOptional)
      }
    }
    #expect(Int64(position - start) == metadata[7]?.number)
    #expect(metadata[6] == metadata[7])
    return Chunk(name: name, values: values, metadata: metadata, encodings: encodings)
  }

  private static func dataPage(
    _ page: Value, _ body: [UInt8], _ dictionary: [Cell], _ type: Int64, isOptional: Bool
  ) throws -> [Cell?] {
    let rows = Int(try #require(page[1]?.number))
    var position = 0
    var levels = [UInt64](repeating: 1, count: rows)
    if isOptional {
      let end = 4 + word(body, at: 0)
      position = 4
      levels = try hybrid(body, &position, end: end, count: rows, width: 1)
      try #require(position == end)
    }
    let count = levels.count { $0 == 1 }
    var cells: [Cell]
    if page[2]?.number == 8 {
      let width = Int(body[position])
      position += 1
      cells = try hybrid(body, &position, end: body.count, count: count, width: width).map { dictionary[Int($0)] }
    } else {
      cells = try plain(body, &position, count: count, type)
    }
    try #require(position == body.count)
    cells.reverse()
    return levels.map { $0 == 1 ? cells.removeLast() : nil }
  }

  private static func plain(_ bytes: [UInt8], _ position: inout Int, count: Int, _ type: Int64) throws -> [Cell] {
    try (0..<count).map { _ in
      if type == 6 {
        let size = word(bytes, at: position)
        let end = position + 4 + size
        try #require(end <= bytes.count)
        defer { position = end }
        return .text(String(decoding: bytes[(position + 4)..<end], as: UTF8.self))
      }
      let width = type == 1 ? 4 : 8
      try #require(position + width <= bytes.count)
      defer { position += width }
      return .number(bytes[position..<(position + width)].reversed().reduce(0) { $0 << 8 | UInt64($1) })
    }
  }

  /// RLE and bit packing, bit by bit.
  static func hybrid(
    _ bytes: [UInt8], _ position: inout Int, end: Int, count: Int, width: Int
  ) throws -> [UInt64] {
    var values: [UInt64] = []
    while values.count < count {
      try #require(position < end)
      let head = varint(bytes, &position)
      if head & 1 == 0 {
        var value: UInt64 = 0
        for index in 0..<((width + 7) / 8) { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += (width + 7) / 8
        values += [UInt64](repeating: value, count: Int(head >> 1))
      } else {
        let groups = Int(head >> 1)
        for index in 0..<(groups * 8) {
          var value: UInt64 = 0
          for bit in 0..<width {
            let at = index * width + bit
            if bytes[position + at / 8] >> UInt8(at % 8) & 1 == 1 { value |= 1 << UInt64(bit) }
          }
          values.append(value)
        }
        position += groups * width
      }
    }
    try #require(position <= end && values.count - count < 8)
    #expect(values[count...].allSatisfy { $0 == 0 })
    return Array(values[..<count])
  }

  // MARK: Thrift

  static func structure(_ bytes: [UInt8], _ position: inout Int) throws -> Value {
    var fields: [Int16: Value] = [:]
    var last: Int16 = 0
    while true {
      let head = bytes[position]
      position += 1
      if head == 0 { return .structure(fields) }
      last = head >> 4 == 0 ? Int16(zigzag(varint(bytes, &position))) : last + Int16(head >> 4)
      fields[last] = try value(bytes, &position, head & 15)
    }
  }

  private static func value(_ bytes: [UInt8], _ position: inout Int, _ kind: UInt8) throws -> Value {
    switch kind {
    case 1, 2: return .bool(kind == 1)
    case 3:
      position += 1
      return .number(Int64(Int8(bitPattern: bytes[position - 1])))
    case 4, 5, 6: return .number(zigzag(varint(bytes, &position)))
    case 8:
      let count = Int(varint(bytes, &position))
      position += count
      return .binary(Array(bytes[(position - count)..<position]))
    case 9:
      let head = bytes[position]
      position += 1
      let count = head >> 4 == 15 ? Int(varint(bytes, &position)) : Int(head >> 4)
      return .list(try (0..<count).map { _ in try value(bytes, &position, head & 15) })
    case 12: return try structure(bytes, &position)
    default:
      Issue.record("type \(kind) of Thrift")
      throw CancellationError()
    }
  }

  static func varint(_ bytes: [UInt8], _ position: inout Int) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }

  private static func zigzag(_ value: UInt64) -> Int64 { Int64(value >> 1) ^ -Int64(value & 1) }

  private static func word(_ bytes: [UInt8], at position: Int) -> Int {
    bytes[position..<(position + 4)].reversed().reduce(0) { $0 << 8 | Int($1) }
  }
}
