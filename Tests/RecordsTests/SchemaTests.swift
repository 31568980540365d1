import Foundation
import Testing

@testable import Records

/// The list of fields against the record that consumers already read, and against itself.
@Suite struct SchemaTests {
  /// Number, name and type of the fields that existing tables and consumers know.
  @Test func everyFieldOfThePredecessorIsThere() throws {
    let lines = try String(decoding: Repository.fixture("record-fields.csv"), as: UTF8.self).split(separator: "\n")
    let reference = lines.dropFirst().map { $0.split(separator: ",").map(String.init) }
    #expect(reference.count == 156)
    let known = RecordSchema.fields.filter { $0.number < 3000 }
    #expect(known.count == reference.count)
    for line in reference {
      let field = try #require(known.first { "\($0.number)" == line[0] }, "no field \(line[0])")
      #expect(field.name.description == line[1])
      #expect(field.form.type.protobufName == line[2])
    }
  }

  @Test func numbersAndNamesAreUnique() {
    let fields = RecordSchema.fields
    #expect(Set(fields.map(\.number)).count == fields.count)
    #expect(Set(fields.map(\.name.description)).count == fields.count)
  }

  @Test func everyFieldIsDocumented() {
    for field in RecordSchema.fields {
      #expect(field.text.description.hasSuffix("."), "\(field.name)")
      if field.source.isKernel && field.form != .algorithm {
        #expect(!field.kernel.description.isEmpty, "\(field.name)")
      }
      if field.source == .unfilled { #expect(field.text.description.hasPrefix("Not filled: "), "\(field.name)") }
    }
  }

  static let sizes: [(Source, Int)] = [
    (.message, 72), (.memory, 16), (.info, 280), (.vegas, 16), (.dctcp, 16), (.bbr, 20), (.socketMemory, 36),
    (.typeOfService, 1), (.trafficClass, 1), (.shutdown, 1), (.classID, 4), (.controlGroup, 8), (.mark, 4),
    (.v6only, 1),
    (.socketOptions, 2),
  ]

  /// Fields of a kernel structure touch without a gap, apart from parts of one byte or word.
  @Test(arguments: sizes)
  func structuresAreCoveredWithoutAGap(source: Source, size: Int) {
    var end = 0
    for field in RecordSchema.fields where field.source == source {
      #expect(field.offset <= end, "a gap before \(field.name)")
      end = max(end, field.offset + field.form.width)
    }
    #expect(end == size)
    #expect(RecordSchema.knownLengths[Int(source.rawValue)] == size)
  }

  @Test func columnsAreListed() {
    #expect(RecordSchema.columnNames.contains("container_id"))
    #expect(!RecordSchema.defaultColumnNames.contains("container_id"))
    #expect(RecordSchema.columnNames.count == RecordSchema.fields.count)
  }
}
