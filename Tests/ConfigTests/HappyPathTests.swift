import Testing

@testable import Config

@Suite struct HappyPathTests {
  static let example = """
    version: 1
    global:
      hostname: box7
      location: ams1
      label: edge
      discovery: { interval: 5s, max_namespaces: 100 }
      log: { level: debug, format: json }
    defaults:
      interval: 2s
      pools: { receive_buffers: 32 }
    sinks:
      local: { type: file, path: /var/log/xtcpd/sockets.csv, format: csv, columns: [hostname, timestamp_ns] }
      out: { type: stdout }
    pipelines:
      host:
        namespaces: { include: [host] }
        sinks: { local: {} }
      web:
        interval: 1m30s
        timeout: 1500ms
        align: wallclock
        tag: web
        attributes: [info, cong]
        reader: { mode: syscall, recv_batch: 20, cqe_batch: 4096 }
        batch: { rows: 1, bytes: 64KiB, max_age: 3s }
        filter: { states: [established, close_wait] }
        sample: { every: 10 }
        namespaces: { include: [{ name: "cni-*" }, { inode: 4026531840 }], exclude: [{ pid: 1 }, { path: /run/x }] }
        sinks: { hole: { type: null }, out: { format: protobuf_list } }
    """

  @Test func everySettingArrives() throws {
    let outcome = ConfigurationFile.read(
      text: Self.example, named: "x.yaml", vocabulary: Vocabulary(columns: ["hostname", "timestamp_ns"]))
    #expect(outcome.rendered == "")
    let settings = try #require(outcome.settings)
    #expect(settings.version == 1)
    #expect(settings.global.hostname == "box7")
    #expect(settings.global.location == "ams1")
    #expect(settings.global.discovery == DiscoverySettings(interval: .seconds(5), maxNamespaces: 100))
    #expect(
      settings.global.paths
        == PathSettings(proc: "/proc", netns: ["/run/netns", "/run/docker/netns"], cgroup: "/sys/fs/cgroup"))
    #expect(settings.global.log == LogSettings(level: .debug, format: .json))
    #expect(settings.pipelines.map(\.name) == ["host", "web"])

    let host = settings.pipelines[0]
    #expect(host.interval == .seconds(2))
    #expect(host.timeout == .milliseconds(1600))
    #expect(host.label == "edge")
    #expect(host.tag == "")
    #expect(host.attributes == AttributeName.defaultSelection)
    #expect(host.pools == PoolSettings(receiveBuffers: 32, batches: 4, knownSockets: 32_768))
    #expect(host.batch == BatchSettings(rows: 10_000, bytes: 768 << 10, maxAge: .zero))
    #expect(host.filter.states == Set(StateName.allCases))
    #expect(host.namespaces == NamespaceSelection(include: [.host], exclude: []))
    let file = FileSinkSettings(path: "/var/log/xtcpd/sockets.csv", mode: 0o640)
    #expect(
      host.sinks == [
        SinkSettings(name: "local", kind: .file(file), format: .csv, columns: ["hostname", "timestamp_ns"])
      ])

    let web = settings.pipelines[1]
    #expect(web.interval == .seconds(90))
    #expect(web.timeout == .milliseconds(1500))
    #expect(web.align == .wallclock)
    #expect((web.label, web.tag) == ("edge", "web"))
    #expect(web.attributes == [.info, .cong])
    #expect(web.reader == .with(mode: .syscall, parallelism: 1, recvBatch: 20, cqeBatch: 4096))
    #expect(web.batch == BatchSettings(rows: 1, bytes: 65_536, maxAge: .seconds(3)))
    #expect(web.filter.states == [.established, .closeWait])
    #expect(web.sampleEvery == 10)
    let cni = try #require(Glob("cni-*"))
    let run = try #require(Glob("/run/x"))
    #expect(
      web.namespaces
        == NamespaceSelection(include: [.name(cni), .inode(4_026_531_840)], exclude: [.pid(1), .path(run)]))
    #expect(
      web.sinks == [
        SinkSettings(name: "hole", kind: .blackhole), SinkSettings(name: "out", kind: .stdout, format: .protobufList),
      ])
  }
}
