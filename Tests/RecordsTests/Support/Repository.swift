import Foundation
import Testing

/// Where this checkout and the shared captures are.
enum Repository {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The real captures, nil where they were not checked out: XTCPD_CAPTURES, else beside the repository.
  static let captures: URL? = {
    let named = ProcessInfo.processInfo.environment["XTCPD_CAPTURES"].map { URL(fileURLWithPath: $0) }
    let beside = ["../shared/captures", "../../shared/captures"].map { root.appendingPathComponent($0) }
    return ([named].compactMap { $0 } + beside).first {
      FileManager.default.fileExists(atPath: $0.appendingPathComponent("README.md").path)
    }
  }()

  static func fixture(_ name: String) throws -> Data {
    try Data(contentsOf: root.appendingPathComponent("Tests/RecordsTests/Fixtures/\(name)"))
  }
}
