import ArgumentParser
import Config
import Glibc
import IO
import Logging
import Pipelines
import Records

/// `xtcpd snapshot`: one poll to standard output, without a configuration file.
struct Snapshot: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Reads every TCP socket once and prints it, as ss does or in any format.",
    discussion: """
      Without --all it reads the namespace it runs in, which needs no rights. On a terminal it prints a table, else JSON lines.

        xtcpd snapshot                                         the sockets of this namespace
        sudo xtcpd snapshot --all                              those of every namespace
        sudo xtcpd snapshot --all --format jsonl | jq ...      the whole record
        xtcpd snapshot --destination-port 443,8000-8999 --destination 10.0.0.0/8
        xtcpd snapshot --states established,time_wait --format csv --columns inet_diag_msg_socket_source,tcp_info_rtt

      Exit code 1: some namespace could not be read to its end, or the output not written; standard error says which.
      """)

  @Flag(name: [.short, .long], help: "Every network namespace of the host.")
  var all = false

  @Option(name: [.short, .long], help: "The format to print; without it a table on a terminal, else jsonl.")
  var format: OutputFormat?

  @Option(
    name: [.short, .long], help: "Only these socket states, separated by commas: established, listen, time_wait, ...",
    transform: StateList.init(parsing:))
  var states: StateList?

  @Option(
    help: "Only sockets whose local address is in one of these networks: 10.0.0.0/8,2001:db8::/32,::1.",
    transform: { try CommaList(parsing: $0, as: AddressPrefix.init(_:)) })
  var source: CommaList<AddressPrefix>?

  @Option(
    help: "Only sockets whose peer is in one of these networks.",
    transform: { try CommaList(parsing: $0, as: AddressPrefix.init(_:)) })
  var destination: CommaList<AddressPrefix>?

  @Option(
    help: "Only sockets with one of these local ports: 443,8000-8999.",
    transform: { try CommaList(parsing: $0, as: PortRange.init(_:)) })
  var sourcePort: CommaList<PortRange>?

  @Option(
    help: "Only sockets whose peer has one of these ports.",
    transform: { try CommaList(parsing: $0, as: PortRange.init(_:)) })
  var destinationPort: CommaList<PortRange>?

  @Option(
    help: "Only sockets that are bound to one of these interfaces: eth0,7.",
    transform: { try CommaList(parsing: $0, as: InterfaceMatch.init(_:)) })
  var interface: CommaList<InterfaceMatch>?

  @Option(
    help: "Only sockets with one of these marks: 0x10,0x100/0xff00.",
    transform: { try CommaList(parsing: $0, as: MarkMatch.init(_:)) })
  var mark: CommaList<MarkMatch>?

  @Option(
    help: "Only sockets made in one of these control groups (version 2): /system.slice/nginx.service.",
    transform: { try CommaList(parsing: $0, as: CgroupMatch.init(_:)) })
  var cgroup: CommaList<CgroupMatch>?

  @Option(
    name: [.short, .long], help: "Only these columns, in this order, separated by commas (table, csv, tsv).",
    transform: ColumnList.init(parsing:))
  var columns: ColumnList?

  @Option(help: "auto, io_uring or syscall.")
  var mode: ReaderMode = .auto

  func validate() throws { try columns?.validate(for: format ?? .table) }

  func run() throws {
    let signals = try SignalReader()
    let log = Logger(label: "xtcpd") { _ in LogOutput(level: .warning) }
    if all { for gap in CapabilityReport().gaps { log.warning("\(gap)") } }
    var options = RunOptions(version: BuildInfo.version)
    options.pollLimit = 1
    options.ownNamespaceOnly = !all
    options.drainTimeout = .zero
    let output = format ?? (isatty(STDOUT_FILENO) == 1 ? .table : .record(.jsonl))
    options.asTable = output == .table
    let outcome = Outcome(settings(output))
    let supervisor = try Supervisor(
      source: SettingsSource(outcome: outcome), services: DaemonServices(log: log), options: options, log: log)
    DaemonProcess.run(supervisor, outcome, signals, log) { status in
      status.pipelines.contains { !$0.totals.isWhole || $0.totals.hasLostRows } ? .failure : .success
    }
  }

  /// Settings that come from no file.
  private struct SettingsSource: ConfigurationSource {
    let outcome: Outcome
    let path = ""

    func read() -> Outcome { outcome }
  }

  private func settings(_ output: OutputFormat) -> Settings {
    var pipeline = PipelineSettings(name: "snapshot")
    // A reader that is slow to read, a pager for example, holds the dump up; it is not given up for that.
    pipeline.interval = .seconds(7200)
    pipeline.explicitTimeout = .seconds(3600)
    pipeline.align = .none
    pipeline.reader.mode = mode
    pipeline.namespaces = NamespaceSelection(include: [.all])
    if let states { pipeline.filter.states = states.names }
    pipeline.filter.terms.source = source?.elements ?? []
    pipeline.filter.terms.destination = destination?.elements ?? []
    pipeline.filter.terms.sourcePort = sourcePort?.elements ?? []
    pipeline.filter.terms.destinationPort = destinationPort?.elements ?? []
    pipeline.filter.terms.interface = interface?.elements ?? []
    pipeline.filter.terms.mark = mark?.elements ?? []
    pipeline.filter.terms.cgroup = cgroup?.elements ?? []
    var sink = SinkSettings(name: "stdout", kind: .stdout, columns: columns?.names)
    if case .record(let name) = output { sink.format = name }
    // Nothing that is merely slow to be taken is dropped; what is refused is not waited for.
    sink.queue = pipeline.queue
    sink.queue.whenFull = .block
    sink.retry = pipeline.retry
    sink.retry.giveUpAfter = .zero
    pipeline.sinks = [sink]
    return Settings(global: GlobalSettings(), pipelines: [pipeline])
  }
}
