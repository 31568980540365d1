import Testing

@testable import Config

/// One setting: values that are taken, with what they become, and values that are refused, with what is said.
struct SettingCase<Root: Sendable>: Sendable, CustomTestStringConvertible {
  typealias Check = @Sendable (Root) -> Bool

  let path: String
  /// Whether the settings hold the default.
  let isDefault: Check
  let good: [(yaml: String, check: Check)]
  let bad: [(yaml: String, says: String)]
  /// Other settings without which the good values would break a rule.
  var given = ""

  var testDescription: String { path }

  /// The setting at column 1 of the text's last line or lines, and the column where the value begins.
  func yaml(_ value: String) -> (text: String, column: Int) {
    let keys = path.split(separator: ".")
    var text = ""
    for (depth, key) in keys.enumerated() {
      text += (depth > 0 ? "\n" : "") + String(repeating: " ", count: depth) + key + ":"
    }
    return (text + " " + value, (keys.last?.count ?? 0) + keys.count + 2)
  }
}

@Suite struct PipelineSettingsTests {
  static let cases = listed + FilterCases.all

  private static let listed: [SettingCase<PipelineSettings>] = [
    SettingCase(
      path: "enabled", isDefault: { $0.isEnabled }, good: [("true", { $0.isEnabled })],
      bad: [
        ("yes", "`enabled` must be true or false, not `yes`; did you mean `true`?"),
        ("True", "`enabled` must be true or false, not `True`; did you mean `true`?"),
        ("\"true\"", "`enabled` must be true or false, not the text `true`; did you mean `true`?"),
        ("1", "`enabled` must be true or false, not `1`"), ("[]", "`enabled` must be true or false, not a list"),
      ]),
    SettingCase(
      path: "interval", isDefault: { $0.interval == .seconds(10) },
      good: [
        ("10ms", { $0.interval == .milliseconds(10) }), ("1d", { $0.interval == .seconds(86_400) }),
        ("\"1m30s\"", { $0.interval == .seconds(90) }),
      ],
      bad: [
        ("9ms", "`interval` must be from 10ms to 1d, not `9ms`"),
        ("1d1s", "`interval` must be from 10ms to 1d, not `1d1s`"),
        ("0s", "`interval` must be from 10ms to 1d, not `0s`"),
        ("10", "`interval`: `10` has no unit; write it like 500ms, 10s or 1m30s"),
        ("-1s", "`interval`: `-1s` is not a number with a unit; write it like 500ms, 10s or 1m30s"),
        ("1.5s", "`interval`: `1.5s` is not a whole number; use the next smaller unit"),
        (
          "10sec",
          "`interval`: `10sec` has the unknown unit `sec`; the units are ns, us, ms, s, m, h, d; did you mean `s`?"
        ),
        ("99999999999d", "`interval`: `99999999999d` is too large"),
        ("[10s]", "`interval` must be a duration from 10ms to 1d, not a list"),
        ("{}", "`interval` must be a duration from 10ms to 1d, not a mapping"),
        ("~", "`interval` has no value; give it a duration from 10ms to 1d or remove the key"),
      ]),
    SettingCase(
      path: "timeout", isDefault: { $0.explicitTimeout == nil && $0.timeout == .seconds(5) },
      good: [
        ("auto", { $0.explicitTimeout == nil }), ("1ms", { $0.timeout == .milliseconds(1) }),
        ("1h", { $0.timeout == .seconds(3600) }),
      ],
      bad: [
        ("999us", "`timeout` must be from 1ms to 1h, not `999us`"),
        ("61m", "`timeout` must be from 1ms to 1h, not `61m`"),
        ("5", "`timeout`: `5` has no unit; write it like 500ms, 10s or 1m30s"),
        ("automatic", "`timeout`: `automatic` is not a number with a unit; write it like 500ms, 10s or 1m30s"),
      ], given: "interval: 2h"),
    SettingCase(
      path: "align", isDefault: { $0.align == .spread },
      good: [
        ("spread", { $0.align == .spread }), ("wallclock", { $0.align == .wallclock }),
        ("none", { $0.align == Alignment.none }),
      ],
      bad: [
        ("wall", "`align` must be one of spread, wallclock, none, not `wall`; did you mean `wallclock`?"),
        ("null", "`align` has no value; give it one of spread, wallclock, none or remove the key"),
      ]),
    SettingCase(
      path: "label", isDefault: { $0.label == "" },
      good: [
        ("edge", { $0.label == "edge" }), ("\"007\"", { $0.label == "007" }),
        ("2026-01-01x", { $0.label == "2026-01-01x" }),
        ("\"\"", { $0.label == "" }), ("no way", { $0.label == "no way" }),
      ],
      bad: [
        ("007", "`label` must be text, and 007 is a number or boolean; write \"007\""),
        ("1.10", "`label` must be text, and 1.10 is a number or boolean; write \"1.10\""),
        ("NO", "`label` must be text, and NO is a number or boolean; write \"NO\""),
        ("\"a\\u0007b\"", "`label` holds the control character U+7; remove it"),
        (String(repeating: "x", count: 256), "`label` must be 0 to 255 bytes long, not 256"),
        ("[a]", "`label` must be text, not a list"), ("", "`label` has no value; give it text or remove the key"),
      ]),
    SettingCase(
      path: "tag", isDefault: { $0.tag == "" },
      good: [("blue", { $0.tag == "blue" }), (String(repeating: "x", count: 255), { $0.tag.count == 255 })],
      bad: [("{ a: b }", "`tag` must be text, not a mapping")]),
    SettingCase(
      path: "attributes", isDefault: { $0.attributes == AttributeName.defaultSelection },
      good: [
        ("all", { $0.attributes == Set(AttributeName.allCases) }),
        ("default", { $0.attributes.count == AttributeName.allCases.count - 1 && !$0.attributes.contains(.meminfo) }),
        ("[]", { $0.attributes == [] }), ("[info, class_id]", { $0.attributes == [.info, .classID] }),
      ],
      bad: [
        ("info", "`attributes` must be `default`, `all` or a list, not `info`"),
        ("alll", "`attributes` must be `default`, `all` or a list, not `alll`; did you mean `all`?"),
        (
          "[inof]",
          "`attributes` must be one of info, cong, skmem, meminfo, vegas, dctcp, bbr, tos, tclass, shutdown, class_id, "
            + "cgroup, sockopt, mark, v6only, ulp, not `inof`; did you mean `info`?"
        ),
      ]),
    SettingCase(
      path: "reader.mode", isDefault: { $0.reader.mode == .auto },
      good: [("io_uring", { $0.reader.mode == .ioUring }), ("syscall", { $0.reader.mode == .syscall })],
      bad: [
        ("io-uring", "`reader.mode` must be one of auto, io_uring, syscall, not `io-uring`; did you mean `io_uring`?")
      ]),
    SettingCase(
      path: "reader.recv_batch", isDefault: { $0.reader.recvBatch == 8 },
      good: [("1", { $0.reader.recvBatch == 1 }), ("4096", { $0.reader.recvBatch == 4096 })],
      bad: [
        ("0", "`reader.recv_batch` must be a whole number from 1 to 4096, not `0`"),
        ("4097", "`reader.recv_batch` must be a whole number from 1 to 4096, not `4097`"),
        ("-1", "`reader.recv_batch` must be a whole number from 1 to 4096, not `-1`"),
        ("1.0", "`reader.recv_batch` must be a whole number from 1 to 4096, not `1.0`"),
        ("010", "`reader.recv_batch` must be a whole number from 1 to 4096, not `010`"),
        ("0x8", "`reader.recv_batch` must be a whole number from 1 to 4096, not `0x8`"),
        ("\"8\"", "`reader.recv_batch` must be a whole number from 1 to 4096, not the text `8`"),
        (
          "99999999999999999999",
          "`reader.recv_batch` must be a whole number from 1 to 4096, not `99999999999999999999`"
        ),
        ("true", "`reader.recv_batch` must be a whole number from 1 to 4096, not `true`"),
        ("[8]", "`reader.recv_batch` must be a whole number from 1 to 4096, not a list"),
        ("", "`reader.recv_batch` has no value; give it a whole number from 1 to 4096 or remove the key"),
      ], given: "pools: { receive_buffers: 4096 }"),
    SettingCase(
      path: "reader.cqe_batch", isDefault: { $0.reader.cqeBatch == 128 },
      good: [("1", { $0.reader.cqeBatch == 1 }), ("4096", { $0.reader.cqeBatch == 4096 })],
      bad: [
        ("0", "`reader.cqe_batch` must be a whole number from 1 to 4096, not `0`"),
        ("4097", "`reader.cqe_batch` must be a whole number from 1 to 4096, not `4097`"),
      ]),
    SettingCase(
      path: "reader.full_walk_every", isDefault: { $0.reader.fullWalkEvery == 6 },
      good: [("1", { $0.reader.fullWalkEvery == 1 }), ("1000000", { $0.reader.fullWalkEvery == 1_000_000 })],
      bad: [
        ("0", "`reader.full_walk_every` must be a whole number from 1 to 1000000, not `0`"),
        ("1000001", "`reader.full_walk_every` must be a whole number from 1 to 1000000, not `1000001`"),
      ]),
    SettingCase(
      path: "reader.shortcuts", isDefault: { $0.reader.shortcuts == Set(ReaderShortcut.allCases) },
      good: [
        ("all", { $0.reader.shortcuts.count == 4 }), ("[]", { $0.reader.shortcuts.isEmpty }),
        ("[empty, filter]", { $0.reader.shortcuts == [.empty, .filter] }),
      ],
      bad: [
        ("[idle]", "`reader.shortcuts` must be one of empty, listeners, known, filter, not `idle`"),
        ("none", "`reader.shortcuts` must be `all` or a list, not `none`"),
      ]),
    SettingCase(
      path: "pools.receive_buffers", isDefault: { $0.pools.receiveBuffers == 16 },
      good: [("1", { $0.pools.receiveBuffers == 1 }), ("4096", { $0.pools.receiveBuffers == 4096 })],
      bad: [
        ("0", "`pools.receive_buffers` must be a whole number from 1 to 4096, not `0`"),
        ("4097", "`pools.receive_buffers` must be a whole number from 1 to 4096, not `4097`"),
      ], given: "reader: { recv_batch: 1 }"),
    SettingCase(
      path: "pools.batches", isDefault: { $0.pools.batches == 4 },
      good: [("1", { $0.pools.batches == 1 }), ("4096", { $0.pools.batches == 4096 })],
      bad: [
        ("0", "`pools.batches` must be a whole number from 1 to 4096, not `0`"),
        ("4097", "`pools.batches` must be a whole number from 1 to 4096, not `4097`"),
      ]),
    SettingCase(
      path: "pools.known_sockets", isDefault: { $0.pools.knownSockets == 32_768 },
      good: [("0", { $0.pools.knownSockets == 0 }), ("4194304", { $0.pools.knownSockets == 4_194_304 })],
      bad: [
        ("-1", "`pools.known_sockets` must be a whole number from 0 to 4194304, not `-1`"),
        ("4194305", "`pools.known_sockets` must be a whole number from 0 to 4194304, not `4194305`"),
      ]),
    SettingCase(
      path: "batch.rows", isDefault: { $0.batch.rows == 10_000 },
      good: [("1", { $0.batch.rows == 1 }), ("1000000", { $0.batch.rows == 1_000_000 })],
      bad: [
        ("0", "`batch.rows` must be a whole number from 1 to 1000000, not `0`"),
        ("1000001", "`batch.rows` must be a whole number from 1 to 1000000, not `1000001`"),
        ("10k", "`batch.rows` must be a whole number from 1 to 1000000, not `10k`"),
      ]),
    SettingCase(
      path: "batch.bytes", isDefault: { $0.batch.bytes == 768 << 10 },
      good: [
        ("64KiB", { $0.batch.bytes == 64 << 10 }), ("64MiB", { $0.batch.bytes == 64 << 20 }),
        ("\"65536B\"", { $0.batch.bytes == 65_536 }),
      ],
      bad: [
        ("63KiB", "`batch.bytes` must be from 64KiB to 64MiB, not `63KiB`"),
        ("65MiB", "`batch.bytes` must be from 64KiB to 64MiB, not `65MiB`"),
        ("786432", "`batch.bytes`: `786432` has no unit; write it like 64KiB or 16MiB"),
        ("1MiB 1KiB", "`batch.bytes`: `1MiB 1KiB` is not one number with one unit; write it like 64KiB or 16MiB"),
        (
          "768kB",
          "`batch.bytes`: `768kB` has the unknown unit `kB`; the units are B, KiB, MiB, GiB, TiB; did you mean `KiB`?"
        ),
        ("9999999999TiB", "`batch.bytes`: `9999999999TiB` is too large"),
        ("[1MiB]", "`batch.bytes` must be a size from 64KiB to 64MiB, not a list"),
      ]),
    SettingCase(
      path: "batch.max_age", isDefault: { $0.batch.maxAge == .zero },
      good: [("0s", { $0.batch.maxAge == .zero }), ("1h", { $0.batch.maxAge == .seconds(3600) })],
      bad: [
        ("1h1ns", "`batch.max_age` must be from 0s to 1h, not `1h1ns`"),
        ("0", "`batch.max_age`: `0` has no unit; write it like 500ms, 10s or 1m30s"),
      ]),
    SettingCase(
      path: "reader.parallelism", isDefault: { $0.reader.parallelism == 1 },
      good: [("1", { $0.reader.parallelism == 1 }), ("64", { $0.reader.parallelism == 64 })],
      bad: [
        ("0", "`reader.parallelism` must be a whole number from 1 to 64, not `0`"),
        ("65", "`reader.parallelism` must be a whole number from 1 to 64, not `65`"),
      ]),
    SettingCase(
      path: "queue.bytes", isDefault: { $0.queue.bytes == 16 << 20 },
      good: [("64KiB", { $0.queue.bytes == 64 << 10 }), ("1TiB", { $0.queue.bytes == 1 << 40 })],
      bad: [
        ("63KiB", "`queue.bytes` must be from 64KiB to 1TiB, not `63KiB`"),
        ("2TiB", "`queue.bytes` must be from 64KiB to 1TiB, not `2TiB`"),
      ]),
    SettingCase(
      path: "queue.reserve", isDefault: { $0.queue.reserve == nil },
      good: [
        ("auto", { $0.queue.reserve == nil }), ("0B", { $0.queue.reserve == 0 }),
        ("1MiB", { $0.queue.reserve == 1 << 20 }),
      ],
      bad: [("1", "`queue.reserve`: `1` has no unit; write it like 64KiB or 16MiB")]),
    SettingCase(
      path: "queue.spill_bytes", isDefault: { $0.queue.spillBytes == 1 << 30 },
      good: [("2MiB", { $0.queue.spillBytes == 2 << 20 })],
      bad: [("1KiB", "`queue.spill_bytes` must be from 1MiB to 1024TiB, not `1KiB`")]),
    SettingCase(
      path: "queue.when_full", isDefault: { $0.queue.whenFull == .dropOldest },
      good: [
        ("block", { $0.queue.whenFull == .block }), ("drop_newest", { $0.queue.whenFull == .dropNewest }),
        ("drop_oldest", { $0.queue.whenFull == .dropOldest }),
      ],
      bad: [
        (
          "drop-newest",
          "`queue.when_full` must be one of block, drop_newest, drop_oldest, spill, not `drop-newest`; did you mean `drop_newest`?"
        )
      ]),
    SettingCase(
      path: "retry.initial", isDefault: { $0.retry.initial == .milliseconds(500) },
      good: [("1ms", { $0.retry.initial == .milliseconds(1) }), ("1h", { $0.retry.initial == .seconds(3600) })],
      bad: [("0s", "`retry.initial` must be from 1ms to 1h, not `0s`")]),
    SettingCase(
      path: "retry.max", isDefault: { $0.retry.max == .seconds(30) },
      good: [("1ms", { $0.retry.max == .milliseconds(1) }), ("1d", { $0.retry.max == .seconds(86_400) })],
      bad: [("25h", "`retry.max` must be from 1ms to 1d, not `25h`")]),
    SettingCase(
      path: "retry.give_up_after", isDefault: { $0.retry.giveUpAfter == .seconds(300) },
      good: [
        ("0s", { $0.retry.giveUpAfter == .zero }), ("7d", { $0.retry.giveUpAfter == .seconds(604_800) }),
      ],
      bad: [("8d", "`retry.give_up_after` must be from 0s to 7d, not `8d`")]),
    SettingCase(
      path: "filter.states", isDefault: { $0.filter.states == Set(StateName.allCases) },
      good: [
        ("all", { $0.filter.states.count == 11 }), ("[listen, syn_recv]", { $0.filter.states == [.listen, .synRecv] }),
        ("listen", { $0.filter.states == [.listen] }),
      ],
      bad: [
        ("[]", "`filter.states` must not be empty"),
        (
          "[TIME-WAIT]",
          "`filter.states` must be one of established, syn_sent, syn_recv, fin_wait1, fin_wait2, time_wait, close, "
            + "close_wait, last_ack, listen, closing, not `TIME-WAIT`; did you mean `time_wait`?"
        ),
      ]),
    SettingCase(
      path: "filter.interface", isDefault: { $0.filter.terms.interface.isEmpty },
      good: [
        ("eth0", { $0.filter.terms.interface == [.name("eth0")] }),
        ("[eth0.7, 3]", { $0.filter.terms.interface == [.name("eth0.7"), .index(3)] }),
      ],
      bad: [
        (
          "interface-with-16",
          "`filter.interface`: `interface-with-16` is neither the name of an interface (up to 15 characters) nor an index"
        )
      ]),
    SettingCase(
      path: "filter.mark", isDefault: { $0.filter.terms.mark.isEmpty },
      good: [
        ("16", { $0.filter.terms.mark.map(\.value) == [16] }),
        ("[0x10, 0x20/0xf0]", { $0.filter.terms.mark.map(\.mask) == [.max, 0xf0] }),
      ],
      bad: [
        ("0x1g", "`filter.mark`: `0x1g` is no mark such as 0x10 or 16, nor one with a mask such as 0x10/0xff"),
        ("0x11/0x10", "`filter.mark`: `0x11/0x10` matches nothing: it has ones where its mask has none"),
      ]),
    SettingCase(
      path: "filter.cgroup", isDefault: { $0.filter.terms.cgroup.isEmpty },
      good: [
        ("/system.slice/x.service", { $0.filter.terms.cgroup == [.path("/system.slice/x.service")] }),
        ("[/, 77]", { $0.filter.terms.cgroup == [.path("/"), .number(77)] }),
      ],
      bad: [
        (
          "system.slice",
          "`filter.cgroup`: `system.slice` is neither a path such as /system.slice/nginx.service nor a number"
        ),
        (
          "/a/../b", "`filter.cgroup`: `/a/../b` is neither a path such as /system.slice/nginx.service nor a number"
        ),
      ]),
    SettingCase(
      path: "filter.not.interface", isDefault: { $0.filter.not.terms.interface.isEmpty },
      good: [
        ("eth0", { $0.filter.not.terms.interface == [.name("eth0")] }),
        ("[eth0.7, 3]", { $0.filter.not.terms.interface == [.name("eth0.7"), .index(3)] }),
      ],
      bad: [
        (
          "interface-with-16",
          "`filter.not.interface`: `interface-with-16` is neither the name of an interface (up to 15 characters) nor an index"
        )
      ]),
    SettingCase(
      path: "filter.not.mark", isDefault: { $0.filter.not.terms.mark.isEmpty },
      good: [
        ("16", { $0.filter.not.terms.mark.map(\.value) == [16] }),
        ("[0x10, 0x20/0xf0]", { $0.filter.not.terms.mark.map(\.mask) == [.max, 0xf0] }),
      ],
      bad: [
        ("0x1g", "`filter.not.mark`: `0x1g` is no mark such as 0x10 or 16, nor one with a mask such as 0x10/0xff"),
        ("0x11/0x10", "`filter.not.mark`: `0x11/0x10` matches nothing: it has ones where its mask has none"),
      ]),
    SettingCase(
      path: "filter.not.cgroup", isDefault: { $0.filter.not.terms.cgroup.isEmpty },
      good: [
        ("/system.slice/x.service", { $0.filter.not.terms.cgroup == [.path("/system.slice/x.service")] }),
        ("[/, 77]", { $0.filter.not.terms.cgroup == [.path("/"), .number(77)] }),
      ],
      bad: [
        (
          "system.slice",
          "`filter.not.cgroup`: `system.slice` is neither a path such as /system.slice/nginx.service nor a number"
        ),
        (
          "/a/../b", "`filter.not.cgroup`: `/a/../b` is neither a path such as /system.slice/nginx.service nor a number"
        ),
      ]),
    SettingCase(
      path: "sample.every", isDefault: { $0.sampleEvery == 1 },
      good: [("1", { $0.sampleEvery == 1 }), ("1000000", { $0.sampleEvery == 1_000_000 })],
      bad: [
        ("0", "`sample.every` must be a whole number from 1 to 1000000, not `0`"),
        ("1000001", "`sample.every` must be a whole number from 1 to 1000000, not `1000001`"),
      ]),
    SettingCase(
      path: "namespaces.include", isDefault: { $0.namespaces.include == [.all] },
      good: [
        ("[host]", { $0.namespaces.include == [.host] }),
        (
          "[host, { name: \"a*\" }, { path: /run/netns/b }, { inode: 4026531840 }, { pid: 4194304 }]",
          { $0.namespaces.include.count == 5 && $0.namespaces.include.last == .pid(4_194_304) }
        ),
        (
          "[rest, { cgroup: \"/kubepods/*\" }]",
          { $0.namespaces.include == [.rest] + (Glob("/kubepods/*").map { [.cgroup($0)] } ?? []) }
        ),
      ],
      bad: [
        ("[]", "`namespaces.include` must not be empty"),
        ("host", "`namespaces.include` must be a list such as [host], not `host`"),
        (
          "[hsot]",
          "`namespaces.include` must be host, all, rest or one of {name: GLOB}, {path: GLOB}, {inode: N}, {pid: N}, "
            + "{cgroup: GLOB}, not `hsot`; did you mean `host`?"
        ),
      ]),
    SettingCase(
      path: "namespaces.exclude", isDefault: { $0.namespaces.exclude == [] },
      good: [("[]", { $0.namespaces.exclude == [] }), ("[{ inode: 1 }]", { $0.namespaces.exclude == [.inode(1)] })],
      bad: [
        ("{ name: x }", "`namespaces.exclude` must be a list, not a mapping"),
        ("", "`namespaces.exclude` has no value; give it a list or remove the key"),
      ]),
  ]

