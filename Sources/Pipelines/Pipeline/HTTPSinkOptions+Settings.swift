import Config
import Glibc
import Sinks

/// Sinks that go through libcurl: from their settings to the options of the module that does the work.
extension PipelineBuilder {
  func makeSink(
    _ part: PipelinePlan.SinkPlan, _ settings: HTTPSinkSettings, _ output: SinkOutput
  ) throws(StartError) -> any Sink {
    let options = HTTPSinkOptions(settings, try clientOptions(part, output.origin))
    do throws(HTTPSetupError) {
      return try DeliverySink.http(name: part.name, options, gather: part.gather, output)
    } catch {
      throw .system("sink \(part.name): \(error)")
    }
  }

  func makeSink(
    _ part: PipelinePlan.SinkPlan, _ settings: ClickHouseSinkSettings, _ output: SinkOutput
  ) throws(StartError) -> any Sink {
    let client = try clientOptions(part, output.origin)
    let options = ClickHouseSinkOptions(settings, format: output.origin.format, client)
    do throws(HTTPSetupError) {
      return try DeliverySink.clickHouse(name: part.name, options, gather: part.gather, output)
    } catch {
      throw .system("sink \(part.name): \(error)")
    }
  }

  func makeSink(
    _ part: PipelinePlan.SinkPlan, _ settings: S3SinkSettings, _ output: SinkOutput
  ) throws(StartError) -> any Sink {
    let options = S3SinkOptions(settings, output.origin, try clientOptions(part, output.origin))
    let encoder = try part.object.map { (plan) throws(StartError) in try makeEncoder(plan, part, output.origin) }
    do throws(HTTPSetupError) {
      return try DeliverySink.s3(name: part.name, options, encoder: encoder, gather: part.gather, output)
    } catch {
      throw .system("sink \(part.name): \(error)")
    }
  }

  private func clientOptions(
    _ part: PipelinePlan.SinkPlan, _ origin: SinkOrigin
  ) throws(StartError) -> HTTPOptions {
    do throws(HTTPSetupError) {
      return try HTTPOptions(part, origin)
    } catch {
      throw .system("sink \(part.name): \(error)")
    }
  }
}

extension HTTPOptions {
  /// Files that cannot be read are found here, and not with the first rows.
  init(_ part: PipelinePlan.SinkPlan, _ origin: SinkOrigin) throws(HTTPSetupError) {
    self.init()
    connectTimeout = part.timeouts.connect.nanoseconds
    timeout = part.timeouts.total.nanoseconds
    stallTimeout = part.timeouts.stall.nanoseconds
    caFile = part.tls.caFile
    certificateFile = part.tls.certificateFile
    keyFile = part.tls.keyFile
    verifies = part.tls.verifies
    agent = "xtcpd/\(origin.version)"
    for path in [caFile, certificateFile, keyFile] where !path.isEmpty && access(path, R_OK) != 0 {
      throw HTTPSetupError("cannot read \(path): \(String(cString: strerror(errno)))")
    }
  }
}

extension HTTPSinkOptions {
  init(_ settings: HTTPSinkSettings, _ client: HTTPOptions) {
    self.init(url: settings.url)
    method = settings.method.rawValue
    headers = settings.headers.map { ($0.name, $0.value) }
    username = settings.username
    password = settings.password
    bearerToken = settings.bearerToken
    batchHeader = settings.batchHeader ?? ""
    compression = HTTPCompression(settings.compression)
    self.client = client
  }
}

extension ClickHouseSinkOptions {
  init(_ settings: ClickHouseSinkSettings, format: String, _ client: HTTPOptions) {
    let table = settings.table.isEmpty ? (format == "jsonl" ? "xtcp_text" : "xtcp_raw") : settings.table
    self.init(url: settings.url, table: table)
    database = settings.database
    username = settings.username
    password = settings.password
    formatSchema = settings.formatSchema
    self.settings = settings.settings.map { ($0.name, $0.value) }
    compression = HTTPCompression(settings.compression)
    self.client = client
  }
}

extension S3SinkOptions {
  init(_ settings: S3SinkSettings, _ origin: SinkOrigin, _ client: HTTPOptions) {
    self.init(
      endpoint: settings.server, region: settings.region, bucket: settings.bucket,
      prefix: FilledTemplate(settings.prefix, origin),
      credentials: AWSCredentials(
        accessKey: settings.accessKey, secretKey: settings.secretKey, sessionToken: settings.sessionToken))
    pathStyle = settings.pathStyle
    compression = HTTPCompression(settings.compression)
    self.client = client
  }
}

extension HTTPCompression {
  init(_ choice: BodyCompression) {
    switch choice {
    case .none: self = .none
    case .gzip: self = .gzip
    case .zstd: self = .zstd
    }
  }
}
