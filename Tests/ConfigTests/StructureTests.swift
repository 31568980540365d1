import Testing

@testable import Config

/// Keys, names, sinks, selectors and the rules between settings.
@Suite struct StructureTests {
  @Test(arguments: [
    ("intervall: 1s", "5:5: error: unknown key `intervall` in a pipeline; did you mean `interval`?"),
    ("Interval: 1s", "5:5: error: unknown key `Interval` in a pipeline; did you mean `interval`?"),
    ("recv_batch: 4", "5:5: error: unknown key `recv_batch` in a pipeline; did you mean `reader.recv_batch`?"),
    ("reader: { recv-batch: 4 }", "5:15: error: unknown key `recv-batch` in `reader`; did you mean `recv_batch`?"),
    ("reader: { batches: 4 }", "5:15: error: unknown key `batches` in `reader`; did you mean `pools.batches`?"),
    ("hostname: x", "5:5: error: unknown key `hostname` in a pipeline; did you mean `global.hostname`?"),
    ("zzz: x", "5:5: error: unknown key `zzz` in a pipeline"),
    ("reader: syscall", "5:13: error: `reader` must be a mapping, not `syscall`"),
    ("pools: [1]", "5:12: error: `pools` must be a mapping, not a list"),
    ("batch:", "5:11: error: `batch` has no value; give it a mapping or remove the key"),
    ("queue: { byte: 16MiB }", "5:14: error: unknown key `byte` in `queue`; did you mean `bytes`?"),
    ("extends: [x]", "5:15: error: there is no profile `x`; define it under `profiles`"),
    ("extends: x", "5:14: error: `extends` must be a list of profiles such as [x], not `x`"),
    (
      "attributes: [info, cong, info]",
      "5:30: error: `attributes` holds `info` twice; remove one of them [5:18 first here]"
    ),
    (
      "namespaces: { include: [host, all, host] }",
      "5:40: error: `namespaces.include` holds `host` twice; remove one of them [5:29 first here]"
    ),
    (
      "namespaces: { include: [{ nam: x }] }",
      "5:31: error: unknown selector `nam`; the selectors are host, all, rest and {name: ...}, {path: ...}, "
        + "{inode: ...}, {pid: ...}, {cgroup: ...}; did you mean `name`?"
    ),
    (
      "namespaces: { include: [{ name: a, pid: 1 }] }",
      "5:29: error: `namespaces.include`: a selector has one key, one of name, path, inode, pid, cgroup; "
        + "list several selectors to select more"
    ),
    (
      "namespaces: { include: [{ name: \"[a\" }] }",
      "5:37: error: `namespaces.include.name` must be a pattern of `*`, `?` and `[a-z]` whose brackets are closed, "
        + "not the text `[a`"
    ),
    (
      "namespaces: { include: [{ pid: 0 }] }",
      "5:36: error: `namespaces.include.pid` must be a whole number from 1 to 4194304, not `0`"
    ),
    (
      "namespaces: { include: [{ inode: 4294967296 }] }",
      "5:38: error: `namespaces.include.inode` must be a whole number from 1 to 4294967295, not `4294967296`"
    ),
    (
      "timeout: 10s",
      "5:14: error: `timeout` (10s) must be below `interval` (10s, the default); lower it, or leave it out for 80% of "
        + "the interval"
    ),
    (
      "interval: 1s\ntimeout: 2s",
      "6:14: error: `timeout` (2s) must be below `interval` (1s); lower it, or leave it out for 80% of the interval "
        + "[5:15 `interval` is set here]"
    ),
    (
      "reader: { recv_batch: 17 }",
      "5:27: error: `reader.recv_batch` (17) must not exceed `pools.receive_buffers` (16, the default): each receive "
        + "in flight needs a buffer; set `pools.receive_buffers` to 17 or `reader.recv_batch` to 16"
    ),
    (
      "pools: { receive_buffers: 4 }",
      "5:31: error: `reader.recv_batch` (8, the default) must not exceed `pools.receive_buffers` (4): each receive in "
        + "flight needs a buffer; set `pools.receive_buffers` to 8 or `reader.recv_batch` to 4"
    ),
    (
      "reader: { recv_batch: 65 }\npools: { receive_buffers: 64 }",
      "5:27: error: `reader.recv_batch` (65) must not exceed `pools.receive_buffers` (64): each receive in flight "
        + "needs a buffer; set `pools.receive_buffers` to 65 or `reader.recv_batch` to 64 "
        + "[6:31 `pools.receive_buffers` is set here]"
    ),
    // A value that is wrong by itself is not compared.
    ("timeout: 20s\ninterval: 30", "6:15: error: `interval`: `30` has no unit; write it like 500ms, 10s or 1m30s"),
  ]) func pipelineMistakes(_ body: String, _ expected: String) {
    #expect(diagnose(onePipeline(body)) == [expected])
  }

