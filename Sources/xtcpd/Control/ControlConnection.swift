import IO
import NIOCore

/// One client of the control socket: takes lines, one at a time, and writes the answers.
///
/// While a request is being answered nothing more is read, so that a client can make the daemon hold no more than one request and
/// one answer.
final class ControlConnection: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// How long a client may take for one line, and to take in an answer.
  static let patience = Duration.seconds(10)

  private let service: ControlService
  private let peer: PeerCredentials
  private let loop: MainLoop
  /// Nil once the connection is over.
  private var context: ChannelHandlerContext?
  private var unread = ByteBuffer()
  private var isAnswering = false
  private var wantsToRead = false
  private var isInputOver = false
  private var alarm: MainLoop.Alarm?

  init(_ service: ControlService, peer: PeerCredentials, loop: MainLoop) {
    self.service = service
    self.peer = peer
    self.loop = loop
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) {
    alarm?.cancel()
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    unread.writeBuffer(&bytes)
    if !isAnswering { takeLine() }
  }

  func read(context: ChannelHandlerContext) {
    if isAnswering { wantsToRead = true } else { context.read() }
  }

  /// The client has sent everything; it may still wait for the answer.
  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case ChannelEvent.inputClosed = event else { return context.fireUserInboundEventTriggered(event) }
    isInputOver = true
    if !isAnswering { context.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  private func takeLine() {
    while true {
      let line = unread.readableBytesView.prefix(ControlLine.longestRequest + 1)
      guard let newline = line.firstIndex(of: UInt8(ascii: "\n")) else { break }
      let bytes = Array(line[..<newline])
      unread.moveReaderIndex(forwardBy: bytes.count + 1)
      alarm?.cancel()
      alarm = nil
      guard bytes.contains(where: { $0 > UInt8(ascii: " ") }) else { continue }
      return answer(bytes)
    }
    unread.discardReadBytes()
    if unread.readableBytes > ControlLine.longestRequest {
      return refuse("a request has at most \(ControlLine.longestRequest) bytes")
    }
    if isInputOver {
      context?.close(promise: nil)
    } else if unread.readableBytes > 0, alarm == nil {
      alarm = loop.schedule(in: Self.patience) { [weak self] in
        self?.refuse("the line did not end within \(Self.patience.components.seconds) s")
      }
    }
  }

  private func answer(_ line: [UInt8]) {
    isAnswering = true
    // From a task of its own: what is called now may be called by the daemon, which is not to be asked while it turns; and an
    // answer that is there at once would lead to the next line on the same stack, as deep as the client likes.
    loop.soon { [self] in
      // The answer may come when the client has gone.
      service.answer(line, from: peer) { [weak self] response in
        self?.write(response) { [weak self] in self?.goOn() }
      }
    }
  }

  private func goOn() {
    isAnswering = false
    takeLine()
    guard !isAnswering, wantsToRead else { return }
    wantsToRead = false
    context?.read()
  }

  private func refuse(_ reason: String) {
    isAnswering = true
    write(.failure(.badRequest, reason)) { [weak self] in self?.context?.close(promise: nil) }
  }

  private func write(_ response: ControlResponse, _ done: @escaping () -> Void) {
    guard let context else { return }
    let written = ControlConnection.write(response, to: context.channel)
    alarm = loop.schedule(in: Self.patience) { [weak self] in self?.context?.close(mode: .all, promise: nil) }
    written.assumeIsolated().whenSuccess { [weak self] in
      self?.alarm?.cancel()
      self?.alarm = nil
      done()
    }
  }

  /// Writes one line to a connection.
  static func write(_ response: ControlResponse, to channel: any Channel) -> EventLoopFuture<Void> {
    channel.eventLoop.makeCompletedFuture { try ControlLine.encode(response) }
      .flatMap { channel.writeAndFlush(ByteBuffer(bytes: $0 + [UInt8(ascii: "\n")])) }
  }
}
