import Foundation
import Testing

@testable import xtcpd

@Suite struct GeneratedFilesTests {
  /// docs/metrics.md is made of the list of metrics. XTCPD_REGENERATE=1 writes it instead of comparing.
  @Test func theReferenceOfMetricsIsCurrent() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/metrics.md")
    if ProcessInfo.processInfo.environment["XTCPD_REGENERATE"] == "1" {
      try MetricsText.reference().write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(
      try String(contentsOf: file, encoding: .utf8) == MetricsText.reference(),
      "docs/metrics.md is out of date; run XTCPD_REGENERATE=1 swift test --filter XtcpdTests")
  }
}
