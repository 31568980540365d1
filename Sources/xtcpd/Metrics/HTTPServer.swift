import IO
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// The HTTP/1 server of /metrics, /healthz and /readyz. Belongs to the main thread.
final class HTTPServer {
  /// Clients at once; what is beyond is closed at once.
  static let maximumConnections = 32
  /// Bytes of one request, from its first line to the end of a body that nobody asked for.
  static let longestRequest = 8 << 10
  /// How long a client may take from one answer to its next whole request, and to take in an answer.
  static let patience = Duration.seconds(30)

  /// An answer without its head.
  struct Answer {
    var status = HTTPResponseStatus.ok
    var contentType = "text/plain; charset=utf-8"
    var text: String
  }

  /// Where it listens, with the port that the kernel chose if 0 was asked for.
  let address: String
  private let answer: (String) -> Answer?
  private let loop: MainLoop
  private var connections = 0
  private var channel: (any Channel)?

  /// Begins to accept.
  ///
  /// - Parameter answer: of a path without its query; nil: 404.
  init(
    _ listener: consuming TCPListener, host: String, loop: MainLoop, log: Logger,
    _ answer: @escaping (String) -> Answer?
  ) {
    address = host.contains(":") ? "[\(host)]:\(listener.port)" : "\(host):\(listener.port)"
    self.answer = answer
    self.loop = loop
    let server = NIOLoopBound(self, eventLoop: loop.eventLoop)
    ServerBootstrap(group: loop.eventLoop)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try server.value.accept(channel) }
      }
      .withBoundSocket(listener.release())
      .assumeIsolated()
      .whenComplete { result in
        switch result {
        case .success(let channel): server.value.channel = channel
        case .failure(let error): log.error("the HTTP server accepts nobody: \(error)")
        }
      }
  }

  /// Accepts nobody any more; clients that are connected stay until they are silent for too long.
  func close() { channel?.close(promise: nil) }

  private struct TooManyConnections: Error {}

  private func accept(_ channel: any Channel) throws {
    guard connections < Self.maximumConnections else { throw TooManyConnections() }
    let budget = RequestBudget()
    let operations = channel.pipeline.syncOperations
    try operations.addHandler(budget)
    try operations.configureHTTPServerPipeline(withErrorHandling: true)
    try operations.addHandler(HTTPConnection(loop: loop, budget: budget, answer))
    connections += 1
    channel.closeFuture.assumeIsolated().whenComplete { [self] _ in connections -= 1 }
  }
}

/// Ends a connection whose request is longer than `HTTPServer.longestRequest`, before anything looks at it.
final class RequestBudget: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private var left = HTTPServer.longestRequest

  /// The next request begins.
  func renew() { left = HTTPServer.longestRequest }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard left >= 0 else { return }
    left -= unwrapInboundIn(data).readableBytes
    if left >= 0 { return context.fireChannelRead(data) }
    let answer = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer))).assumeIsolated()
      .whenComplete { _ in context.close(promise: nil) }
  }
}

/// One client of the HTTP server.
private final class HTTPConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let answer: (String) -> HTTPServer.Answer?
  private let budget: RequestBudget
  private let loop: MainLoop
  private var head: HTTPRequestHead?
  private var alarm: MainLoop.Alarm?

  init(loop: MainLoop, budget: RequestBudget, _ answer: @escaping (String) -> HTTPServer.Answer?) {
    self.answer = answer
    self.budget = budget
    self.loop = loop
  }

  func handlerAdded(context: ChannelHandlerContext) { beginWait(context) }

  func handlerRemoved(context: ChannelHandlerContext) { alarm?.cancel() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): self.head = head
    case .body: break
    case .end:
      guard let head else { return }
      budget.renew()
      respond(to: head, context)
    }
  }

  private func respond(to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let answer = Self.answer(to: head, answer)
    var headers = HTTPHeaders([
      ("content-type", answer.contentType), ("content-length", String(answer.text.utf8.count)),
    ])
    if answer.status == .methodNotAllowed { headers.add(name: "allow", value: "GET, HEAD") }
    if !head.isKeepAlive { headers.add(name: "connection", value: "close") }
    let response = HTTPResponseHead(version: head.version, status: answer.status, headers: headers)
    context.write(wrapOutboundOut(.head(response)), promise: nil)
    if head.method != .HEAD {
      context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.text)))), promise: nil)
    }
    beginWait(context)
    context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { [self] _ in
      if head.isKeepAlive { beginWait(context) } else { context.close(promise: nil) }
    }
  }

  private static func answer(
    to head: HTTPRequestHead, _ answer: (String) -> HTTPServer.Answer?
  ) -> HTTPServer.Answer {
    guard head.method == .GET || head.method == .HEAD else {
      return HTTPServer.Answer(status: .methodNotAllowed, text: "only GET and HEAD\n")
    }
    let path = String(head.uri.prefix { $0 != "?" })
    return answer(path)
      ?? HTTPServer.Answer(status: .notFound, text: "there are /metrics, /healthz and /readyz\n")
  }

  private func beginWait(_ context: ChannelHandlerContext) {
    alarm?.cancel()
    alarm = loop.schedule(in: HTTPServer.patience) { context.close(promise: nil) }
  }
}
