internal import CLiburing
import Glibc

/// Whose a receive buffer is.
protocol ReceiveBufferLender: AnyObject {
  /// The datagram in it is not needed any more.
  func giveBack(_ index: UInt32)
}

/// A received datagram in a buffer of a port or of readers; the buffer goes back to them when this ends.
///
/// It may outlive them (it keeps the memory), but not leave the thread that it was handed to.
public struct ReceiveBuffer: ~Copyable {
  /// Bytes of one buffer: the kernel caps a datagram of a dump at 32 KiB (net/netlink/af_netlink.c, netlink_dump), more
  /// gains nothing.
  public static let capacity = 32 * 1024

  /// The received bytes; valid for as long as this value lives.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }
  /// The same, for who has to change them.
  public let memory: UnsafeMutableRawBufferPointer
  /// The datagram was longer than the buffer and its end is lost (MSG_TRUNC, recv(2)).
  public let isTruncated: Bool
  private let lender: any ReceiveBufferLender
  private let index: UInt32

  init(lender: any ReceiveBufferLender, index: UInt32, start: UnsafeMutableRawPointer?, length: Int) {
    self.lender = lender
    self.index = index
    memory = UnsafeMutableRawBufferPointer(start: start, count: min(length, Self.capacity))
    isTruncated = length > Self.capacity
  }

  deinit { lender.giveBack(index) }
}

/// The memory of all receive buffers of a port and who has them: in ring mode the kernel picks from a provided-buffer
/// ring (io_uring_register_buf_ring(3)), in syscall mode the port picks from a stack.
///
/// A class, because the port and every buffer lent out keep it alive; its state is raw memory, so no exclusivity is
/// checked.
final class ReceiveBufferPool: ReceiveBufferLender {
  private struct State {
    var free: Int
    var lent = 0
    var highWater = 0
    var waits: UInt64 = 0
  }

  let count: Int
  private let memory: UnsafeMutableRawBufferPointer
  private let state: UnsafeMutablePointer<State>
  /// Syscall mode: the stack of free buffers.
  private let freeIndices: UnsafeMutablePointer<UInt32>
  /// Ring mode: the ring that the kernel reads; `nil` in syscall mode.
  private let provided: UnsafeMutableRawBufferPointer?

  /// Entries of the provided-buffer ring: a power of two, as the kernel wants.
  var providedEntries: UInt32 { UInt32(count.roundedUpToPowerOfTwo) }
  var providedAddress: UInt64 { UInt64(UInt(bitPattern: provided?.baseAddress)) }

  init(count: Int, providesToKernel: Bool) throws(SystemError) {
    let memory = try mapMemory(byteCount: count * ReceiveBuffer.capacity, context: "\(count) receive buffers")
    var provided: UnsafeMutableRawBufferPointer?
    if providesToKernel {
      do throws(SystemError) {
        let byteCount = count.roundedUpToPowerOfTwo * MemoryLayout<io_uring_buf>.stride
        provided = try mapMemory(byteCount: byteCount, context: "ring of \(count) provided buffers")
      } catch {
        unmapMemory(memory)
        throw error
      }
    }
    self.count = count
    self.memory = memory
    self.provided = provided
    state = .allocate(capacity: 1)
    state.initialize(to: State(free: 0))
    freeIndices = .allocate(capacity: count)
    if let ring = providedRing { io_uring_buf_ring_init(ring) }
    for index in (0..<UInt32(count)).reversed() { release(index) }
  }

  deinit {
    unmapMemory(memory)
    if let provided { unmapMemory(provided) }
    state.deallocate()
    freeIndices.deallocate()
  }

  /// Syscall mode: a free buffer, or `nil`.
  func take() -> UInt32? {
    guard state.pointee.free > 0 else { return nil }
    state.pointee.free -= 1
    return freeIndices[state.pointee.free]
  }

  /// A buffer that the kernel or `take` gave out becomes a received datagram of `length` bytes.
  func lend(_ index: UInt32, length: Int) -> ReceiveBuffer {
    state.pointee.lent += 1
    state.pointee.highWater = max(state.pointee.highWater, state.pointee.lent)
    return ReceiveBuffer(lender: self, index: index, start: address(of: index), length: length)
  }

  func giveBack(_ index: UInt32) {
    state.pointee.lent -= 1
    release(index)
  }

  /// Makes a buffer available for receiving.
  func release(_ index: UInt32) {
    if let ring = providedRing {
      let mask = io_uring_buf_ring_mask(providedEntries)
      io_uring_buf_ring_add(ring, address(of: index), UInt32(ReceiveBuffer.capacity), UInt16(index), mask, 0)
      io_uring_buf_ring_advance(ring, 1)
    } else {
      freeIndices[state.pointee.free] = index
      state.pointee.free += 1
    }
  }

  /// A receive ended because no buffer was free.
  func countWait() { state.pointee.waits &+= 1 }

  func address(of index: UInt32) -> UnsafeMutableRawPointer? {
    memory.baseAddress.map { $0 + Int(index) * ReceiveBuffer.capacity }
  }

  var gauges: PoolGauges {
    let state = state.pointee
    return PoolGauges(size: count, inUse: state.lent, highWater: state.highWater, waits: state.waits)
  }

  private var providedRing: UnsafeMutablePointer<io_uring_buf_ring>? {
    provided?.baseAddress?.assumingMemoryBound(to: io_uring_buf_ring.self)
  }
}

extension Int {
  /// The least power of two that is not below this number; 1 for what is below 1.
  var roundedUpToPowerOfTwo: Int {
    self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount)
  }
}
