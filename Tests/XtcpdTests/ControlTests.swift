import IO
import Testing

@testable import Pipelines
@testable import xtcpd

@Suite struct ControlLineTests {
  private func mistake(_ line: String) -> String? { mistake(Array(line.utf8)) }

  private func mistake(_ line: [UInt8]) -> String? {
    if case .failure(let mistake) = ControlLine.request(from: line) { mistake.text } else { nil }
  }

  @Test func requestsAreUnderstood() throws {
    let line = Array(#"{"command": "reload", "expect_hash": "ab", "unknown": [1, {"a": null}]}"#.utf8)
    let request = try ControlLine.request(from: line).get()
    #expect(request.command == .reload && request.expectHash == "ab" && request.pipeline == nil)
  }

  @Test func whatIsWrongIsSaid() {
    #expect(mistake("") == "not a JSON object on one line")
    #expect(mistake("status") == "not a JSON object on one line")
    #expect(mistake("[]") == "not a JSON object on one line")
    #expect(mistake("{}") == "the request has no \"command\"")
    #expect(mistake(#"{"command": 1}"#) == "\"command\" has the wrong type")
    #expect(mistake(#"{"command": "poll", "pipeline": {}}"#) == "\"pipeline\" has the wrong type")
    #expect(mistake(#"{"command": "reload", "expect_hash": 1}"#) == "\"expect_hash\" has the wrong type")
    #expect(mistake(#"{"command": "stop"}"#) == "unknown command; there are status, reload, plan, poll")
    #expect(mistake(#"{"command": "status"} {"#) == "not a JSON object on one line")
  }

  @Test func hostileLinesAreRefused() {
    #expect(mistake([UInt8](repeating: UInt8(ascii: "["), count: ControlLine.longestRequest)) != nil)
    #expect(mistake([UInt8](repeating: 0xFF, count: ControlLine.longestRequest)) != nil)
    #expect(mistake([UInt8](repeating: 0, count: 1000)) != nil)
    for length in 0..<20 { #expect(mistake(Array(#"{"command":"status"}"#.utf8.prefix(length))) != nil) }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0..<60)).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(mistake(bytes) != nil)
    }
  }

  @Test func answersComeBackAsTheyWere() throws {
    let report = StatusReport(
      sampleStatus(), process: sampleProcess, pid: 42, metricsAddress: "127.0.0.1:9088", now: sampleNow)
    let line = try ControlLine.encode(ControlResponse(status: report))
    #expect(!line.contains(UInt8(ascii: "\n")))
    let text = String(decoding: line, as: UTF8.self)
    #expect(text.contains(#""sampled_out":200"#) && text.contains(#""ok":true"#) && !text.contains(#""error""#))
    let back = try ControlLine.decode(ControlResponse.self, from: line)
    #expect(back.status == report)
  }
}

@Suite struct PermissionTests {
  @Test func rootTheOwnUserAndTheGroupMayAsk() {
    let own = ProcessUsage.userID
    #expect(PeerCredentials(pid: 1, uid: 0, gid: 0).isPermitted(group: 7))
    #expect(PeerCredentials(pid: 1, uid: own, gid: 1000).isPermitted(group: 7))
    let stranger = own &+ 4711
    #expect(!PeerCredentials(pid: 1, uid: stranger, gid: 1000, groups: [1001]).isPermitted(group: 7))
    #expect(PeerCredentials(pid: 1, uid: stranger, gid: 7).isPermitted(group: 7))
    #expect(PeerCredentials(pid: 1, uid: stranger, gid: 1000, groups: [1001, 7]).isPermitted(group: 7))
  }
}

@Suite struct StatusTextTests {
  private func report(_ change: (inout DaemonStatus) -> Void = { _ in }, after nanoseconds: Int64 = 0) -> StatusReport {
    var status = sampleStatus()
    change(&status)
    return StatusReport(
      status, process: sampleProcess, pid: 42, metricsAddress: "127.0.0.1:9088", now: sampleNow + nanoseconds)
  }

