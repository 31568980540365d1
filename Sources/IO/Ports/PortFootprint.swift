internal import CLiburing
import Glibc

/// What a port takes, known before it is opened: the sizes are those by which `RingPort` and `SyscallPort` allocate.
public struct PortFootprint: Equatable, Sendable {
  /// Bytes of the receive buffers, the operations pool and the ring.
  public var memory: Int
  /// Bytes of those that the kernel counts against RLIMIT_MEMLOCK if it counts rings (before 5.12, from 6.14 on) and the
  /// process lacks CAP_IPC_LOCK.
  public var lockedMemory: Int
  /// Descriptors.
  public var descriptors: Int

  /// Of a port that is opened by `choice`. For `auto` the greater of both, as it may come to either.
  public init(_ choice: PortChoice, _ options: PortOptions) {
    let buffers = Self.pages(options.receiveBuffers * ReceiveBuffer.capacity) + options.receiveBuffers * Self.poolSlot
    let operations = options.operations * (MemoryLayout<Operation>.stride + Self.poolSlot)
    let ring = choice == .syscall ? 0 : Self.ring(options)
    memory = buffers + operations + ring
    lockedMemory = ring
    // A ring is one descriptor; plain calls have three epoll sets and a timer.
    descriptors = choice == .ioUring ? 1 : 4
  }

  /// Bytes a pool's slot costs beside its element: the index in the stack of free ones, and its holders.
  private static let poolSlot = 2 * MemoryLayout<UInt32>.stride

  /// The two queues, the SQEs, and the ring of provided buffers, each rounded up to pages: io_uring/io_uring.c, rings_size().
  private static func ring(_ options: PortOptions) -> Int {
    let submissions = options.ringSubmissions.roundedUpToPowerOfTwo
    let completions = options.ringCompletions.roundedUpToPowerOfTwo
    let queues =
      ringHeader + completions * MemoryLayout<io_uring_cqe>.stride + submissions * MemoryLayout<UInt32>.stride
    let provided = options.receiveBuffers.roundedUpToPowerOfTwo * MemoryLayout<io_uring_buf>.stride
    return pages(queues) + pages(submissions * MemoryLayout<io_uring_sqe>.stride) + pages(provided)
  }

  /// struct io_rings without its CQEs, and what aligns the array of SQE indices; the kernel keeps its layout to itself.
  private static let ringHeader = 512

  private static func pages(_ bytes: Int) -> Int {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    return (bytes + page - 1) / page * page
  }
}
