import Testing

@testable import Config

/// Round numbers in place of those of the pools: 1 MiB and 10 descriptors a pipeline, 64 KiB of ring.
let plainModel = DemandModel(processDescriptors: 50, loopDescriptors: 5) { pipeline, mayUseRing in
  PipelineFootprint(
    pools: pipeline.pools.batches * pipeline.batch.bytes, lockedMemory: mayUseRing ? 64 << 10 : 0,
    descriptors: 2 + pipeline.reader.recvBatch)
}

extension Settings {
  /// A configuration of pipelines with one blackhole each, changed by `edit`.
  static func of(_ names: [String], _ edit: (inout Settings) -> Void = { _ in }) -> Settings {
    var settings = Settings(
      global: GlobalSettings(),
      pipelines: names.map { name in
        var pipeline = PipelineSettings(name: name)
        pipeline.sinks = [SinkSettings(name: "out", kind: .blackhole)]
        return pipeline
      })
    edit(&settings)
    return settings
  }

  /// Gives every pipeline a sink for which rows may have to wait, in place of its blackhole.
  mutating func giveQueues() {
    for index in pipelines.indices { pipelines[index].sinks = [SinkSettings(name: "out", kind: .stdout)] }
  }

  subscript(name: String) -> PipelineSettings {
    get { pipelines.first { $0.name == name } ?? PipelineSettings(name: name) }
    set { if let index = pipelines.firstIndex(where: { $0.name == name }) { pipelines[index] = newValue } }
  }
}

extension PipelineSettings {
  /// Gives it a sink that writes a file.
  mutating func writeFile() { sinks.append(SinkSettings(name: "file", kind: .file(FileSinkSettings(path: "/f")))) }
}

@Suite struct AdmissionTests {
  static let machine = HostCapacity(cores: 4, openFiles: 1024)

  static func admit(_ settings: Settings, on capacity: HostCapacity = machine) -> AdmissionResult {
    Admission(settings, on: capacity, plainModel).admit()
  }

  static let twenty = (1...20).map { "p\($0)" }

  // MARK: Threads

  /// Pipelines, those with a file, `threads`, `loops`, cores; then loops, file workers, and whether it fits.
  @Test(
    arguments: [
      (20, 3, 3, nil, 4, 1, 1, true), (20, 0, 3, nil, 4, 2, 0, true), (20, 20, 3, nil, 4, 1, 1, true),
      (20, 3, 2, nil, 4, 1, 1, false), (20, 0, 2, nil, 4, 1, 0, true),
      (20, 3, 4, nil, 4, 2, 1, true), (20, 3, 5, nil, 4, 3, 1, true), (20, 3, 6, nil, 4, 4, 1, true),
      (20, 3, 8, nil, 4, 4, 3, true), (20, 3, 9, nil, 4, 4, 3, true), (20, 0, nil, nil, 4, 4, 0, true),
      (20, 20, nil, nil, 4, 4, 4, true), (20, 2, nil, nil, 4, 4, 2, true), (2, 1, nil, nil, 16, 2, 1, true),
      (1, 1, nil, nil, 1, 1, 1, true), (20, 1, nil, 2, 16, 2, 1, true), (20, 1, 4, 2, 1, 2, 1, true),
      (20, 1, 3, 2, 4, 2, 1, false), (3, 0, nil, 8, 2, 3, 0, true), (2, 2, 4, nil, 4, 1, 1, true),
      (2, 2, 5, nil, 4, 2, 2, true), (2, 2, 4, 2, 4, 2, 2, false),
    ] as [(Int, Int, Int?, Int?, Int, Int, Int, Bool)])
  func loops(
    _ pipelines: Int, _ writers: Int, _ threads: Int?, _ asked: Int?, _ cores: Int, _ loops: Int, _ workers: Int,
    _ fits: Bool
  ) {
    let settings = Settings.of((0..<pipelines).map { "p\($0)" }) { settings in
      for index in 0..<writers { settings.pipelines[pipelines - 1 - index].writeFile() }
      settings.global.resources.threads = threads
      settings.global.resources.loops = asked
    }
    let result = Self.admit(settings, on: HostCapacity(cores: cores, openFiles: 10_000))
    #expect((result.threads.loops, result.threads.fileWorkers) == (loops, workers))
    #expect(result.isRefused == !fits)
    #expect(result.threads.total == 1 + loops + workers)
    guard fits else { return }
    #expect(result.loops.map(\.number) == Array(0..<loops))
    #expect(result.loops.flatMap(\.pipelines).count == pipelines)
    #expect(result.loops.count { $0.fileWorkers == 1 } == workers)
    #expect(result.threads.total <= threads ?? .max)
  }

