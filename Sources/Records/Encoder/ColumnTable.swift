/// A column that does not exist, with the nearest one that does.
public struct UnknownColumn: Error, Hashable, Sendable, CustomStringConvertible {
  public let name: String
  public let nearest: String

  public var description: String { "unknown column \"\(name)\" (nearest: \"\(nearest)\")" }

  init(_ name: String) {
    self.name = name
    nearest = RecordSchema.columnNames.min { Self.distance(name, $0) < Self.distance(name, $1) } ?? ""
  }

  /// Levenshtein distance.
  private static func distance(_ left: String, _ right: String) -> Int {
    let right = Array(right.utf8)
    var row = Array(0...right.count)
    for (i, a) in left.utf8.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, b) in right.enumerated() {
        let substituted = diagonal + (a == b ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
      }
    }
    return row[right.count]
  }
}

/// One column of a selection: where its value comes from and how this format spells its name.
struct Column {
  var key: ColumnKey
  var form: Form
  var source: Source
  var offset: Int

  var type: ColumnType { form.type }
}

/// The columns of an encoder in their order. Owns their memory; made once, read for every row.
struct ColumnTable: ~Copyable {
  let columns: UnsafeMutableBufferPointer<Column>
  /// How many of them are the same for all rows of a dump, and so live in the prefix.
  let dumpCount: Int
  private let names: UnsafeMutableBufferPointer<UInt8>

  /// - Parameters:
  ///   - selected: names of columns, each counted once; nil for the format's usual ones.
  ///   - format: decides how names are spelled and how wide cells are.
  init(_ selected: [String]?, format: RecordFormat) throws(UnknownColumn) {
    let choices: [Choice]
    if let selected {
      choices = try Self.choices(selected, format)
    } else if format == .table {
      choices = Self.usualTable
    } else {
      choices = RecordSchema.fields.filter { $0.source != .unfilled }.map { Choice($0, format) }
    }
    self.init(choices)
  }

  private init(_ choices: [Choice]) {
    names = .allocate(capacity: max(1, choices.reduce(0) { $0 + $1.name.utf8.count }))
    columns = .allocate(capacity: choices.count)
    var end = 0
    for (index, choice) in choices.enumerated() {
      let start = end
      for byte in choice.name.utf8 {
        names.initializeElement(at: end, to: byte)
        end += 1
      }
      let key = ColumnKey(
        name: UnsafePointer(names.baseAddress.unsafelyUnwrapped + start), count: end - start, number: choice.number,
        width: choice.width)
      columns.initializeElement(
        at: index, to: Column(key: key, form: choice.form, source: choice.source, offset: choice.offset))
    }
    dumpCount = choices.filter { $0.source == .dump }.count
  }

  deinit {
    names.deallocate()
    columns.deallocate()
  }

  private static func choices(_ selected: [String], _ format: RecordFormat) throws(UnknownColumn) -> [Choice] {
    var choices: [Choice] = []
    if selected.isEmpty { throw UnknownColumn("") }
    for (index, name) in selected.enumerated() where !selected[..<index].contains(name) {
      guard let field = RecordSchema.fields.first(where: { $0.name.description == name }) else {
        throw UnknownColumn(name)
      }
      choices.append(Choice(field, format))
    }
    return choices
  }

  /// What becomes a column.
  private struct Choice {
    var name: String
    var number: UInt32 = 0
    var form: Form
    var source: Source
    var offset: Int
    var width = 0

    init(_ field: FieldDescription, _ format: RecordFormat) {
      name = field.name.description
      if format == .protoJSON { name = ProtoJSONFormat.name(of: name) }
      number = field.number
      form = field.form
      source = field.source
      offset = field.offset
      if format == .table { width = min(max(name.utf8.count, Self.usualWidth(field.form)), TableFormat.widestColumn) }
    }

    init(_ heading: String, _ form: Form, _ source: Source, at offset: Int, width: Int) {
      name = heading
      self.form = form
      self.source = source
      self.offset = offset
      self.width = max(width, heading.utf8.count)
    }

    private static func usualWidth(_ form: Form) -> Int {
      switch form {
      case .state: 11
      case .address: 15
      case .u64: 12
      case .i64: 19
      default: 5
      }
    }
  }

  /// What `snapshot` prints to a terminal: near to `ss`, the namespace in front.
  private static let usualTable: [Choice] = [
    Choice("Netns", .text, .dump, at: DumpBlock.Text.namespace.rawValue, width: 12),
    Choice("State", .state, .message, at: 1, width: 11),
    Choice("Recv-Q", .u32, .message, at: 56, width: 6),
    Choice("Send-Q", .u32, .message, at: 60, width: 6),
    Choice("Local Address:Port", .endpoint, .message, at: 8, width: 21),
    Choice("Peer Address:Port", .endpoint, .message, at: 24, width: 21),
    Choice("Cong", .name, .congestion, at: 0, width: 6),
    Choice("Rtt(us)", .u32, .info, at: 68, width: 8),
    Choice("Cwnd", .u32, .info, at: 80, width: 5),
    Choice("Retrans", .u32, .info, at: 100, width: 7),
    Choice("Uid", .u32, .message, at: 64, width: 5),
    Choice("Inode", .u32, .message, at: 68, width: 8),
  ]
}
