import Testing

@testable import Pipelines
@testable import xtcpd

@Suite struct ReadinessTests {
  @Test func aPipelineThatIsAddedLaterDoesNotCount() {
    var status = sampleStatus()
    status.pipelines[0].totals.counters.completePolls = 0
    let readiness = Readiness()
    #expect(!readiness.health(status).isGood)
    status.pipelines[0].totals.counters.completePolls = 1
    #expect(readiness.health(status).isGood)
    status.pipelines.append(samplePipeline("new"))
    status.pipelines[1].totals.counters.completePolls = 0
    #expect(readiness.health(status) == .good && !Health.ready(status).isGood)
  }
}

@Suite struct MetricsTests {
  private let lines = Self.lines(of: sampleStatus())

  private static func lines(of status: DaemonStatus) -> [String] {
    MetricsText.render(Scrape(status: status, process: sampleProcess, now: sampleNow)).split(separator: "\n")
      .map(String.init)
  }

  @Test(arguments: [
    "xtcpd_polls_total{pipeline=\"web\",result=\"complete\"} 10",
    "xtcpd_polls_total{pipeline=\"web\",result=\"partial\"} 2",
    "xtcpd_polls_total{pipeline=\"web\",result=\"failed\"} 1",
    "xtcpd_polls_total{pipeline=\"web\",result=\"skipped\"} 3",
    "xtcpd_last_complete_poll_timestamp_seconds{pipeline=\"web\"} 1700000199.0",
    "xtcpd_poll_interval_seconds{pipeline=\"web\"} 1.0",
    "xtcpd_sockets_reported_total{pipeline=\"web\"} 1000",
    "xtcpd_sockets_unread_total{pipeline=\"web\"} 5",
    "xtcpd_records_total{pipeline=\"web\",outcome=\"filtered\"} 100",
    "xtcpd_records_total{pipeline=\"web\",outcome=\"sampled\"} 200",
    "xtcpd_records_total{pipeline=\"web\",outcome=\"encoded\"} 700",
    "xtcpd_sink_records_total{pipeline=\"web\",sink=\"kafka\",outcome=\"delivered\"} 600",
    "xtcpd_sink_records_total{pipeline=\"web\",sink=\"kafka\",outcome=\"restored\"} 0",
    "xtcpd_sink_bytes_total{pipeline=\"web\",sink=\"kafka\"} 12345",
    "xtcpd_records_dropped_total{pipeline=\"web\",sink=\"kafka\",reason=\"no_space\"} 30",
    "xtcpd_records_in_flight{pipeline=\"web\",sink=\"kafka\",where=\"open\"} 50",
    "xtcpd_records_in_flight{pipeline=\"web\",sink=\"kafka\",where=\"queued\"} 15",
    "xtcpd_records_in_flight{pipeline=\"web\",sink=\"kafka\",where=\"sending\"} 5",
    "xtcpd_queue_bytes{pipeline=\"web\",sink=\"kafka\"} 65536",
    "xtcpd_queue_limit_bytes{pipeline=\"web\",sink=\"kafka\"} 16777216",
    "xtcpd_sink_up{pipeline=\"web\",sink=\"kafka\"} 1",
    "xtcpd_sink_up{pipeline=\"web\",sink=\"disk\"} 0",
    "xtcpd_sink_oldest_batch_age_seconds{pipeline=\"web\",sink=\"kafka\"} 2.5",
    "xtcpd_sink_oldest_batch_age_seconds{pipeline=\"web\",sink=\"disk\"} 0.0",
    "xtcpd_namespaces{pipeline=\"web\",state=\"selected\"} 4",
    "xtcpd_dumps_total{pipeline=\"web\",result=\"timed_out\"} 2",
    "xtcpd_pool_in_use{pipeline=\"web\",pool=\"receive_buffers\"} 1",
    "xtcpd_pool_size{pipeline=\"web\",pool=\"receive_buffers\"} 16",
    "xtcpd_pool_high_water{pipeline=\"web\",pool=\"batches\"} 3",
    "xtcpd_pool_waits_total{pipeline=\"web\",pool=\"receive_buffers\"} 9",
    "xtcpd_threads{kind=\"loop\"} 2",
    "xtcpd_memory_bytes{use=\"limit\"} 268435456",
    "xtcpd_loop_idle_seconds{loop=\"loop0\"} 0.5",
    "xtcpd_config_last_reload_successful 1",
    "xtcpd_config_last_reload_success_timestamp_seconds 1700000100.5",
    "xtcpd_config_reloads_total{result=\"applied\"} 6",
    "xtcpd_config_reloads_total{result=\"unchanged\"} 0",
    "xtcpd_config_reloads_total{result=\"refused\"} 2",
    "xtcpd_build_info{version=\"1.2.3\"} 1",
    "process_threads 3",
    "process_cpu_seconds_total 1.5",
  ])
  func everyNumberIsWhereItBelongs(_ line: String) { #expect(lines.contains(line)) }

  @Test func configurationIsALabel() {
    let hash = String(repeating: "ab", count: 32)
    #expect(lines.contains("xtcpd_config_info{hash=\"\(hash)\",generation=\"7\",state=\"current\"} 1"))
    var status = sampleStatus()
    status.configuration.state = .lastGood
    let degraded = Self.lines(of: status).first { $0.hasPrefix("xtcpd_config_info{") }
    #expect(degraded?.contains("state=\"last_good\"") == true)
  }

  @Test func histogramsAreCumulative() {
    let buckets = lines.filter { $0.hasPrefix("xtcpd_poll_duration_seconds_bucket{pipeline=\"web\",le=") }
    #expect(buckets.count == DurationHistogram.bounds.count + 1)
    #expect(buckets.first == "xtcpd_poll_duration_seconds_bucket{pipeline=\"web\",le=\"0.001\"} 1")
    #expect(buckets.contains("xtcpd_poll_duration_seconds_bucket{pipeline=\"web\",le=\"0.005\"} 2"))
    #expect(buckets.last == "xtcpd_poll_duration_seconds_bucket{pipeline=\"web\",le=\"+Inf\"} 3")
    #expect(lines.contains("xtcpd_poll_duration_seconds_count{pipeline=\"web\"} 3"))
    #expect(lines.contains("xtcpd_poll_duration_seconds_sum{pipeline=\"web\"} 60.0039"))
  }

  @Test func familiesAreToldOnceAndBeforeTheirSamples() {
    var family = ""
    var seen: Set<String> = []
    for line in lines {
      if line.hasPrefix("# HELP ") {
        family = String(line.split(separator: " ")[2])
        #expect(seen.insert(family).inserted, "\(family) is told twice")
      } else if !line.hasPrefix("# TYPE ") {
        #expect(line.hasPrefix(family), "\(line) stands below \(family)")
      }
    }
    #expect(seen == Set(MetricsText.families.map(\.name)))
  }

  @Test func countersAndOnlyTheyEndInTotal() {
    for family in MetricsText.families {
      #expect((family.kind == .counter) == family.name.hasSuffix("_total"), "\(family.name)")
    }
  }

  @Test func labelsAreThoseThatAreDocumented() {
    for line in lines where !line.hasPrefix("#") {
      guard let brace = line.firstIndex(of: "{") else { continue }
      let family = MetricsText.families.filter { line[..<brace].hasPrefix($0.name) }
        .max { $0.name.count < $1.name.count }
      let names = line[brace...].matches(of: /[{,]([a-z]+)="/).map { String($0.1) }.filter { $0 != "le" }
      #expect(names == family?.labels, "\(line)")
    }
  }

  @Test func labelValuesAreEscaped() {
    var exposition = Exposition()
    exposition.begin("m", .gauge, help: "a \\ and\na line, \"quoted\"")
    exposition.sample([("l", "back\\slash \"quote\" new\nline é")], 1)
    #expect(
      exposition.text == """
        # HELP m a \\\\ and\\na line, "quoted"
        # TYPE m gauge
        m{l="back\\\\slash \\"quote\\" new\\nline é"} 1

        """)
  }
}

@Suite struct HealthTests {
  @Test func aLoopThatHangsIsNamed() {
    var status = sampleStatus()
    #expect(Health.live(status) == Health.live(DaemonStatus()) && Health.live(status).text == "ok\n")
    status.loops[0].sinceTurn = 3_100_000_000
    let health = Health.live(status)
    #expect(!health.isGood)
    for part in ["loop0", "3.1 s", "web"] { #expect(health.text.contains(part)) }
  }

  @Test func everyPipelineHasToCompleteAPoll() {
    var status = sampleStatus()
    #expect(Health.ready(status).isGood)
    var young = samplePipeline("young")
    young.totals.counters.completePolls = 0
    status.pipelines.append(young)
    let health = Health.ready(status)
    #expect(!health.isGood && health.text.contains("young") && !health.text.contains("web"))
    #expect(!Health.ready(DaemonStatus()).isGood, "nothing runs yet")
  }

  @Test func aSinkThatIsDownDoesNotMatter() {
    let status = sampleStatus()
    #expect(status.pipelines[0].totals.sinks[1].state != .up)
    #expect(Health.live(status).isGood && Health.ready(status).isGood)
  }
}