  static let columns =
    "`columns` must be a list of columns of the record (`xtcpd schema fields` lists them)"

  @Test(arguments: [
    (
      "{ type: fil }",
      "3:14: error: `type` must be one of \(types), not `fil`; did you mean `file`?"
    ),
    ("{ type: }", "3:14: error: `type` has no value; give it one of \(types) or remove the key"),
    ("{ format: csv }", "3:3: error: sink `s` has no `type`; give it one of \(types)"),
    ("{ type: file }", "3:3: error: sink `s` of type `file` needs `path`"),
    ("{ type: file, path: x }", "3:26: error: `path` must be an absolute path, not `x`"),
    (
      "{ type: stdout, path: /x }",
      "3:22: error: unknown key `path` in a sink of type `stdout`; that is a setting of type `file`"
    ),
    (
      "{ type: stdout, fromat: csv }",
      "3:22: error: unknown key `fromat` in a sink of type `stdout`; did you mean `format`?"
    ),
    (
      "{ type: stdout, format: json }",
      "3:30: error: `format` must be one of protobuf_list, protobuf, jsonl, proto_json, proto_text, csv, tsv, msgpack, parquet, "
        + "not `json`; did you mean `jsonl`?"
    ),
    ("{ type: stdout, format: csv, columns: [] }", "3:44: error: `columns` must not be empty"),
    (
      "{ type: stdout, format: csv, columns: hostname }",
      "3:44: error: `columns` must be a list such as [hostname], not `hostname`"
    ),
    (
      "{ type: stdout, format: tsv, columns: [hostnam] }",
      "3:45: error: \(columns), not `hostnam`; did you mean `hostname`?"
    ),
    (
      "{ type: stdout, format: csv, columns: [netns, netns] }",
      "3:52: error: `columns` holds `netns` twice; remove one of them [3:45 first here]"
    ),
    (
      "{ type: stdout, columns: [netns] }",
      "3:22: error: `columns` select and order the cells of csv, tsv and parquet; this sink writes jsonl"
    ),
    (
      "{ type: stdout, columns: [netns], format: protobuf }",
      "3:22: error: `columns` select and order the cells of csv, tsv and parquet; this sink writes protobuf "
        + "[3:48 the format is set here]"
    ),
    (
      "{ type: file, path: /x, mode: 0640 }",
      "3:36: error: `mode` must be quoted: 0640 could be read as octal rw-r----- or decimal -w-------; "
        + "write \"0640\" or \"0200\""
    ),
    (
      "{ type: file, path: /x, mode: 416 }",
      "3:36: error: `mode` must be quoted: 416 could be read as octal r----xrw- or decimal rw-r-----; "
        + "write \"0416\" or \"0640\""
    ),
    (
      "{ type: file, path: /x, mode: \"640\" }",
      "3:36: error: `mode` must be a quoted octal mode such as \"0640\", not the text `640`"
    ),
    ("[stdout]", "3:6: error: `sinks.s` must be a mapping, not a list"),
    ("", "3:3: error: `s` has no value; write `s: {}`"),
    ("{ type: stdout, enabled: 0 }", "3:31: error: `enabled` must be true or false, not `0`"),
  ]) func sharedSinkMistakes(_ sink: String, _ expected: String) {
    let text = "version: 1\nsinks:\n  s: \(sink)\npipelines: { p: { sinks: { o: { type: blackhole } } } }\n"
    #expect(diagnose(text) == [expected])
  }

  @Test(arguments: [
    (
      "{ loal: {} }",
      "4:17: error: `loal` is not defined under `sinks`; define it there or give it a `type` here; did you mean `local`?"
    ),
    (
      "{ local: { type: stdout } }",
      "4:26: error: `local` has its type from the section `sinks`; remove `type` here or rename this sink [2:10 defined here]"
    ),
    (
      "{ local: { columns: [netns] } }",
      "4:26: error: `columns` select and order the cells of csv, tsv and parquet; this sink writes jsonl"
    ),
    (
      "{ local: { enabled: false } }",
      "4:3: error: every sink of pipeline `p` is disabled; enable one or disable the pipeline"
    ),
    ("{}", "4:15: error: `sinks` is empty; a pipeline needs at least one sink"),
    ("[local]", "4:15: error: `sinks` must be a mapping from names, not a list"),
    ("", "4:16: error: `sinks` has no value; give it a mapping from names or remove the key"),
    ("{ local: }", "4:17: error: `local` has no value; write `local: {}`"),
    ("{ local: [] }", "4:24: error: `sinks.local` must be a mapping, not a list"),
    ("{ a b: { type: stdout } }", "4:17: error: `a b` cannot name a sink; use 1 to 64 of A-Z a-z 0-9 _ . -"),
  ]) func pipelineSinkMistakes(_ sinks: String, _ expected: String) {
    let text = "version: 1\nsinks: { local: { type: stdout } }\npipelines:\n  p: { sinks: \(sinks) }\n"
    #expect(diagnose(text) == [expected])
  }