  @Test func everythingAPersonLooksForIsThere() {
    let text = StatusText.render(report())
    for part in [
      "xtcpd 1.2.3, running, process 42", "/etc/xtcpd/xtcpd.yaml, generation 7", "3 running; granted 1 main, 2 loop",
      "resident 20.0 MiB", "http://127.0.0.1:9088/metrics", "web  running, io_uring on loop0, generation 6",
      "last 500.0 ms ago, every 1.0 s; 10 complete, 2 partial, 1 failed, 3 skipped",
      "76/s, 76 a poll in 4 namespaces",
      "1000 reported: 700 encoded, 100 filtered, 200 sampled out; 5 sockets unread",
      "receive_buffers 1/16, high water 16, waits 9",
      "kafka up, 600 rows delivered; dropped 30 no_space; in flight 70; queue 64.0 KiB of 16.0 MiB, oldest 2.5 s",
      "disk DOWN (open(/x): No space left on device (ENOSPC)), 0 rows delivered",
    ] { #expect(text.contains(part), "\(part) is not in:\n\(text)") }
    #expect(!text.contains("DEGRADED") && !text.contains("HANGING") && !text.contains("last reload"))
  }

  @Test func twoLooksGiveRates() {
    let later = report({ $0.pipelines[0].totals.counters.rows.reported += 5000 }, after: 2_000_000_000)
    let text = StatusText.render(later, since: report())
    #expect(text.contains("2500/s in 4 namespaces") && text.contains("600 rows delivered (0/s)"))
    #expect(!text.contains("raise pools"), "the waits did not grow")
    let restarted = StatusText.render(report({ $0.startedAt += 1 }), since: later)
    #expect(restarted.contains("a poll"), "another process is not compared with")
  }

  @Test func advice() throws {
    func up(_ status: inout DaemonStatus) { status.pipelines[0].totals.sinks[1].state = .up }
    #expect(!StatusText.render(report()).contains("raise pools"), "a sink fails")
    #expect(StatusText.render(report(up)).contains("waits 9 -> raise pools.receive_buffers to 32"))
    let later = report(
      {
        up(&$0); $0.pipelines[0].pools[1].gauges.waits = 2
      }, after: 1_000_000_000)
    let text = StatusText.render(later, since: report(up))
    #expect(text.contains("waits 2 -> raise pools.batches to 8") && !text.contains("pools.receive_buffers"))
  }

  @Test func manyPipelinesAreALineEach() throws {
    let many = report { status in
      status.pipelines = (0..<50).map { number in
        var pipeline = samplePipeline("p\(number)")
        if number != 30 { pipeline.totals.sinks[1].state = .up }
        return pipeline
      }
    }
    let lines = StatusText.render(many, as: StatusTable(width: 100, height: 24)).split(
      separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count <= 24 && lines.allSatisfy { $0.count <= 100 })
    let heads = try #require(lines.firstIndex { $0.hasPrefix("PIPELINE  STATE") })
    #expect(lines[heads + 1].hasPrefix("p30 ") && lines[heads + 2].hasPrefix("p0 "), "trouble comes first")
    #expect(lines.contains { $0.hasPrefix("and ") && $0.contains("more pipelines") })
    #expect(lines[heads + 1].contains("SINK DOWN"))
    #expect(StatusText.render(many, as: StatusTable()).contains("\np49 "))
  }

  @Test func troubleIsShouted() {
    let text = StatusText.render(
      report { status in
        status.configuration.state = .lastGood
        status.loops[0].sinceTurn = 10_000_000_000
        status.configuration.verdict = ReloadVerdict(
          result: .refused, cause: .configuration, generation: 7, hash: "", time: sampleNow - 1_000_000_000,
          summary: "3 errors")
      })
    for part in ["DEGRADED", "HANGING: loop0", "last reload refused 1.0 s ago: 3 errors"] {
      #expect(text.contains(part))
    }
  }

  @Test func quantitiesReadWell() {
    #expect(Quantity.duration(0) == "0 us" && Quantity.duration(3_240_000) == "3.2 ms")
    #expect(Quantity.duration(59_960_000_000) == "60.0 s" && Quantity.duration(86_400_000_000_000 * 3) == "3 d")
    #expect(Quantity.bytes(768 << 10) == "768.0 KiB" && Quantity.bytes(12) == "12 B")
    #expect(Quantity.rate(1, in: 2_000_000_000) == "0.5/s" && Quantity.rate(0, in: 1) == "0/s")
  }
}
