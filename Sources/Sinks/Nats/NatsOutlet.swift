import IO

/// What a sink publishes, and where.
public struct NatsTarget: Sendable {
  public var subject: FilledTemplate
  /// A stream acknowledges every message.
  public var usesJetStream: Bool
  /// Bytes of one message's rows at most.
  public var messageBytes: Int

  public init(subject: FilledTemplate, usesJetStream: Bool, messageBytes: Int) {
    self.subject = subject
    self.usesJetStream = usesJetStream
    self.messageBytes = messageBytes
  }
}

/// Publishes the batches of one sink through a client that it shares.
final class NatsOutlet: Outlet {
  private let registry: ClientRegistry
  private let settings: NatsSettings
  private let target: NatsTarget
  private let origin: SinkOrigin
  private let framing: RowFraming
  private let member: ClientMember
  private let client: NatsClient
  private var isMember = true
  private var job: NatsJob?
  private var isSending = false
  private var outcome: Outcome?

  init(
    sink: String, _ settings: NatsSettings, _ target: NatsTarget, _ output: SinkOutput, _ registry: ClientRegistry
  ) throws(ClientError) {
    self.registry = registry
    self.settings = settings
    self.target = target
    origin = output.origin
    framing = output.framing
    member = ClientMember(sink: sink, wake: output.wake)
    client = try registry.join(settings.key, member) { () throws(ClientError) in
      try NatsClient(settings, registry.threads)
    }
  }

  deinit { leave() }

  private func leave() {
    if isMember { registry.leave(settings.key, client, member) }
    isMember = false
  }

  /// The client's thread reads the rows.
  var isReady: Bool { false }

  var reachability: Reachability {
    if let trouble = client.trouble { return .unreachable(trouble) }
    return client.isReachable ? .reachable : .unknown
  }

  var nextDeadline: Int64? { nil }

  // The client connects from the start.
  func probe(now: Int64) {}

  func handle(_ completion: consuming Completion) {}

  func send(_ shipment: Shipment, now: Int64) {
    if shipment.attempt == 0 || job?.batch.facts.id != shipment.id || job?.isDone != true { job = makeJob(shipment) }
    guard let job else {
      outcome = .failed(Failure(message: "nats: no memory for a batch", reason: .memory))
      return
    }
    job.prepare()
    isSending = true
    client.submit(job)
  }

  private func makeJob(_ shipment: Shipment) -> NatsJob? {
    guard let batch = shipment.copy(of: 0) else { return nil }
    let headers = [
      ("schema", origin.schema), ("hostname", origin.hostname), ("pipeline", origin.pipeline),
      ("format", origin.format), ("batch_id", batch.facts.id.description),
    ]
    return NatsJob(
      subject: target.subject.text(at: batch.facts.sealedAt), headers: headers.map { (name: $0.0, value: $0.1) },
      batch: batch, framing: framing, limit: target.messageBytes, isAcknowledged: target.usesJetStream, for: member)
  }

  func resume(now: Int64) {
    guard isSending, let job, job.isDone else { return }
    isSending = false
    switch job.outcome {
    case .failed(let why): outcome = .failed(Failure(message: why, delivered: job.arrivedRows))
    case .arrived where job.refusedRows == job.batch.rows:
      outcome = .failed(
        Failure(
          message: "nats \(settings.name): a message of subject \(job.subject) is larger than \(job.limit) bytes",
          reason: .tooLarge, isFinal: true))
    case .arrived:
      let refusal = job.refusedRows > 0 ? Outcome.Refusal(rows: job.refusedRows, reason: .tooLarge) : nil
      outcome = .delivered(bytes: job.bytes, refused: refusal)
    }
  }

  func takeOutcome() -> Outcome? {
    defer { outcome = nil }
    return outcome
  }

  func cancel() {
    guard isSending, let job else { return }
    // What the client has may still arrive; it is sent once more by whoever takes over.
    job.cancel()
    isSending = false
    self.job = nil
    outcome = .failed(Failure(message: "nats \(settings.name): called off"))
  }

  func close(isStuck: Bool) {
    cancel()
    leave()
  }
}

/// Sinks that publish to NATS.
public enum NatsSink {
  /// - Parameter registry: where the connection is found, or made.
  /// - Throws: cnats is not installed or refuses the settings, such as a certificate that cannot be read. A server that cannot
  ///   be reached is no error.
  public static func make(
    name: String, _ settings: NatsSettings, _ target: NatsTarget, _ output: SinkOutput, _ registry: ClientRegistry
  ) throws(ClientError) -> DeliverySink {
    DeliverySink(name: name, output, outlet: try NatsOutlet(sink: name, settings, target, output, registry))
  }
}
