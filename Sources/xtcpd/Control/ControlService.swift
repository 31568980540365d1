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
  ///
  /// - Parameter peer: who asks; that it may ask at all has been checked.
  func answer(_ line: [UInt8], from peer: PeerCredentials, _ done: @escaping (ControlResponse) -> Void) {
    switch ControlLine.request(from: line) {
    case .failure(let mistake): done(.failure(.badRequest, mistake.text))
    case .success(let request): answer(request, from: peer, done)
    }
  }

  private func answer(
    _ request: ControlRequest, from peer: PeerCredentials, _ done: @escaping (ControlResponse) -> Void
  ) {
    switch request.command {
    case .status: done(ControlResponse(status: report()))
    case .reload: daemon.reload { done(Self.response(to: $0, expecting: request.expectHash)) }
    case .plan: done(plan(request.config, for: peer))
    case .poll: poll(request.pipeline, done)
    }
  }

  private static func response(to verdict: ReloadVerdict, expecting hash: String?) -> ControlResponse {
    var response = ControlResponse(verdict: StatusReport.Verdict(verdict))
    if verdict.result == .refused {
      (response.ok, response.code, response.error) = (false, .refused, verdict.summary)
    } else if let hash, hash != verdict.hash {
      (response.ok, response.code) = (false, .hashMismatch)
      response.error = "the configuration that runs now has the hash \(verdict.hash), not \(hash)"
    }
    return response
  }

  /// Another file than the daemon's own is read only for those who could read every file anyway: the diagnostics of a
  /// configuration show lines of it.
  private func plan(_ path: String?, for peer: PeerCredentials) -> ControlResponse {
    if let path, path != daemon.control.status().configuration.path {
      guard path.hasPrefix("/") else { return .failure(.badRequest, "\"config\" must be an absolute path") }
      guard peer.isPowerful else {
        return .failure(
          .notPermitted, "only root and the user of the daemon may have another file read than its own configuration")
      }
    }
    let answer = daemon.control.plan(path)
    return ControlResponse(plan: .init(outcome: answer.outcome, lines: answer.lines))
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
  /// Root, or the user that this process runs as.
  var isPowerful: Bool { uid == 0 || uid == ProcessUsage.userID }

  /// May use the control socket.
  func isPermitted(group: UInt32) -> Bool { isPowerful || isMember(of: group) }
}