  @Test(arguments: [
    ("version: 2", "1:10: error: `version` must be 1, not `2`"),
    ("version: \"1\"", "1:10: error: `version` must be 1, not the text `1`"),
    ("version:", "1:9: error: `version` has no value; give it 1 or remove the key"),
    ("version: 1\nglob: {}", "2:1: error: unknown key `glob` at the top level; did you mean `global`?"),
    ("version: 1\npipeline: {}", "2:1: error: unknown key `pipeline` at the top level; did you mean `pipelines`?"),
    (
      "version: 1\ninterval: 5s",
      "2:1: error: unknown key `interval` at the top level; did you mean `defaults.interval`?"
    ),
    (
      "version: 1\ninclude: [x]",
      "2:11: error: `include` needs a configuration that is a file, to look beside it"
    ),
    (
      "version: 1\ndefaults: { extends: [x] }",
      "2:13: error: `defaults` cannot extend profiles; put `extends` into the pipelines"
    ),
    ("version: 1\ndefaults: 5", "2:11: error: a pipeline must be a mapping, not `5`"),
    ("version: 1\nsinks: 5", "2:8: error: `sinks` must be a mapping from names, not `5`"),
    (
      "version: 1\nsinks: { \"\": { type: stdout } }",
      "2:10: error: `` cannot name a sink; use 1 to 64 of A-Z a-z 0-9 _ . -"
    ),
  ]) func topLevelMistakes(_ head: String, _ expected: String) {
    #expect(
      diagnose("\(head)\npipelines: { p: { sinks: { o: { type: blackhole } } } }\n") == [expected])
  }

  @Test(arguments: [
    ("{}", "2:12: error: `pipelines` is empty; a configuration needs at least one"),
    ("{ p: }", "2:14: error: `p` has no value; write `p: {}`"),
    ("{ p: 5 }", "2:17: error: `pipelines.p` must be a mapping, not `5`"),
    ("{ p/q: {} }", "2:14: error: `p/q` cannot name a pipeline; use 1 to 64 of A-Z a-z 0-9 _ . -"),
    ("{ p: {} }", "2:14: error: pipeline `p` has no sink; add one, such as `sinks: { out: { type: stdout } }`"),
    (
      "{ p: { enabled: false, sinks: { o: { type: stdout } } } }",
      "2:14: error: every pipeline is disabled; a configuration needs one that runs"
    ),
    (
      "{ \(String(repeating: "x", count: 65)): {} }",
      "2:14: error: `\(String(repeating: "x", count: 60))...` cannot name a pipeline; use 1 to 64 of A-Z a-z 0-9 _ . -"
    ),
  ]) func pipelineSectionMistakes(_ pipelines: String, _ expected: String) {
    #expect(diagnose("version: 1\npipelines: \(pipelines)\n") == [expected])
  }

  /// What two pipelines inherit is reported once; what one of them sets is reported there.
  @Test func inheritedMistakesAreReportedOnce() {
    let text = """
      version: 1
      defaults: { timeout: 5s, reader: { recv_batch: 20 }, align: left, sinks: { o: { type: stderr } } }
      pipelines:
        a: { pools: { receive_buffers: 32 } }
        b: { pools: { receive_buffers: 32 }, interval: 1s }
        c: { pools: { receive_buffers: 10 } }
      """
    #expect(
      diagnose(text) == [
        "2:61: error: `align` must be one of spread, wallclock, none, not `left`",
        "5:50: error: `timeout` (5s) must be below `interval` (1s); lower it, or leave it out for 80% of the interval "
          + "[2:22 `timeout` is set here]",
        "6:34: error: `reader.recv_batch` (20) must not exceed `pools.receive_buffers` (10): each receive in flight "
          + "needs a buffer; set `pools.receive_buffers` to 20 or `reader.recv_batch` to 10 "
          + "[2:48 `reader.recv_batch` is set here]",
      ])
  }

  /// Each way of encoding fills a batch of its own; disabled sinks fill none.
  @Test func everyFormatNeedsABatch() {
    func text(_ batches: Int) -> String {
      """
      version: 1
      defaults: { pools: { batches: \(batches) } }
      pipelines:
        p:
          sinks:
            a: { type: blackhole }
            b: { type: blackhole, format: csv }
            c: { type: blackhole, format: csv, columns: [netns] }
            d: { type: stdout }
            e: { type: blackhole, format: tsv, enabled: false }

      """
    }
    #expect(
      diagnose(text(2)) == [
        "6:7: error: `pools.batches` (2) is too small: the sinks of pipeline `p` use 3 different formats or columns, and each "
          + "fills a batch of its own; set it to 4 or more [2:31 `pools.batches` is set here]"
      ])
    #expect(diagnose(text(3)) == [])
  }

  @Test func aSinkThatBlocksStopsTheOthers() {
    var settings = PipelineSettings(name: "p")
    settings.sinks = [SinkSettings(name: "a", kind: .blackhole), SinkSettings(name: "b", kind: .stdout)]
    settings.sinks[1].queue.whenFull = .block
    func warnings(_ settings: PipelineSettings) -> [String] {
      var problems = Problems()
      let mark = Mark(source: problems.add(Source(name: "x.yaml", bytes: [])), line: 3, column: 1)
      let entry = Node.Entry(key: "p", keyMark: mark, value: .emptyMapping(at: mark))
      let sinks = Node.Entry(key: "sinks", keyMark: mark, value: Node(content: .mapping([entry]), mark: mark))
      PipelineRules(
        settings: settings, effective: Node(content: .mapping([sinks]), mark: mark), entry: entry
      ).check(&problems)
      return problems.diagnostics.map(summary)
    }
    #expect(
      warnings(settings) == [
        "3:1: warning: sink `b` of pipeline `p` blocks: while its queue is full, the pipeline's other sinks get nothing either"
      ])
    settings.sinks.removeFirst()
    #expect(warnings(settings) == [])
  }

  @Test func layersMergeKeyByKeyAndListsReplace() throws {
    let text = """
      version: 1
      defaults:
        reader: { mode: syscall, cqe_batch: 7 }
        namespaces: { include: [host, { name: a }], exclude: [{ pid: 1 }] }
        sinks: { base: { type: stderr, format: csv, columns: [netns] } }
      sinks:
        local: { type: file, path: /a, mode: "0600" }
      pipelines:
        p:
          reader: { mode: auto }
          namespaces: { include: [all] }
          sinks: { local: { path: /b }, base: { format: tsv }, off: { type: stdout, enabled: false } }
      """
    let pipeline = try #require(read(text).settings?.pipelines.first)
    #expect(pipeline.reader == .with(mode: .auto, parallelism: 1, recvBatch: 8, cqeBatch: 7))
    #expect(pipeline.namespaces == NamespaceSelection(include: [.all], exclude: [.pid(1)]))
    #expect(
      pipeline.sinks == [
        SinkSettings(name: "base", kind: .stderr, format: .tsv, columns: ["netns"]),
        SinkSettings(name: "local", kind: .file(FileSinkSettings(path: "/b", mode: 0o600))),
      ])
  }

  @Test(arguments: ["blackhole", "null", "\"null\""]) func blackholeAndItsAlias(_ type: String) throws {
    let text = "version: 1\npipelines: { p: { sinks: { o: { type: \(type) } } } }\n"
    #expect(try #require(read(text).settings?.pipelines.first).sinks.map(\.kind) == [.blackhole])
  }

  @Test(arguments: FormatName.allCases) func formats(_ format: FormatName) throws {
    let text = "version: 1\npipelines: { p: { sinks: { o: { type: file, path: /f, format: \(format.rawValue) } } } }\n"
    #expect(try #require(read(text).settings?.pipelines.first).sinks.map(\.format) == [format])
  }

  @Test func filesOfColumnsAreForFiles() {
    let text = "version: 1\npipelines: { p: { sinks: { o: { type: stdout, format: parquet } } } }\n"
    let names = FormatName.streams.map(\.rawValue).joined(separator: ", ")
    #expect(
      diagnose(text) == [
        "2:55: error: a sink of type `stdout` does not write parquet; use one of \(names)"
      ])
    let sink = "{ type: file, path: /f, format: parquet, compression: zstd }"
    let packed = "version: 1\npipelines: { p: { sinks: { o: \(sink) } } }\n"
    #expect(diagnose(packed).count == 1)
  }

  @Test func disabledPipelinesAreCheckedButLeftOut() throws {
    let sinks = "sinks: { o: { type: blackhole } }"
    let text = "version: 1\npipelines: { a: { enabled: false, \(sinks) }, b: { \(sinks) } }\n"
    #expect(try #require(read(text).settings).pipelines.map(\.name) == ["b"])
    #expect(diagnose(text.replacing("false,", with: "false, align: up,")).count == 1)
  }

  @Test func automaticTimeout() throws {
    func timeout(_ interval: String) throws -> Duration {
      try #require(read(onePipeline("interval: \(interval)")).settings?.pipelines.first).timeout
    }
    #expect(try timeout("1s") == .milliseconds(800))
    #expect(try timeout("10ms") == .milliseconds(8))
    #expect(try timeout("6250ms") == .seconds(5))
    #expect(try timeout("1h") == .seconds(5))
  }
}

/// The types of sinks as messages list them.
private let types = SinkType.names.joined(separator: ", ")
