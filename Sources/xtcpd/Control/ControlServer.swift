import IO
import Logging
import NIOCore
import NIOPosix

/// Accepts the clients of the control socket that may use it. Belongs to the main thread.
final class ControlServer {
  /// Clients at once.
  static let maximumConnections = 16

  private let service: ControlService
  private let loop: MainLoop
  private let log: Logger
  /// Whose members may connect.
  private let group: UInt32
  private let file: SocketFile
  private var connections = 0
  private var channel: (any Channel)?

  /// Begins to accept.
  init(
    _ listener: consuming UnixListener, group: UInt32, service: ControlService, loop: MainLoop, log: Logger
  ) throws(SystemError) {
    self.service = service
    self.loop = loop
    self.log = log
    self.group = group
    file = try listener.publish()
    let server = NIOLoopBound(self, eventLoop: loop.eventLoop)
    ServerBootstrap(group: loop.eventLoop)
      // `printf ... | nc -U` closes its side before the answer is there.
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try server.value.accept(channel) }
      }
      .withBoundSocket(listener.release())
      .assumeIsolated()
      .whenComplete { result in
        switch result {
        case .success(let channel): server.value.channel = channel
        case .failure(let error): server.value.log.error("the control socket accepts nobody: \(error)")
        }
      }
  }

  /// What is bound, for another server to take its place.
  var socketFile: SocketFile { file }

  /// Accepts nobody any more and removes the socket; clients that are connected stay.
  func close() {
    file.remove()
    channel?.close(promise: nil)
  }

  private func accept(_ channel: any Channel) throws {
    let peer = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
      try PeerCredentials(ofPeerAt: $0)
    }
    guard let peer, peer.isPermitted(group: group) else {
      if let peer { log.warning("the control socket refused user \(peer.uid) (process \(peer.pid))") }
      return turnAway(channel, .notPermitted, "only root, the user of the daemon and the group of the socket may ask")
    }
    guard connections < Self.maximumConnections else {
      return turnAway(channel, .tooManyConnections, "\(connections) clients are connected, which is the most")
    }
    try channel.pipeline.syncOperations.addHandler(ControlConnection(service, peer: peer, loop: loop))
    connections += 1
    channel.closeFuture.assumeIsolated().whenComplete { [self] _ in connections -= 1 }
  }

  /// Tells the client why, and closes; at once if it does not take even that.
  private func turnAway(_ channel: any Channel, _ code: ControlResponse.Code, _ reason: String) {
    loop.soon {
      ControlConnection.write(.failure(code, reason), to: channel).whenComplete { _ in channel.close(promise: nil) }
    }
    loop.schedule(in: .seconds(1)) { channel.close(promise: nil) }
  }
}
