import Glibc
import IO
import NIOCore
import NIOPosix

/// The event loop of the main thread: SwiftNIO's, run on the thread that the process began with, so that it costs no thread.
///
/// What is called from it may use everything that belongs to the main thread, and nothing else may.
struct MainLoop {
  let eventLoop: any EventLoop

  /// Turns the calling thread into the loop and calls `body` on it. The process ends inside the loop, by exit(3): SwiftNIO can
  /// leave a loop only with the help of a dispatch queue, which would be a thread.
  static func run(_ body: @escaping (MainLoop) -> Void) -> Never {
    MultiThreadedEventLoopGroup.withCurrentThreadAsEventLoop { body(MainLoop(eventLoop: $0)) }
    exit(EXIT_FAILURE)
  }

  /// Calls `body` on the loop as soon as it is back from what it does now.
  func soon(_ body: @escaping () -> Void) { eventLoop.assumeIsolated().execute(body) }

  /// Calls `body` at a time.
  @discardableResult
  func schedule(at time: MonotonicTime, _ body: @escaping () -> Void) -> Alarm {
    // Both clocks are CLOCK_MONOTONIC.
    let deadline = NIODeadline.uptimeNanoseconds(UInt64(max(0, time.nanoseconds)))
    return Alarm(task: eventLoop.assumeIsolated().scheduleTask(deadline: deadline, body))
  }

  /// Calls `body` after a time.
  @discardableResult
  func schedule(in duration: Duration, _ body: @escaping () -> Void) -> Alarm {
    schedule(at: .now().advanced(by: duration), body)
  }

  /// Something that is called later, unless it is cancelled.
  struct Alarm {
    fileprivate let task: Scheduled<Void>

    func cancel() { task.cancel() }
  }

  /// Reads a descriptor that is not a socket (signalfd, eventfd) whenever there is something, and hands on what was read.
  ///
  /// - Parameter descriptor: stays the caller's; a copy is read.
  func read(_ descriptor: Int32, _ body: @escaping (ByteBuffer) -> Void) throws(SystemError) {
    let copy = try Descriptor.copy(of: descriptor).release()
    let handler = NIOLoopBound(DescriptorReader(body), eventLoop: eventLoop)
    NIOPipeBootstrap(group: eventLoop)
      // A signalfd refuses to fill less than a whole signalfd_siginfo: the size must not follow what was read before.
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: DescriptorReader.capacity))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
      }
      .takingOwnershipOfDescriptor(input: copy)
      .assumeIsolated()
      .whenFailure { error in
        // Nothing outside decides whether this works: the kinds of descriptors are fixed, and a test runs them.
        printError("xtcpd: the main loop cannot read descriptor \(descriptor): \(error)")
        exit(EXIT_FAILURE)
      }
  }
}

/// Hands what a descriptor gives to a closure.
private final class DescriptorReader: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  /// Room for 32 signals.
  static let capacity = 4096

  private let body: (ByteBuffer) -> Void

  init(_ body: @escaping (ByteBuffer) -> Void) { self.body = body }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { body(unwrapInboundIn(data)) }
}