  @Test func loopsAreEvenlyLoaded() {
    let result = Self.admit(.of(Self.twenty))
    #expect(result.loops.map(\.pipelines.count) == [5, 5, 5, 5])
    let files = Self.admit(
      .of(Self.twenty) { settings in
        for name in ["p18", "p19", "p20"] { settings[name].writeFile() }
        settings.global.resources.threads = 4
      })
    #expect(files.loops.map(\.pipelines.count) == [10, 10])
    #expect(files.loops.map(\.fileWorkers) == [1, 0])
  }

  @Test func theExampleOfTheContract() {
    let settings = Settings.of(["host", "web"]) {
      $0["host"].reader.mode = .syscall
      $0["web"].reader.mode = .ioUring
      $0["web"].reader.parallelism = 2
      $0["web"].pools.receiveBuffers = 64
    }
    let result = Self.admit(settings)
    #expect(!result.isRefused && result.findings.isEmpty)
    #expect(result.arithmetic[0] == "threads: 4 = 1 main + 2 loops + 1 reader (web)")
    #expect(result.threads.byKind.map(\.count) == [1, 2, 0, 1, 0, 0])
  }

  @Test func aLoopKeepsTheWorkersThatItHad() {
    var settings = Settings.of(["a", "b"])
    settings.global.resources.threads = 3
    func admit(_ settings: Settings) -> AdmissionResult {
      Admission(settings, on: Self.machine, plainModel).admit(
        present: ["a": 0, "b": 0], workers: [0: LoopWorkers(file: true), 7: LoopWorkers(file: true)])
    }
    #expect(admit(settings).loops.map(\.pipelines) == [["a", "b"]], "no room for a second loop beside the worker")
    #expect(
      admit(settings).arithmetic[0]
        == "threads: 3 = 1 main + 1 loop + 1 idle worker that the kernel keeps until the loop ends, budget 3")
    settings.global.resources.threads = 2
    #expect(admit(settings).isRefused)
    settings["a"].writeFile()
    settings.global.resources.threads = 3
    #expect(
      admit(settings).arithmetic[0] == "threads: 3 = 1 main + 1 loop + 1 file worker, budget 3", "it is used again")
  }

  @Test func tooManyThreads() {
    let settings = Settings.of(["host", "web"]) {
      $0["web"].reader.parallelism = 2
      $0["host"].writeFile()
      $0.global.resources.threads = 3
      $0.global.resources.loops = 2
    }
    #expect(
      Self.admit(settings).refusals == [
        "threads: budget 3, asked 5 = 1 main + 2 loops + 1 file worker + 1 reader (web); set `resources.threads` to 5 or "
          + "more, or to auto, or lower `resources.loops`"
      ])
  }

  @Test func everyReaderIsNamed() {
    let settings = Settings.of(["a", "b", "c"]) {
      $0["a"].reader.parallelism = 2
      $0["c"].reader.parallelism = 4
      $0.global.resources.threads = 5
    }
    #expect(
      Self.admit(settings).refusals == [
        "threads: budget 5, asked 6 = 1 main + 1 loop + 4 readers (c 3, a 1); set `resources.threads` to 6 or more, or to "
          + "auto"
      ])
  }

  @Test func moreThreadsThanCanBeUsed() {
    let settings = Settings.of(["a"]) { $0.global.resources.threads = 16 }
    #expect(
      Self.admit(settings).findings == [
        AdmissionFinding(
          severity: .warning, key: "global.resources.threads",
          message: "threads: budget 16, of which 2 can be used at most; 2 are: 1 main + 1 loop")
      ])
  }

  @Test func cpusLimitLoops() {
    let settings = Settings.of(Self.twenty) { $0.global.resources.cpus = [0, 3] }
    #expect(Self.admit(settings).threads.loops == 2)
    #expect(Self.admit(settings, on: HostCapacity(cores: 1, openFiles: 1024)).threads.loops == 1)
  }

  /// Plain calls write files themselves; readers are threads of our own.
  @Test func withoutARingThereAreNoFileWorkers() {
    let settings = Settings.of(["a", "b"]) {
      $0["a"].writeFile()
      $0["b"].reader.parallelism = 3
    }
    let result = Self.admit(settings, on: HostCapacity(cores: 1, openFiles: 1024, ioUring: false))
    #expect(result.threads.total == 4 && result.findings.isEmpty)
    #expect(Self.admit(settings, on: HostCapacity(cores: 1, openFiles: 1024)).threads.total == 5)
  }

  // MARK: Memory, descriptors, locked memory

  /// The reserve of `web`, two batches, is cut to its queue of 16 MiB.
  @Test func tooMuchMemory() {
    let settings = Settings.of(["host", "web"]) {
      $0.global.resources.memory = 64 << 20
      $0["web"].batch.bytes = 10 << 20
      $0["host"].batch.bytes = 5 << 20
      $0.giveQueues()
    }
    let result = Self.admit(settings)
    #expect(
      result.refusals == [
        "memory: budget 64MiB, asked 86MiB = 60MiB pools (web 40MiB, host 20MiB) + 26MiB queue reserves; raise "
          + "`resources.memory`, or lower `pools`, `batch.bytes` or `queue.reserve`"
      ])
    #expect(result.findings.map(\.key) == ["global.resources.memory"])
    #expect(result.memory == MemoryGrant(budget: 64 << 20, pools: 60 << 20, queueReserve: 26 << 20))
  }

  @Test func whatIsLeftIsShared() {
    let result = Self.admit(.of(["a"]) { $0.giveQueues() })
    #expect(result.memory == MemoryGrant(budget: 256 << 20, pools: 3 << 20, queueReserve: 3 << 19))
    #expect(result.memory.shared == (256 << 20) - (9 << 19))
    #expect(
      result.arithmetic[2]
        == "memory: 4.5MiB = 3MiB pools (a 3MiB) + 1.5MiB queue reserves, budget 256MiB; 251.5MiB are shared by queues")
  }

  /// Reserve, bytes, of a queue with batches of 100 KiB; then what is set aside.
  @Test(
    arguments: [
      (nil, 16 << 20, 256 << 10), (nil, 100 << 10, 128 << 10), (1, 16 << 20, 64 << 10), (0, 16 << 20, 0),
      (1 << 20, 16 << 20, 1 << 20), (1 << 20, 512 << 10, 512 << 10),
    ] as [(Int?, Int, Int)])
  func queueReserve(_ reserve: Int?, _ bytes: Int, _ expected: Int) {
    var pipeline = PipelineSettings(name: "p")
    pipeline.batch.bytes = 100 << 10
    var sink = SinkSettings(name: "s", kind: .stdout)
    sink.queue.reserve = reserve
    sink.queue.bytes = bytes
    #expect(pipeline.queueReserve(of: sink) == expected)
    sink.kind = .blackhole
    #expect(pipeline.queueReserve(of: sink) == 0, "nothing waits for a blackhole")
  }

  @Test func tooManyDescriptors() {
    let settings = Settings.of(["a", "b"]) {
      $0["b"].pools.receiveBuffers = 1000
      $0["b"].reader.recvBatch = 1000
    }
    #expect(
      Self.admit(settings).findings == [
        AdmissionFinding(
          severity: .error, key: nil,
          message:
            "descriptors: limit 1024, asked 1072 = 60 process + 1012 pipelines (b 1002, a 10); raise RLIMIT_NOFILE "
            + "(LimitNOFILE= of the unit) to 1072 or more, or lower `reader.recv_batch`")
      ])
  }

  @Test func tooLittleLockedMemoryIsAWarning() {
    let capacity = HostCapacity(cores: 4, openFiles: 1024, lockedMemory: 64 << 10)
    let result = Self.admit(.of(["a", "b"]) { $0["b"].reader.mode = .syscall }, on: capacity)
    #expect(result.findings.isEmpty)
    let both = Self.admit(.of(["a", "b"]), on: capacity)
    #expect(!both.isRefused)
    #expect(
      both.findings.map(\.message) == [
        "locked memory: limit 64KiB, needed 128KiB = rings (a 64KiB, b 64KiB); raise RLIMIT_MEMLOCK (LimitMEMLOCK= of the "
          + "unit) to 128KiB or give CAP_IPC_LOCK, or pipelines go without a ring"
      ])
  }

  @Test func longListsAreCut() {
    let settings = Settings.of(Self.twenty) {
      $0.global.resources.memory = 16 << 20
      $0.giveQueues()
    }
    let shown = "p1 3MiB, p2 3MiB, p3 3MiB, p4 3MiB, p5 3MiB, p6 3MiB, p7 3MiB, p8 3MiB, 12 more 36MiB"
    #expect(Self.admit(settings).refusals.first?.contains("60MiB pools (\(shown)) + 30MiB queue reserves") == true)
  }

  @Test func everythingThatDoesNotFitIsSaidAtOnce() {
    let settings = Settings.of(Self.twenty) {
      $0.global.resources.memory = 16 << 20
      $0.global.resources.threads = 2
      $0["p1"].writeFile()
    }
    let result = Self.admit(settings, on: HostCapacity(cores: 1, openFiles: 100))
    #expect(result.refusals.map { String($0.prefix { $0 != ":" }) } == ["threads", "memory", "descriptors"])
    #expect(result.assignment.isEmpty)
  }

  // MARK: Places

  @Test func findingsPointAtTheSetting() throws {
    let text = "version: 1\nglobal:\n  resources: { threads: 2, memory: 16MiB }\n"
    let outcome = read(text + "pipelines: { p: { sinks: { o: { type: file, path: /f } } } }\n")
    let admission = Self.admit(try #require(outcome.settings), on: HostCapacity(cores: 1, openFiles: 20))
    let judged = outcome.adding(admission)
    #expect(judged.settings == nil)
    #expect(
      judged.diagnostics.map { "\($0.place.label) \($0.message.prefix { $0 != ":" })" } == [
        "x.yaml:3:25 threads", "x.yaml descriptors",
      ])
    #expect(judged.diagnostics[0].excerpt == "  resources: { threads: 2, memory: 16MiB }")
    #expect(outcome.places.keys.sorted() == ["global.resources.memory", "global.resources.threads"])
    #expect(read(onePipeline("")).places.isEmpty)
  }

  // MARK: Another machine

  @Test func anotherMachine() throws {
    let other = try Self.machine.overridden(by: "cpus=8,nofile=65536,memlock=8MiB,io_uring=no")
    #expect(other == HostCapacity(cores: 8, openFiles: 65_536, lockedMemory: 8 << 20, ioUring: false))
    #expect(try other.overridden(by: "memlock=unlimited").lockedMemory == nil)
    #expect(try Self.machine.overridden(by: "cpus=2") == HostCapacity(cores: 2, openFiles: 1024))
  }

  @Test(arguments: [
    ("", "`` is not KEY=VALUE; write it like cpus=8,nofile=65536,memlock=8MiB"),
    ("cpus", "`cpus` is not KEY=VALUE; write it like cpus=8,nofile=65536,memlock=8MiB"),
    ("cpus=0", "cpus must be a whole number from 1 to 8192, not `0`"),
    ("cpus=1,nofile=x", "nofile must be a whole number from 1 to 1073741824, not `x`"),
    ("memlock=8", "memlock: `8` has no unit; write it like 64KiB or 16MiB"),
    ("io_uring=maybe", "io_uring must be yes or no, not `maybe`"),
    ("memory=1MiB", "unknown key `memory`; the keys are cpus, nofile, memlock, io_uring"),
  ]) func badMachines(_ text: String, _ says: String) {
    #expect(throws: HostCapacity.Mistake(description: says)) { try Self.machine.overridden(by: text) }
  }

  @Test(arguments: [
    (0, "0B"), (1, "1B"), (1536, "1.5KiB"), (1 << 20, "1MiB"), ((1 << 20) - 1, "1024KiB"), (3 << 19, "1.5MiB"),
    ((1 << 30) + 1, "1GiB"),
  ]) func roughSizes(_ bytes: Int, _ text: String) { #expect(Units.rough(bytes: bytes) == text) }

  // MARK: Client libraries

  private static func kafka(_ brokers: Int, topic: String = "t", password: String = "") -> SinkSettings {
    var settings = KafkaSinkSettings()
    settings.brokers = (0..<brokers).map { ServerAddress(host: "k\($0)", port: 9092) }
    settings.topic = Template(topic)
    settings.password = password
    return SinkSettings(name: topic, kind: .kafka(settings))
  }

  private static func nats(_ server: String, jetStream: Bool = false) -> SinkSettings {
    var settings = NatsSinkSettings()
    settings.servers = [ServerAddress(host: server, port: 4222)]
    settings.usesJetStream = jetStream
    return SinkSettings(name: server, kind: .nats(settings))
  }

  @Test func clientsCountOncePerSettings() {
    let settings = Settings.of(Self.twenty) { settings in
      for index in settings.pipelines.indices {
        settings.pipelines[index].sinks = [Self.kafka(3, topic: "topic\(index)")]
      }
      settings["p1"].sinks += [
        Self.kafka(3, topic: "secured", password: "x"), Self.nats("a"), Self.nats("b", jetStream: true),
      ]
    }
    let result = Self.admit(settings)
    #expect(result.threads.library == 20)
    #expect(result.library.sum == "10 librdkafka (2 clients) + 10 cnats (2 clients 7, shared 3)")
    #expect(!result.isRefused)
  }

  @Test func moreLibraryThreadsThanThereMayBeAreRefused() {
    let settings = Settings.of(["web"]) { settings in
      settings.global.resources.libraryThreads = 4
      settings["web"].sinks = [Self.kafka(3)]
    }
    let result = Self.admit(settings)
    #expect(
      result.refusals == [
        "library threads: budget 4, asked 5 = 5 librdkafka (1 client); raise `resources.library_threads`"
      ])
  }

  @Test func aCertificateMakesAnotherClient() {
    var (one, other) = (Self.kafka(1), Self.kafka(1))
    #expect(one.libraryDemand?.client == other.libraryDemand?.client)
    other.tls.isEnabled = true
    #expect(one.libraryDemand?.client != other.libraryDemand?.client)
    one.tls.isEnabled = true
    other.tls.caFile = "/ca"
    #expect(one.libraryDemand?.client != other.libraryDemand?.client)
  }
}