  @Test func casesCoverTheList() {
    #expect(Set(Self.cases.map(\.path)).union(["sinks"]) == Set(SettingsList.pipeline.paths))
  }

  @Test(arguments: cases) func defaults(_ setting: SettingCase<PipelineSettings>) throws {
    let pipeline = try #require(read(onePipeline("")).settings?.pipelines.first)
    #expect(setting.isDefault(pipeline))
    #expect(setting.isDefault(PipelineSettings(name: "p")))
  }

  @Test(arguments: cases) func values(_ setting: SettingCase<PipelineSettings>) throws {
    for (yaml, check) in setting.good {
      let outcome = read(onePipeline(setting.given + "\n" + setting.yaml(yaml).text))
      #expect(outcome.rendered == "")
      let pipeline = try #require(outcome.settings?.pipelines.first)
      #expect(check(pipeline), "\(yaml)")
    }
  }

  @Test(arguments: cases) func mistakes(_ setting: SettingCase<PipelineSettings>) throws {
    for (yaml, says) in setting.bad {
      let (text, column) = setting.yaml(yaml)
      let outcome = read(onePipeline(setting.given + "\n" + text))
      #expect(outcome.settings == nil)
      let diagnostic = try #require(outcome.diagnostics.first)
      #expect(outcome.diagnostics.count == 1)
      let hint = diagnostic.suggestion.map { "; did you mean `\($0)`?" } ?? ""
      #expect(diagnostic.message + hint == says)
      let line = 4 + 1 + setting.path.split(separator: ".").count
      let inner = yaml.hasPrefix("[") && !diagnostic.message.hasSuffix("a list") && yaml != "[]" ? 1 : 0
      let place = yaml.isEmpty ? 4 + column - 1 : 4 + column + inner
      #expect((diagnostic.line, diagnostic.column) == (line, place), "\(yaml): \(diagnostic.rendered)")
    }
  }

