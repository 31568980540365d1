import IO

/// What one kind of server wants to be asked, and what its answers mean.
protocol HTTPDialect {
  /// Finds out whether the server is there, cheaply and without a right that sending does not need.
  var probe: HTTPRequest { get }
  func request(for shipment: Shipment) -> HTTPRequest
  /// Nil: the server has all rows.
  func failure(_ answer: HTTPAnswer) -> Failure?
}

/// Ships over HTTP: a request a shipment, whose body is read from the batches where they are, or compressed before.
final class HTTPOutlet: Outlet {
  private enum Stage { case idle, probing, preparing, sending }

  private let dialect: any HTTPDialect
  private let client: HTTPClient
  private let content: HTTPContent
  private var stage = Stage.idle
  private var shipment: Shipment?
  private var outcome: Outcome?
  private(set) var reachability = Reachability.unknown

  init(_ dialect: any HTTPDialect, _ content: HTTPContent, _ options: HTTPOptions, _ output: SinkOutput)
    throws(HTTPSetupError)
  {
    self.dialect = dialect
    self.content = content
    client = try HTTPClient(options, port: output.port, owner: output.owner)
  }

  var isReady: Bool { true }

  var nextDeadline: Int64? {
    // What is prepared goes on in the next turn.
    stage == .preparing ? MonotonicTime.now().nanoseconds : client.nextDeadline
  }

  /// Once no poll of the request is left, so that the outlet may go with it.
  func takeOutcome() -> Outcome? { client.isQuiet ? outcome.take() : nil }

  func probe(now: Int64) {
    stage = .probing
    client.start(dialect.probe, now: now)
    settle()
  }

  func send(_ shipment: Shipment, now: Int64) {
    // What comes of the rows says as much.
    if stage == .probing { client.cancel() }
    _ = client.takeAnswer()
    self.shipment = shipment
    stage = .preparing
    content.begin(shipment)
    prepare(now: now)
  }

  func handle(_ completion: consuming Completion) {
    client.handle(completion)
    settle()
  }

  func resume(now: Int64) {
    if stage == .preparing { prepare(now: now) } else { client.resume(now: now) }
    settle()
  }

  private func prepare(now: Int64) {
    guard let shipment else { return }
    switch content.step(shipment, &client.body) {
    case .more: return
    case .failed(let failure): end(.failed(failure))
    case .done:
      stage = .sending
      client.start(dialect.request(for: shipment), now: now)
      settle()
    }
  }

  private func settle() {
    guard let answer = client.takeAnswer() else { return }
    // A probe only says whether somebody is there; what is asked of a server may be denied to it.
    if stage == .probing { stage = .idle }
    let failure = dialect.failure(answer)
    reachability = failure.map { .unreachable($0.message) } ?? .reachable
    guard stage == .sending else { return }
    end(failure.map(Outcome.failed) ?? .delivered(bytes: client.body.byteCount, refused: nil))
  }

  private func end(_ outcome: Outcome) {
    self.outcome = outcome
    shipment = nil
    stage = .idle
    client.body.clear()
    content.end()
  }

  func cancel() {
    guard shipment != nil else { return }
    client.cancel()
    _ = client.takeAnswer()
    end(.failed(Failure(message: "cancelled")))
  }

  func close(isStuck: Bool) {
    if shipment != nil { end(.failed(Failure(message: "stopped", reason: .shutdown))) }
    stage = .idle
    client.close(isTornDown: true)
  }
}

extension HTTPAnswer {
  /// Of what failed, in one line: `POST https://collector:8443: 503: try later`.
  func message(_ place: String, hiding secrets: PeerSecrets) -> String {
    if let failure, !isTooLong || status == 0 { return "\(place): \(secrets.hide(in: failure))" }
    let text = body.text(limit: 300, hiding: secrets)
    return "\(place): status \(status)" + (text.isEmpty ? "" : ": \(text)")
  }

  /// What a status means to somebody who sends rows: 408, 429 and 5xx are for a time, and so is a redirection, which is not
  /// followed; every other one is the server's last word. RFC 9110 section 15.
  func failure(_ place: String, hiding secrets: PeerSecrets) -> Failure? {
    if isSuccess { return nil }
    var failure = Failure(message: message(place, hiding: secrets))
    if let retryAfter { failure.retryAfter = RetryAfter.nanoseconds(retryAfter, wallClock: wallClockNanoseconds()) }
    guard self.failure == nil || isTooLong else { return failure }
    failure.isFinal = (400..<500).contains(status) && status != 408 && status != 425 && status != 429
    failure.reason = status == 413 ? .tooLarge : failure.isFinal ? .rejected : .failed
    return failure
  }
}
