import Config
import Glibc
import IO
import Records
import Sinks

/// Sinks: from the settings of each to what does its work.
extension PipelineBuilder {
  func makeSinks(
    _ plan: PipelinePlan, _ encodings: [Encoding], _ port: any Port, awaitsEstate: Bool
  ) throws(StartError) -> [any Sink] {
    var sinks: [any Sink] = []
    for (index, part) in plan.sinks.enumerated() {
      let encoding = encodings[part.encoding]
      let format = plan.encodings[part.encoding].format
      let output = SinkOutput(
        port: port, owner: Pipeline.Owner.sinks + UInt32(index), header: encoding.header, framing: RowFraming(format),
        origin: SinkOrigin(plan, format), queue: part.queue, retry: part.retry, budget: memory, spool: part.spool,
        capacity: plan.batches,
        patience: plan.timeout / 2, awaitsEstate: awaitsEstate, probes: part.healthcheck != .none, wake: wake)
      let sink = try makeSink(part, output)
      encoding.attach(sink)
      sinks.append(sink)
    }
    return sinks
  }

  /// Where sinks are listed.
  private func makeSink(_ part: PipelinePlan.SinkPlan, _ output: SinkOutput) throws(StartError) -> any Sink {
    switch part.kind {
    case .stdout: return StandardStreamSink(name: part.name, descriptor: STDOUT_FILENO, output)
    case .stderr: return StandardStreamSink(name: part.name, descriptor: STDERR_FILENO, output)
    case .blackhole: return BlackholeSink(name: part.name, awaitsEstate: output.awaitsEstate)
    case .http(let settings): return try makeSink(part, settings, output)
    case .clickHouse(let settings): return try makeSink(part, settings, output)
    case .s3(let settings): return try makeSink(part, settings, output)
    case .udp(let settings), .unixgram(let settings):
      return DeliverySink.datagrams(
        name: part.name, to: Endpoint(settings), maxDatagram: settings.maxDatagram, resolver: .shared, output)
    case .tcp(let settings), .unix(let settings):
      return DeliverySink.stream(
        name: part.name, to: Endpoint(settings), tls: try makeTLS(part), connectTimeout: settings.connectTimeout,
        sendTimeout: settings.sendTimeout, output)
    case .file(let file):
      let options = FileSink.Options(file, output.origin)
      let encoder = try part.object.map { (plan) throws(StartError) in try makeEncoder(plan, part, output.origin) }
      do throws(FileError) {
        guard let encoder else { return try FileSink(name: part.name, options, output) }
        return try DeliverySink.objectFiles(name: part.name, options, encoder, output)
      } catch {
        throw StartError(error, sink: part.name)
      }
    case .kafka(let kafka): return try makeKafkaSink(part, kafka, output)
    case .nats(let nats): return try makeNatsSink(part, nats, output)
    case .valkey(let valkey): return try makeValkeySink(part, valkey, output)
    case .nsq(let nsq): return try makeNsqSink(part, nsq, output)
    }
  }

  /// The files that secure a connection, read once.
  func makeTLS(_ part: PipelinePlan.SinkPlan) throws(StartError) -> TLSContext? {
    guard part.tls.isEnabled else { return nil }
    do throws(TLSError) {
      return try TLSContext(TLSContext.Settings(part.tls))
    } catch {
      throw .system("sink \(part.name): \(error)")
    }
  }

  func makeEncoder(
    _ plan: PipelinePlan.ObjectPlan, _ part: PipelinePlan.SinkPlan, _ origin: SinkOrigin
  ) throws(StartError) -> any ObjectEncoder {
    do throws(ParquetError) {
      return try ParquetEncoder(columns: plan.columns, version: origin.version)
    } catch {
      throw .configuration("sink \(part.name): \(error)")
    }
  }
}

extension StartError {
  init(_ error: FileError, sink: String) {
    if case .system(let cause) = error, cause.errno == EACCES || cause.errno == EPERM {
      self = .missingRight("sink \(sink): \(error)")
    } else {
      self = .system("sink \(sink): \(error)")
    }
  }
}

extension FileSink.Options {
  init(_ settings: FileSinkSettings, _ origin: SinkOrigin) {
    self.init(path: FilledTemplate(settings.path, origin), mode: settings.mode)
    rotateBytes = settings.rotateBytes
    rotateAge = settings.rotateAge?.nanoseconds
    rotateKeep = settings.rotateKeep
    synchronizes = settings.fsync == .batch
    compresses = settings.compression == .zstd
  }
}

extension Endpoint {
  init(_ address: ServerAddress) { self.init(host: address.host, port: UInt16(clamping: address.port)) }

  init(_ settings: DatagramSinkSettings) {
    if settings.path.isEmpty { self.init(settings.address) } else { self.init(path: settings.path) }
  }

  init(_ settings: StreamSinkSettings) {
    if settings.path.isEmpty { self.init(settings.address) } else { self.init(path: settings.path) }
  }
}

extension TLSContext.Settings {
  init(_ settings: TLSSettings) {
    func path(_ text: String) -> String? { text.isEmpty ? nil : text }
    self.init(
      authorities: path(settings.caFile), certificate: path(settings.certificateFile), key: path(settings.keyFile),
      serverName: path(settings.serverName), verifiesPeer: settings.verifies)
  }
}

extension RowFraming {
  init(_ format: RecordFormat) {
    switch format {
    case .protobuf, .jsonl, .csv, .tsv, .msgpack, .table: self = .plain
    case .protobufList: self = .envelope
    case .protoJSON, .protoText: self = .whole
    }
  }
}

extension SinkOrigin {
  init(_ plan: PipelinePlan, _ format: RecordFormat) {
    self.init()
    hostname = plan.host.hostname
    pipeline = plan.name
    version = plan.host.daemonVersion
    self.format = format.rawValue
    schema = String(RecordSchema.version)
  }
}

extension FilledTemplate {
  /// A configured template with what does not change filled in.
  init(_ template: Template, _ origin: SinkOrigin) {
    self.init(
      template.parts.map { part in
        switch part {
        case .text(let text): .text(text)
        case .place(.hostname): .text(origin.hostname)
        case .place(.pipeline): .text(origin.pipeline)
        case .place(.date): .date
        case .place(.hour): .hour
        }
      })
  }
}