  /// A value in `defaults` reaches a pipeline that says nothing, and yields to one that does.
  @Test(arguments: cases) func inheritance(_ setting: SettingCase<PipelineSettings>) throws {
    for (yaml, check) in setting.good {
      let layer = (setting.given + "\n" + setting.yaml(yaml).text).split(separator: "\n").map { "  \($0)\n" }.joined()
      let outcome = read("version: 1\ndefaults:\n\(layer)pipelines: { p: { sinks: { o: { type: blackhole } } } }\n")
      let pipeline = try #require(outcome.settings?.pipelines.first)
      #expect(check(pipeline), "\(yaml)")
    }
  }
}

@Suite struct GlobalSettingsTests {
  static let cases: [SettingCase<GlobalSettings>] = [
    SettingCase(
      path: "hostname", isDefault: { $0.hostname == nil },
      good: [("auto", { $0.hostname == nil }), ("box7.example", { $0.hostname == "box7.example" })],
      bad: [
        ("\"\"", "`hostname` must be 1 to 255 bytes long, not 0"),
        ("7", "`hostname` must be text, and 7 is a number or boolean; write \"7\""),
      ]),
    SettingCase(
      path: "location", isDefault: { $0.location == "" }, good: [("ams1", { $0.location == "ams1" })],
      bad: [("NO", "`location` must be text, and NO is a number or boolean; write \"NO\"")]),
    SettingCase(
      path: "label", isDefault: { $0.label == "" }, good: [("edge", { $0.label == "edge" })],
      bad: [("[]", "`label` must be text, not a list")]),
    SettingCase(
      path: "tag", isDefault: { $0.tag == "" }, good: [("t", { $0.tag == "t" })],
      bad: [("{}", "`tag` must be text, not a mapping")]),
    SettingCase(
      path: "discovery.interval", isDefault: { $0.discovery.interval == .seconds(10) },
      good: [
        ("100ms", { $0.discovery.interval == .milliseconds(100) }), ("1h", { $0.discovery.interval == .seconds(3600) }),
      ],
      bad: [
        ("99ms", "`discovery.interval` must be from 100ms to 1h, not `99ms`"),
        ("2h", "`discovery.interval` must be from 100ms to 1h, not `2h`"),
      ]),
    SettingCase(
      path: "discovery.max_namespaces", isDefault: { $0.discovery.maxNamespaces == 4096 },
      good: [("1", { $0.discovery.maxNamespaces == 1 }), ("65536", { $0.discovery.maxNamespaces == 65_536 })],
      bad: [
        ("0", "`discovery.max_namespaces` must be a whole number from 1 to 65536, not `0`"),
        ("65537", "`discovery.max_namespaces` must be a whole number from 1 to 65536, not `65537`"),
      ]),
    SettingCase(
      path: "paths.proc", isDefault: { $0.paths.proc == "/proc" },
      good: [("/host/proc", { $0.paths.proc == "/host/proc" })],
      bad: [
        ("proc", "`paths.proc` must be an absolute path, not `proc`"),
        ("\"\"", "`paths.proc` must be an absolute path, not the text ``"),
        ("/" + String(repeating: "x", count: 4095), "`paths.proc` must be at most 4095 bytes long, not 4096"),
        ("\"/a\\0b\"", "`paths.proc` holds the control character U+0; remove it"),
      ]),
    SettingCase(
      path: "paths.netns", isDefault: { $0.paths.netns == ["/run/netns", "/run/docker/netns"] },
      good: [("[]", { $0.paths.netns == [] }), ("[/a, /b]", { $0.paths.netns == ["/a", "/b"] })],
      bad: [
        ("/a", "`paths.netns` must be a list such as [/a], not `/a`"),
        ("[a]", "`paths.netns` must be an absolute path, not `a`"),
      ]),
    SettingCase(
      path: "data_dir", isDefault: { $0.dataDir == "/var/lib/xtcpd" },
      good: [("/srv/x", { $0.dataDir == "/srv/x" })],
      bad: [("srv", "`data_dir` must be an absolute path, not `srv`")]),
    SettingCase(
      path: "resources.threads", isDefault: { $0.resources.threads == nil },
      good: [
        ("auto", { $0.resources.threads == nil }), ("2", { $0.resources.threads == 2 }),
        ("4096", { $0.resources.threads == 4096 }),
      ],
      bad: [("1", "`resources.threads` must be a whole number from 2 to 4096, not `1`")]),
    SettingCase(
      path: "resources.loops", isDefault: { $0.resources.loops == nil },
      good: [("auto", { $0.resources.loops == nil }), ("1024", { $0.resources.loops == 1024 })],
      bad: [("0", "`resources.loops` must be a whole number from 1 to 1024, not `0`")]),
    SettingCase(
      path: "resources.cpus", isDefault: { $0.resources.cpus == [] },
      good: [
        ("\"\"", { $0.resources.cpus == [] }), ("\"0-2,8\"", { $0.resources.cpus == [0, 1, 2, 8] }),
        ("3", { $0.resources.cpus == [3] }),
      ],
      bad: [
        ("2-1", "`resources.cpus` must be a list of CPUs such as \"0-3,8\", not `2-1`"),
        ("x", "`resources.cpus` must be a list of CPUs such as \"0-3,8\", not `x`"),
      ]),
    SettingCase(
      path: "resources.library_threads", isDefault: { $0.resources.libraryThreads == 64 },
      good: [("0", { $0.resources.libraryThreads == 0 }), ("4096", { $0.resources.libraryThreads == 4096 })],
      bad: [("4097", "`resources.library_threads` must be a whole number from 0 to 4096, not `4097`")]),
    SettingCase(
      path: "resources.memory", isDefault: { $0.resources.memory == 256 << 20 },
      good: [("16MiB", { $0.resources.memory == 16 << 20 }), ("1TiB", { $0.resources.memory == 1 << 40 })],
      bad: [("15MiB", "`resources.memory` must be from 16MiB to 1TiB, not `15MiB`")]),
    SettingCase(
      path: "paths.cgroup", isDefault: { $0.paths.cgroup == "/sys/fs/cgroup" },
      good: [("/host/cgroup", { $0.paths.cgroup == "/host/cgroup" })],
      bad: [("cgroup", "`paths.cgroup` must be an absolute path, not `cgroup`")]),
    SettingCase(
      path: "reload.watch", isDefault: { !$0.reload.watch }, good: [("true", { $0.reload.watch })],
      bad: [("on", "`reload.watch` must be true or false, not `on`; did you mean `true`?")]),
    SettingCase(
      path: "reload.settle", isDefault: { $0.reload.settle == .milliseconds(500) },
      good: [("0s", { $0.reload.settle == .zero }), ("1m", { $0.reload.settle == .seconds(60) })],
      bad: [("61s", "`reload.settle` must be from 0s to 1m, not `61s`")]),
    SettingCase(
      path: "reload.drain_timeout", isDefault: { $0.reload.drainTimeout == .seconds(5) },
      good: [("0s", { $0.reload.drainTimeout == .zero }), ("10m", { $0.reload.drainTimeout == .seconds(600) })],
      bad: [("11m", "`reload.drain_timeout` must be from 0s to 10m, not `11m`")]),
    SettingCase(
      path: "reload.boot_fallback", isDefault: { $0.reload.bootFallback == BootFallback.none },
      good: [("last_good", { $0.reload.bootFallback == .lastGood })],
      bad: [
        ("last", "`reload.boot_fallback` must be one of none, last_good, not `last`; did you mean `last_good`?")
      ]),
    SettingCase(
      path: "control.socket", isDefault: { $0.control.socket == "/run/xtcpd/control.sock" },
      good: [("none", { $0.control.socket == nil }), ("/run/x", { $0.control.socket == "/run/x" })],
      bad: [("x.sock", "`control.socket` must be an absolute path, not `x.sock`")]),
    SettingCase(
      path: "control.group", isDefault: { $0.control.group == "root" },
      good: [("adm", { $0.control.group == "adm" })],
      bad: [("\"\"", "`control.group` must be 1 to 64 bytes long, not 0")]),
    SettingCase(
      path: "control.mode", isDefault: { $0.control.mode == 0o660 },
      good: [("\"0600\"", { $0.control.mode == 0o600 })],
      bad: [
        (
          "0660",
          "`control.mode` must be quoted: 0660 could be read as octal rw-rw---- or decimal -w--w-r--; "
            + "write \"0660\" or \"0224\""
        )
      ]),
    SettingCase(
      path: "metrics.listen", isDefault: { $0.metrics.listen == ListenAddress(host: "127.0.0.1", port: 9088) },
      good: [
        ("none", { $0.metrics.listen == nil }),
        ("\"[::1]:9088\"", { $0.metrics.listen == ListenAddress(host: "::1", port: 9088) }),
      ],
      bad: [
        (
          "localhost:9088",
          "`metrics.listen` must be an address and port such as 127.0.0.1:9088 or [::1]:9088, not `localhost:9088`"
        )
      ]),
    SettingCase(
      path: "log.level", isDefault: { $0.log.level == .info },
      good: [("trace", { $0.log.level == .trace }), ("error", { $0.log.level == .error })],
      bad: [
        (
          "warn",
          "`log.level` must be one of trace, debug, info, notice, warning, error, not `warn`; did you mean `warning`?"
        )
      ]),
    SettingCase(
      path: "log.format", isDefault: { $0.log.format == .text }, good: [("json", { $0.log.format == .json })],
      bad: [("JSON", "`log.format` must be one of text, json, not `JSON`; did you mean `json`?")]),
  ]

