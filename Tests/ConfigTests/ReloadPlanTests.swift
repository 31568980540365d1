import Testing

@testable import Config

/// What a reload would do, from two configurations; nothing runs.
@Suite struct ReloadPlanTests {
  static let machine = HostCapacity(cores: 2, openFiles: 1024)

  static func plan(
    _ old: Settings, _ new: Settings, loops: [String: Int]? = nil, on capacity: HostCapacity = machine
  ) -> ReloadPlan {
    ReloadPlan.make(from: old, to: new, loops: loops, on: capacity, plainModel)
  }

  /// From three pipelines to what `edit` makes of them.
  static func edited(_ edit: (inout Settings) -> Void, from first: (inout Settings) -> Void = { _ in }) -> ReloadPlan {
    let old = Settings.of(["a", "b", "c"], first)
    var new = old
    edit(&new)
    return plan(old, new)
  }

  @Test func nothing() {
    let plan = Self.edited { _ in }
    #expect(plan.isEmpty && !plan.isRefused)
    #expect(plan.rendered == "a: keep\nb: keep\nc: keep\n")
    #expect(plan.summary == "nothing changes")
    #expect(Self.edited { $0.pipelines.reverse() }.isEmpty)
  }

  @Test func eachKind() {
    let plan = Self.edited {
      $0["a"].interval = .seconds(5)
      $0["b"].pools.batches = 8
      $0["b"].label = "x"
      $0["b"].sinks[0].kind = .file(FileSinkSettings(path: "/secret"))
      $0.pipelines.removeLast()
      $0.pipelines.append(Settings.of(["d"]).pipelines[0])
      $0.global.log.level = .debug
      $0.global.control.mode = 0o600
    }
    #expect(
      plan.lines == [
        "a: adjust live (interval 10s -> 5s)",
        "b: rebuild (label, pools.batches 4 -> 8, sinks.out.type blackhole -> file)", "d: add", "c: remove",
        "global.control.mode: rebind", "global.log.level: apply info -> debug",
      ])
    #expect(plan.summary == "1 adjust, 1 rebuild, 1 add, 1 remove, 2 of the process")
    #expect(plan.steps.map(\.keys) == [["interval"], ["label", "pools.batches", "sinks.out.type"], [], []])
    #expect(!plan.isEmpty)
  }

  // MARK: Sinks

  @Test func sinksComeAndGo() {
    let added = Self.edited { $0["a"].sinks.append(SinkSettings(name: "more.of", kind: .blackhole)) }
    #expect(added.steps[0].text == "a: rebuild (sinks.more.of absent -> added)")
    let removed = Self.edited(
      { $0["a"].sinks.removeFirst() },
      from: { $0["a"].sinks.append(SinkSettings(name: "second", kind: .stderr)) })
    #expect(removed.steps[0].text == "a: rebuild (sinks.out present -> removed)")
    let swapped = Self.edited(
      { $0["a"].sinks.reverse() }, from: { $0["a"].sinks.append(SinkSettings(name: "second", kind: .stderr)) })
    #expect(swapped.isEmpty)
  }

  /// Every setting of every type of sink.
  @Test func everySettingOfASink() throws {
    let values: [String: String] = [
      "enabled": "false", "format": "csv", "columns": "[netns]", "healthcheck": "none", "path": "/g",
      "mode": "\"0600\"", "rotate.bytes": "1GiB", "rotate.age": "1d", "rotate.keep": "7", "compression": "zstd",
      "fsync": "batch", "address": "localhost:9000", "max_datagram": "1KiB", "connect_timeout": "3s",
      "url": "https://host/rows", "method": "PUT", "headers": "{ X-A: b }", "username": "u", "bearer_token": "t",
      "batch_header": "none", "stall_timeout": "7s", "database": "d", "table": "t", "format_schema": "a:B",
      "settings": "{ async_insert: \"0\" }", "endpoint": "http://host:9000", "region": "eu-central-1",
      "bucket": "bucket", "prefix": "\"{pipeline}/\"", "path_style": "true", "access_key": "k", "secret_key": "s",
      "session_token": "t",
      "send_timeout": "3s", "queue.bytes": "1MiB", "queue.reserve": "64KiB", "queue.when_full": "drop_newest",
      "queue.spill_bytes": "2GiB", "retry.initial": "1s", "retry.max": "10s", "retry.give_up_after": "1m",
      "brokers": "[k:9092]", "topic": "t", "key": "cookie", "max_message_bytes": "32KiB", "timeout": "7s",
      "linger": "1s", "sasl.mechanism": "plain", "sasl.username": "u", "sasl.password": "p", "tls.enabled": "true",
      "tls.ca_file": "/c", "tls.cert_file": "/c", "tls.key_file": "/k", "tls.server_name": "n", "tls.verify": "false",
      "servers": "[n:4222]", "subject": "s", "jetstream": "true", "user": "u", "password": "p", "token": "t",
      "credentials_file": "/c", "command": "publish", "max_length": "7", "each_row": "true", "secret": "s",
      "valkey.database": "7", "batch.bytes": "1MiB", "batch.rows": "7", "batch.max_age": "7s",
    ]
    for type in SinkType.all {
      for setting in type.table.settings {
        let path = setting.description.path
        let text = values["\(type.name).\(path)"] ?? values[path]
        let value = try #require(text.flatMap(Node.init(builtIn:)), "\(path): give it a value here")
        var (before, after) = (SinkSettings(name: "s", kind: type.blank), SinkSettings(name: "s", kind: type.blank))
        type.table.readDefaults(into: &before)
        type.table.readDefaults(into: &after)
        var reading = Reading(problems: Problems(), vocabulary: vocabulary)
        setting.apply(value, &after, &reading)
        #expect(reading.problems.diagnostics.isEmpty)
        #expect(after.changes(from: before).map(\.path) == [path])
        #expect(after.changes(from: before).map(\.reload) == [setting.description.reload])
        #expect(after.changes(from: after).isEmpty)
      }
    }
  }

  // MARK: Every setting

  /// A value of each setting of a pipeline that is not its default, with what it needs beside.
  static let pipelineValues: [String: String] = [
    "enabled": "false", "interval": "7s", "timeout": "1s", "align": "none", "label": "x", "tag": "x",
    "attributes": "[info]", "reader.mode": "syscall", "reader.parallelism": "2", "reader.recv_batch": "4",
    "reader.cqe_batch": "64", "reader.full_walk_every": "2", "reader.shortcuts": "[empty]",
    "pools.receive_buffers": "32", "pools.batches": "5", "pools.known_sockets": "0", "batch.rows": "10",
    "batch.bytes": "1MiB", "batch.max_age": "1s", "queue.bytes": "1MiB", "queue.reserve": "64KiB",
    "queue.when_full": "drop_newest", "queue.spill_bytes": "2GiB", "retry.initial": "1s",
    "retry.max": "10s", "retry.give_up_after": "1m",
    "filter.states": "[listen]", "filter.source": "[10.0.0.0/8]", "filter.destination": "[10.0.0.0/8]",
    "filter.source_port": "[443]", "filter.destination_port": "[443]", "filter.interface": "[eth0]",
    "filter.mark": "[1]", "filter.cgroup": "[/a]", "filter.not.interface": "[eth0]", "filter.not.mark": "[1]",
    "filter.not.cgroup": "[/a]", "filter.not.states": "[listen]",
    "filter.not.source": "[10.0.0.0/8]", "filter.not.destination": "[10.0.0.0/8]", "filter.not.source_port": "[443]",
    "filter.not.destination_port": "[443]", "sample.every": "2", "namespaces.include": "[host]",
    "namespaces.exclude": "[host]",
    "sinks": "{ o: { type: blackhole, format: csv } }",
  ]

  /// A value of each global setting that is not its default, and what becomes of the pipelines and of the process.
  static let globalValues:
    [String: (value: String, action: ReloadPlan.Action, effect: ReloadPlan.ProcessStep.Effect?)] =
      [
        "hostname": ("box", .adjust, nil), "location": ("ams1", .adjust, nil), "label": ("x", .adjust, nil),
        "tag": ("x", .adjust, nil), "data_dir": ("/d", .keep, .apply), "resources.threads": ("8", .keep, .readmit),
        "resources.loops": ("1", .keep, .readmit), "resources.cpus": ("\"0\"", .keep, .readmit),
        "resources.library_threads": ("8", .keep, .readmit), "resources.memory": ("1GiB", .keep, .readmit),
        "discovery.interval": ("5s", .keep, .apply), "discovery.max_namespaces": ("8", .keep, .apply),
        "paths.proc": ("/p", .keep, .apply), "paths.netns": ("[]", .keep, .apply),
        "paths.cgroup": ("/c", .keep, .apply), "reload.watch": ("true", .keep, .apply),
        "reload.settle": ("1s", .keep, .apply), "reload.drain_timeout": ("1s", .keep, .apply),
        "reload.boot_fallback": ("last_good", .keep, .apply), "control.socket": ("none", .keep, .rebind),
        "control.group": ("adm", .keep, .rebind), "control.mode": ("\"0600\"", .keep, .rebind),
        "metrics.listen": ("none", .keep, .rebind), "log.level": ("debug", .keep, .apply),
        "log.format": ("json", .keep, .apply),
      ]

  @Test func theTablesAreComplete() {
    #expect(Set(Self.pipelineValues.keys) == Set(SettingsList.pipeline.paths))
    #expect(Set(Self.globalValues.keys) == Set(SettingsList.global.paths))
  }

  private static func changed<Root>(_ setting: Setting<Root>, _ root: inout Root, _ value: String) throws {
    var reading = Reading(problems: Problems(), vocabulary: vocabulary)
    setting.apply(try #require(Node(builtIn: value)), &root, &reading)
    #expect(reading.problems.diagnostics.map(\.message) == [])
  }

  /// Changing one setting of one pipeline does what its reload class promises, to that pipeline alone.
  @Test(arguments: pipelineValues.keys.sorted()) func aSettingOfAPipeline(_ path: String) throws {
    let setting = try #require(SettingsList.pipeline.settings.first { $0.description.path == path })
    let old = Settings.of(["a", "b"])
    var new = old
    try Self.changed(setting, &new.pipelines[0], try #require(Self.pipelineValues[path]))
    #expect(!setting.isEqual(old.pipelines[0], new.pipelines[0]))
    let plan = Self.plan(old, new)
    let step = plan.steps[0]
    #expect(plan.steps[1].action == .keep && plan.process.isEmpty)
    #expect(step.action == (setting.description.reload == .live ? .adjust : .rebuild), "\(step.text)")
    #expect(step.keys == (path == "sinks" ? ["sinks.o", "sinks.out"] : [path]))
  }

  /// Changing one global setting does what its reload class promises.
  @Test(arguments: globalValues.keys.sorted()) func aGlobalSetting(_ path: String) throws {
    let setting = try #require(SettingsList.global.settings.first { $0.description.path == path })
    let (value, action, effect) = try #require(Self.globalValues[path])
    let old = Settings.of(["a"])
    var new = old
    try Self.changed(setting, &new.global, value)
    // What reading does: pipelines that set none of their own take these over.
    if path == "label" { new.pipelines[0].label = value }
    if path == "tag" { new.pipelines[0].tag = value }
    let plan = Self.plan(old, new, on: HostCapacity(cores: 1, openFiles: 1024))
    #expect(plan.steps.map(\.action) == [action])
    #expect(plan.process.map(\.effect) == (effect.map { [$0] } ?? []))
    #expect(plan.process.map(\.change.path) == (effect == nil ? [] : ["global.\(path)"]))
    #expect((effect == .apply || effect == nil) == (setting.description.reload == .live))
  }

  @Test func theHostsNameReachesEveryPipeline() {
    let plan = Self.edited {
      $0.global.hostname = "box"
      $0["b"].interval = .seconds(2)
    }
    #expect(
      plan.lines == [
        "a: adjust live (global.hostname)", "b: adjust live (interval 10s -> 2s, global.hostname)",
        "c: adjust live (global.hostname)",
      ])
  }

  /// Whatever may carry a secret is named, not shown.
  @Test func textsAndPathsAreNotShown() {
    let plan = Self.edited(
      {
        $0["a"].tag = "s3cret"
        $0["b"].sinks[0].kind = .file(FileSinkSettings(path: "/s3cret"))
        $0.global.location = "s3cret"
        $0.global.control.socket = "/s3cret"
        $0.global.dataDir = "/s3cret"
      }, from: { $0["b"].sinks[0].kind = .file(FileSinkSettings(path: "/other-s3cret")) })
    #expect(plan.steps[1].keys == ["sinks.out.path", "global.location"])
    #expect(!plan.rendered.contains("s3cret") && !plan.json.contains("s3cret"))
  }

  @Test func json() {
    let plan = Self.edited {
      $0["a"].interval = .seconds(5)
      $0.global.log.level = .debug
    }
    #expect(
      plan.json.hasPrefix(
        #"{"empty":false,"refused":false,"steps":[{"pipeline":"a","action":"adjust","changes":[{"key":"interval","#
          + #""class":"live","old":"10s","new":"5s"}],"loop_before":0,"loop_after":0},"#))
    #expect(
      plan.json.contains(
        #""process":[{"key":"global.log.level","class":"live","old":"info","new":"debug","effect":"apply"}]"#))
    #expect(!plan.json.contains("\n"))
  }
}

/// Which pipelines find room beside those they replace.
@Suite struct ReloadBudgetTests {
  private static func plan(
    _ old: Settings, _ edit: (inout Settings) -> Void, loops: [String: Int]? = nil,
    on capacity: HostCapacity = ReloadPlanTests.machine
  ) -> ReloadPlan {
    var new = old
    edit(&new)
    return ReloadPlanTests.plan(old, new, loops: loops, on: capacity)
  }

  /// Pools of 40 MiB, which become 44 MiB: both fit 256 MiB, not 64 MiB.
  @Test func memoryDecidesBetweenBesideAndInPlace() {
    func old(_ memory: Int) -> Settings {
      .of(["a", "b"]) {
        $0.giveQueues()
        $0["a"].batch.bytes = 4 << 20
        $0["a"].pools.batches = 10
        $0.global.resources.memory = memory
      }
    }
    let beside = Self.plan(old(256 << 20)) { $0["a"].pools.batches = 11 }
    #expect(beside.steps.map(\.text) == ["a: rebuild (pools.batches 10 -> 11)", "b: keep"])
    let inPlace = Self.plan(old(64 << 20)) { $0["a"].pools.batches = 11 }
    #expect(
      inPlace.steps.map(\.text) == [
        "a: rebuild in place: gap <= 1 interval (pools.batches 10 -> 11; memory: both need 96.5MiB, budget 64MiB)",
        "b: keep",
      ])
    let refused = Self.plan(old(64 << 20)) { $0["a"].pools.batches = 30 }
    #expect(refused.isRefused)
    #expect(
      refused.lines.first?.hasPrefix("refused: memory: budget 64MiB, asked 132.5MiB = 123MiB pools (a 120MiB") == true)
    #expect(refused.summary == refused.admission.refusals.joined(separator: "; "))
  }

  /// What is left is given in the order of the configuration.
  @Test func theFirstOnesAreMadeBeside() {
    let old = Settings.of(["a", "b", "c"]) {
      $0.giveQueues()
      for name in ["a", "b", "c"] { $0[name].batch.bytes = 2 << 20 }
      $0.global.resources.memory = 50 << 20
    }
    let plan = Self.plan(old) { for name in ["a", "b", "c"] { $0[name].pools.receiveBuffers = 20 } }
    #expect(plan.steps.map(\.action) == [.rebuild, .rebuildInPlace, .rebuildInPlace])
    #expect(plan.admission.memory.total == 36 << 20)
  }

  @Test func whatGoesEndsFirstIfNeedBe() {
    let old = Settings.of(["a"]) {
      $0.giveQueues()
      $0["a"].batch.bytes = 4 << 20
      $0.global.resources.memory = 32 << 20
    }
    let plan = Self.plan(old) {
      $0.pipelines = Settings.of(["b"]).pipelines
      $0.giveQueues()
      $0["b"].batch.bytes = 4 << 20
    }
    #expect(
      plan.steps.map(\.text) == [
        "b: add", "a: remove (ends before others are made; memory: both need 40MiB, budget 32MiB)",
      ])
    #expect(plan.steps.map(\.endsFirst) == [false, true])
  }

  /// A reader more, on a budget that both pipelines' readers do not fit.
  @Test func threadsDecideToo() {
    func old(_ threads: Int?) -> Settings {
      .of(["a"]) {
        $0["a"].reader.parallelism = 3
        $0.global.resources.threads = threads
      }
    }
    let tight = Self.plan(old(5)) { $0["a"].reader.parallelism = 4 }
    #expect(tight.steps[0].action == .rebuildInPlace)
    #expect(tight.steps[0].note == "threads: both need 7, budget 5")
    #expect(Self.plan(old(nil)) { $0["a"].reader.parallelism = 4 }.steps[0].action == .rebuild)
    #expect(Self.plan(old(5)) { $0["a"].reader.parallelism = 5 }.isRefused)
  }

  @Test func descriptorsDecideToo() {
    let plan = Self.plan(
      .of(["a"]), { $0["a"].pools.batches = 5 }, on: HostCapacity(cores: 1, openFiles: 70))
    #expect(plan.steps[0].note == "descriptors: both need 75, limit 70")
  }

  @Test func aLoopLessMovesItsPipelines() {
    let old = Settings.of(["a", "b", "c", "d"]) { $0.global.resources.threads = 3 }
    let plan = Self.plan(old) { $0.global.resources.threads = 2 }
    #expect(
      plan.lines == [
        "a: keep",
        "b: rebuild in place: gap <= 1 interval (global.resources.threads 3 -> 2; moves from loop1 to loop0; "
          + "threads: both need 3, budget 2)",
        "c: keep",
        "d: rebuild in place: gap <= 1 interval (global.resources.threads 3 -> 2; moves from loop1 to loop0; "
          + "threads: both need 3, budget 2)",
        "global.resources.threads: readmit 3 -> 2",
      ])
  }

  /// Who raises the budget wants it used, and accepts that pipelines move for it.
  @Test func aLoopMoreIsUsed() {
    let old = Settings.of(["a", "b", "c", "d"]) { $0.global.resources.threads = 2 }
    let plan = Self.plan(old) { $0.global.resources.threads = 3 }
    #expect(plan.steps.map(\.action) == [.keep, .keep, .rebuild, .rebuild])
    #expect(plan.admission.loops.map(\.pipelines) == [["a", "b"], ["c", "d"]])
  }

  /// One of ten changes, another comes: the nine others stay on their loops, wherever those are.
  @Test func nobodyElseIsTouched() {
    let names = (0..<10).map { "p\($0)" }
    let loops = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0 < 7 ? 3 : 1) })
    let plan = Self.plan(
      .of(names),
      {
        $0["p4"].sinks[0].format = .csv
        $0.pipelines.append(Settings.of(["new"]).pipelines[0])
      }, loops: loops)
    #expect(plan.steps.filter { $0.action == .keep }.count == 9)
    #expect(plan.steps.allSatisfy { $0.pipeline == "new" || $0.loopAfter == $0.loopBefore })
    #expect(plan.steps.last?.action == .add && plan.steps.last?.loopAfter == 1)
  }
}
