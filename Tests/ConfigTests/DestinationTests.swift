import Testing

@testable import Config

/// Warnings of sinks that write to one place; the configuration is used all the same.
@Suite struct DestinationTests {
  private func warnings(_ pipelines: String) throws -> [String] {
    let outcome = read("version: 1\nsinks: { f: { type: file, path: /f } }\npipelines:\n\(pipelines)")
    _ = try #require(outcome.settings)
    return outcome.diagnostics.map(summary)
  }

  @Test func sameRowsTwice() throws {
    #expect(
      try warnings("  a: { sinks: { f: {} } }\n  b: { sinks: { f: {} } }\n") == [
        "5:17: warning: pipelines `a` and `b` may read the same namespaces and both write to `/f`; rows of those will be "
          + "there twice [4:17 the other sink]"
      ])
    #expect(
      try warnings("  a: { sinks: { f: {}, g: { type: file, path: /f } } }\n") == [
        "4:24: warning: sinks `f` and `g` both write to `/f`; rows will be there twice [4:17 the other sink]"
      ])
  }

  @Test func differentFormats() throws {
    #expect(
      try warnings(
        "  a: { sinks: { f: { format: csv } } }\n  b: { sinks: { f: { format: csv, columns: [netns] } } }\n") == [
          "5:17: warning: `/f` also gets csv with other columns from sink `f` of pipeline `a`; its readers will see both "
            + "mixed [4:17 the other sink]"
        ])
  }

  @Test(arguments: [
    ("[host]", "[host]", "[]", true), ("[host]", "[all]", "[]", true), ("[host]", "[all]", "[host]", false),
    ("[host]", "[{ name: \"cni-*\" }]", "[]", false), ("[host]", "[{ name: \"h*\" }]", "[]", true),
    ("[{ name: cni-1 }]", "[{ name: \"cni-*\" }]", "[]", true),
    ("[{ name: cni-1 }]", "[{ name: \"cni-*\" }]", "[{ name: cni-1 }]", false),
    ("[{ name: a }]", "[{ name: b }]", "[]", false), ("[{ inode: 1 }]", "[{ inode: 2 }]", "[]", false),
    ("[{ pid: 1 }]", "[{ pid: 1 }]", "[]", true), ("[{ path: /run/a }]", "[{ path: \"/run/*\" }]", "[]", true),
    ("[rest]", "[all]", "[]", false), ("[rest]", "[rest]", "[]", true), ("[host]", "[rest]", "[]", false),
    ("[rest, host]", "[host]", "[]", true), ("[rest]", "[rest]", "[rest]", false),
    ("[{ cgroup: /a/b }]", "[{ cgroup: \"/a/*\" }]", "[]", true), ("[{ cgroup: /a }]", "[{ cgroup: /b }]", "[]", false),
    ("[{ cgroup: /a/b }]", "[{ cgroup: \"/a/*\" }]", "[{ cgroup: /a/b }]", false),
  ]) func overlap(_ one: String, _ other: String, _ excluded: String, _ isWarned: Bool) throws {
    let found = try warnings(
      "  a: { namespaces: { include: \(one) }, sinks: { f: {} } }\n"
        + "  b: { namespaces: { include: \(other), exclude: \(excluded) }, sinks: { f: {} } }\n")
    #expect(found.count == (isWarned ? 1 : 0))
  }

  /// Nothing keeps the writes of two sinks to a stream apart.
  @Test(arguments: [("stdout", "standard output"), ("stderr", "standard error")])
  func oneSinkAStream(_ type: String, _ place: String) {
    let text = "version: 1\npipelines:\n  a: { sinks: { x: { type: \(type) } } }\n"
    #expect(
      diagnose(text + "  b: { sinks: { y: { type: \(type), format: csv }, z: { type: file, path: /f } } }\n") == [
        "4:17: error: only one sink may write to \(place), and sink `x` of pipeline `a` does already; keep one of them, or "
          + "use files [3:17 the other sink]"
      ])
  }

  @Test func blackholesAndDisabledSinksDoNotClash() throws {
    let text = """
        a: { sinks: { x: { type: blackhole }, o: { type: stdout, enabled: false } } }
        b: { sinks: { y: { type: blackhole }, o: { type: stdout } } }
        c: { enabled: false, sinks: { o: { type: stdout } } }

      """
    #expect(try warnings(text) == [])
  }
}
