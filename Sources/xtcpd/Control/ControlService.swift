import IO
import Pipelines

/// Answers requests of the control socket. Belongs to the main thread.
final class ControlService {
  private let daemon: Daemon
  /// Adds to the status what only the process knows.
  private let report: () -> StatusReport

  init(_ daemon: Daemon, report: @escaping () -> StatusReport) {
    self.daemon = daemon
    self.report = report
  }

  /// Answers a line, at once or later, exactly once.
  func answer(_ line: [UInt8], from peer: PeerCredentials, _ done: @escaping (ControlResponse) -> Void) {
    switch ControlLine.request(from: line) {
    case .failure(let mistake): done(.failure(.badRequest, mistake.text))
    case .success(let request): answer(request, peer, done)
    }
  }

  private func answer(
    _ request: ControlRequest, _ peer: PeerCredentials, _ done: @escaping (ControlResponse) -> Void
  ) {
    switch request.command {
    case .status: done(ControlResponse(status: report()))
    case .reload:
      if let hash = request.expectHash, !ControlLine.isHashPrefix(hash) {
        return done(.failure(.badRequest, "\"expect_hash\" is not 12 to 64 of the digits 0-9a-f"))
      }
      daemon.log.info(
        "reload asked for at the control socket", metadata: ["uid": "\(peer.uid)", "pid": "\(peer.pid)"])
      daemon.control.reload(expectedHash: request.expectHash) { done(Self.response(to: $0)) }
      daemon.turn()
    case .plan:
      let answer = daemon.control.plan()
      done(ControlResponse(plan: .init(outcome: answer.outcome, lines: answer.lines.map(LogOutput.redacted))))
    case .poll: poll(request.pipeline, done)
    }
  }

  private static func response(to verdict: ReloadVerdict) -> ControlResponse {
    let told = StatusReport.Verdict(verdict)
    var response = ControlResponse(verdict: told)
    if verdict.result == .refused {
      (response.ok, response.code, response.error) = (false, .refused, told.summary)
    }
    return response
  }

  private func poll(_ pipeline: String?, _ done: @escaping (ControlResponse) -> Void) {
    guard let pipeline else { return done(.failure(.badRequest, "the request has no \"pipeline\"")) }
    daemon.control.poll(pipeline) { outcome in
      guard let outcome else { return done(.failure(.unknownPipeline, "no pipeline \"\(pipeline)\" runs")) }
      done(
        ControlResponse(
          poll: .init(
            pipeline: pipeline, result: outcome.result.rawValue, sequence: outcome.sequence,
            durationNs: outcome.duration, namespaces: outcome.namespaces, socketsReported: outcome.reported,
            rowsEncoded: outcome.encoded)))
    }
  }
}

extension PeerCredentials {
  /// May use the control socket: root, the user that this process runs as, and members of its group.
  func isPermitted(group: UInt32) -> Bool { uid == 0 || uid == ProcessUsage.userID || isMember(of: group) }
}
