import ArgumentParser
import Config
import Pipelines
import Records

/// A format that a command prints: `table`, or one that sinks have too.
enum OutputFormat: ExpressibleByArgument, Equatable {
  case table
  case record(FormatName)

  init?(argument: String) {
    if argument == "table" {
      self = .table
    } else if let name = FormatName(rawValue: argument), FormatName.streams.contains(name) {
      self = .record(name)
    } else {
      return nil
    }
  }

  /// What `--help` shows, and what a user writes.
  var defaultValueDescription: String {
    switch self {
    case .table: "table"
    case .record(let name): name.rawValue
    }
  }

  static let allValueStrings = ["table"] + FormatName.streams.map(\.rawValue)

  /// The encoder's format.
  var recordFormat: RecordFormat {
    switch self {
    case .table: .table
    case .record(let name): RecordFormat(name)
    }
  }

  /// Whether `--columns` can select and order what is printed.
  var hasColumns: Bool {
    switch self {
    case .table: true
    case .record(let name): name.hasColumns
    }
  }
}

/// Record columns separated by commas.
struct ColumnList {
  let names: [String]

  /// - Throws: which column there is not.
  init(parsing argument: String) throws {
    names = argument.split(separator: ",").map(String.init)
    for name in names where !RecordSchema.columnNames.contains(name) {
      throw ValidationError("there is no column '\(name)'; xtcpd schema fields lists them")
    }
    if names.isEmpty { throw ValidationError("--columns needs at least one column") }
  }

  /// - Throws: what to tell somebody who asks for columns where every row has all.
  func validate(for format: OutputFormat) throws {
    if !format.hasColumns {
      throw ValidationError("--columns works with table, csv and tsv; other formats have every column")
    }
  }
}

/// Socket states separated by commas.
struct StateList {
  let names: Set<StateName>

  /// - Throws: which state there is not.
  init(parsing argument: String) throws {
    var names: Set<StateName> = []
    for word in argument.split(separator: ",") {
      guard let name = StateName(rawValue: word.lowercased().replacing("-", with: "_")) else {
        let known = StateName.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("there is no state '\(word)'; there are \(known)")
      }
      names.insert(name)
    }
    if names.isEmpty { throw ValidationError("--states needs at least one state") }
    self.names = names
  }
}

/// Values separated by commas: networks, ports and the like.
struct CommaList<Element> {
  let elements: [Element]

  /// - Throws: what is wrong with which of them.
  init(parsing argument: String, as element: (String) throws -> Element) throws {
    elements = try argument.split(separator: ",", omittingEmptySubsequences: false).map { part in
      do {
        return try element(String(part))
      } catch let mistake as any TextMistake {
        throw ValidationError("'\(part)' \(mistake.reason)")
      }
    }
  }
}

extension ReaderMode: ExpressibleByArgument {}