  private func text(_ setting: SettingCase<GlobalSettings>, _ yaml: String) -> String {
    let layer = setting.yaml(yaml).text.split(separator: "\n").map { "  \($0)\n" }.joined()
    return "version: 1\nglobal:\n\(layer)pipelines: { p: { sinks: { o: { type: blackhole } } } }\n"
  }

  @Test func casesCoverTheList() {
    #expect(Set(Self.cases.map(\.path)) == Set(SettingsList.global.paths))
  }

  @Test(arguments: cases) func defaults(_ setting: SettingCase<GlobalSettings>) throws {
    let settings = try #require(read(onePipeline("")).settings)
    #expect(setting.isDefault(settings.global))
    #expect(setting.isDefault(GlobalSettings()))
  }

  @Test(arguments: cases) func values(_ setting: SettingCase<GlobalSettings>) throws {
    for (yaml, check) in setting.good {
      let outcome = read(text(setting, yaml))
      #expect(outcome.rendered == "")
      #expect(check(try #require(outcome.settings).global), "\(yaml)")
    }
  }

  @Test(arguments: cases) func mistakes(_ setting: SettingCase<GlobalSettings>) throws {
    for (yaml, says) in setting.bad {
      let outcome = read(text(setting, yaml))
      #expect(outcome.settings == nil)
      let inner = yaml == "[a]" ? 1 : 0
      let line = 2 + setting.path.split(separator: ".").count
      let column = 2 + setting.yaml(yaml).column + inner
      #expect(outcome.diagnostics.map(summary) == ["\(line):\(column): error: \(says)"])
    }
  }

  @Test func labelAndTagReachPipelinesThatSetNone() throws {
    let text = """
      version: 1
      global: { label: g, tag: g }
      defaults: { tag: d }
      pipelines:
        a: { sinks: { o: { type: blackhole } } }
        b: { sinks: { o: { type: blackhole } }, label: b, tag: "" }
      """
    let pipelines = try #require(read(text).settings).pipelines
    #expect(pipelines.map(\.label) == ["g", "b"])
    #expect(pipelines.map(\.tag) == ["d", ""])
  }
}
