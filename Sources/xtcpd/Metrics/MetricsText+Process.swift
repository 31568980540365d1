import IO
import Pipelines

extension MetricsText {
  static let processFamilies = configurationFamilies + resourceFamilies

  private static let resourceFamilies: [MetricFamily] = [
    MetricFamily(
      "xtcpd_threads", .gauge, by: ["kind"],
      "Threads that are charged to the budget: main, loop, file_worker, reader, idle_worker, library."
    ) { scrape, out in
      for use in scrape.status.threads { out.sample([("kind", use.kind)], use.granted) }
    },
    MetricFamily(
      "xtcpd_memory_bytes", .gauge, by: ["use"],
      "Memory of pools and queues: limit, pools, queue_reserve, queued."
    ) { scrape, out in
      for use in scrape.status.memory { out.sample([("use", use.use)], use.bytes) }
    },
    MetricFamily("xtcpd_loop_idle_seconds", .gauge, by: ["loop"], "Time since an event loop last turned.") {
      scrape, out in
      for loop in scrape.status.loops { out.sample([("loop", loop.name)], nanoseconds: loop.sinceTurn) }
    },
    MetricFamily("process_start_time_seconds", .gauge, "When the daemon started, in seconds since 1970.") {
      $1.sample(nanoseconds: $0.status.startedAt)
    },
    MetricFamily("process_cpu_seconds_total", .counter, "CPU time of all threads, in user and kernel mode.") {
      $1.sample(seconds: $0.process.cpuSeconds)
    },
    MetricFamily("process_resident_memory_bytes", .gauge, "Resident memory.") { $1.sample($0.process.residentBytes) },
    MetricFamily(
      "process_threads", .gauge, "Threads as the kernel counts them, the workers that it runs for the daemon included."
    ) {
      $1.sample($0.process.threads)
    },
    MetricFamily("process_open_fds", .gauge, "Open descriptors.") { $1.sample($0.process.openDescriptors) },
  ]

  private static let configurationFamilies: [MetricFamily] = [
    MetricFamily("xtcpd_build_info", .gauge, by: ["version"], "Always 1; the label is the version of the daemon.") {
      $1.sample([("version", $0.status.version)], 1)
    },
    MetricFamily(
      "xtcpd_config_info", .gauge, by: ["hash", "generation", "state"],
      "Always 1; the labels are the configuration that runs: its hash, how many were taken over, and `current` or "
        + "`last_good` (degraded: the file was invalid at the start)."
    ) { scrape, out in
      let configuration = scrape.status.configuration
      out.sample(
        [
          ("hash", configuration.hash), ("generation", String(configuration.generation)),
          ("state", configuration.state.rawValue),
        ], 1)
    },
    MetricFamily("xtcpd_config_last_reload_successful", .gauge, "0 after a reload was refused, until one is not.") {
      $1.sample(isTrue: $0.status.configuration.isLastReloadSuccessful)
    },
    MetricFamily(
      "xtcpd_config_last_reload_success_timestamp_seconds", .gauge,
      "When a configuration was last taken over or found unchanged (or the daemon started), in seconds since 1970."
    ) {
      $1.sample(nanoseconds: $0.status.configuration.lastSuccess)
    },
    MetricFamily("xtcpd_config_reloads_total", .counter, by: ["result"], "Reloads: applied, unchanged or refused.") {
      scrape, out in
      for result in ReloadVerdict.Result.allCases {
        out.sample([("result", result.rawValue)], scrape.status.configuration.reloads[result, default: 0])
      }
    },
  ]
}
