import Config
import IO
import Sinks

/// NATS sinks: from settings to cnats's.
extension PipelineBuilder {
  func makeNatsSink(
    _ part: PipelinePlan.SinkPlan, _ nats: NatsSinkSettings, _ output: SinkOutput
  ) throws(StartError) -> any Sink {
    let subject = FilledTemplate(nats.subject, output.origin)
    let name = subject.text(at: wallClockNanoseconds())
    guard NatsSinkSettings.isSubject(name) else {
      throw .configuration("sink \(part.name): `\(name)` cannot be a subject (subject: \(nats.subject.written))")
    }
    let target = NatsTarget(subject: subject, usesJetStream: nats.usesJetStream, messageBytes: nats.maxMessageBytes)
    do throws(ClientError) {
      return try NatsSink.make(name: part.name, NatsSettings(nats, part.tls, key: part.client), target, output, clients)
    } catch {
      throw .system("sink \(part.name): \(error)")
    }
  }
}

extension NatsSettings {
  init(_ nats: NatsSinkSettings, _ tls: TLSSettings, key: String) {
    let scheme = tls.isEnabled ? "tls" : "nats"
    self.init(key: key, servers: nats.servers.map { "\(scheme)://\($0)" })
    timeout = nats.timeout.nanoseconds / 1_000_000
    usesJetStream = nats.usesJetStream
    if !nats.user.isEmpty { user = (nats.user, nats.password) }
    if !nats.token.isEmpty { token = nats.token }
    if !nats.credentialsFile.isEmpty { credentials = nats.credentialsFile }
    guard tls.isEnabled else { return }
    var own = TLS()
    if !tls.caFile.isEmpty { own.caFile = tls.caFile }
    if !tls.certificateFile.isEmpty { own.certificate = (tls.certificateFile, tls.keyFile) }
    if tls.verifies { own.serverName = tls.serverName.isEmpty ? nats.servers.first?.host ?? "" : tls.serverName }
    self.tls = own
  }
}
