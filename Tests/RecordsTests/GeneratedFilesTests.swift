import Foundation
import Testing

@testable import Records

/// The files made from the list of fields are committed; this holds them to it. `XTCPD_REGENERATE=1 swift test` rewrites them.
@Suite struct GeneratedFilesTests {
  enum GeneratedFile: String, CaseIterable {
    case proto = "schema/xtcp_flat_record.proto"
    case clickhouse = "schema/clickhouse.sql"
    case fields = "docs/fields.md"

    var text: String {
      switch self {
      case .proto: SchemaText.proto()
      case .clickhouse: SchemaText.clickhouse()
      case .fields: SchemaText.fieldsMarkdown()
      }
    }
  }

  @Test(arguments: GeneratedFile.allCases)
  func fileIsWhatTheListOfFieldsGives(_ generated: GeneratedFile) throws {
    let file = Repository.root.appendingPathComponent(generated.rawValue)
    if ProcessInfo.processInfo.environment["XTCPD_REGENERATE"] != nil {
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(generated.text.utf8).write(to: file)
    }
    let committed = try String(contentsOf: file, encoding: .utf8)
    #expect(committed == generated.text, "\(generated.rawValue) is out of date: run XTCPD_REGENERATE=1 swift test")
  }
}
