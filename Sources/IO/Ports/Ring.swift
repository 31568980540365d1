internal import CLiburing
import Glibc

/// One io_uring instance over liburing: submission and completion queue and the registered buffer ring.
///
/// It has one owner and belongs to the thread that made it (IORING_SETUP_SINGLE_ISSUER). It knows nothing of
/// operations: SQEs go in, CQEs come out. See io_uring(7).
struct Ring: ~Copyable {
  /// A copied CQE: the queue's own entry is released before anybody acts on it.
  struct Event {
    var userData: UInt64
    var result: Int32
    var flags: UInt32
    /// See `Completion.completedAt`.
    var completedAt: Int64

    var hasMore: Bool { flags & UInt32(IORING_CQE_F_MORE) != 0 }
    var bufferIndex: UInt32? { flags & UInt32(IORING_CQE_F_BUFFER) != 0 ? flags >> 16 : nil }
  }

  /// CQEs up to `tail` had been posted at `time`: the clock is read once for each call into the kernel, not for each
  /// CQE.
  private struct Stamp {
    var tail: UInt32 = 0
    var time: Int64 = 0
  }
  private struct Stamps {
    var older = Stamp()
    var newest = Stamp()
  }

  static let bufferGroup: UInt16 = 0

  private let ring: UnsafeMutablePointer<io_uring>
  private let stamps: UnsafeMutablePointer<Stamps>

  /// Sets up a ring for `submissions` SQEs and `completions` CQEs (rounded up to powers of two, clamped to what the
  /// kernel allows).
  init(submissions: Int, completions: Int) throws(PortError) {
    let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
    ring.initialize(to: io_uring())
    var parameters = io_uring_params()
    // COOP_TASKRUN saves the interrupts, TASKRUN_FLAG shows that work waits; unlike DEFER_TASKRUN this pair wakes an
    // epoll on the ring. SUBMIT_ALL: an SQE that fails at once gets its CQE and does not hold up those behind it.
    parameters.flags =
      UInt32(IORING_SETUP_CQSIZE) | UInt32(IORING_SETUP_CLAMP) | UInt32(IORING_SETUP_SUBMIT_ALL)
      | UInt32(IORING_SETUP_COOP_TASKRUN) | UInt32(IORING_SETUP_TASKRUN_FLAG) | UInt32(IORING_SETUP_SINGLE_ISSUER)
    parameters.cq_entries = UInt32(completions.roundedUpToPowerOfTwo)
    let code = io_uring_queue_init_params(UInt32(submissions.roundedUpToPowerOfTwo), ring, &parameters)
    guard code == 0 else {
      ring.deallocate()
      throw PortError.explainingRing("io_uring_setup", errno: -code)
    }
    self.ring = ring
    stamps = .allocate(capacity: 1)
    stamps.initialize(to: Stamps())
  }

  deinit {
    io_uring_queue_exit(ring)
    ring.deallocate()
    stamps.deallocate()
  }

  /// The ring's descriptor; epoll sees it readable while CQEs wait.
  var descriptor: Int32 { ring.pointee.ring_fd }

  /// Gives the kernel a provided-buffer ring to pick receive buffers from.
  func register(_ buffers: borrowing ReceiveBufferPool) throws(PortError) {
    var registration = io_uring_buf_reg()
    registration.ring_addr = buffers.providedAddress
    registration.ring_entries = buffers.providedEntries
    registration.bgid = Self.bufferGroup
    let code = io_uring_register_buf_ring(ring, &registration, 0)
    guard code == 0 else { throw PortError.explainingRing("io_uring_register_buf_ring", errno: -code) }
  }

  /// Bounds the io-wq workers of the calling thread (not only of this ring): `bounded` for regular files, `unbounded`
  /// for the rest; 0 leaves a limit as it is. Returns the limits that held before.
  /// io_uring_register_iowq_max_workers(3).
  @discardableResult
  func limitWorkers(bounded: UInt32, unbounded: UInt32) throws(SystemError) -> (bounded: UInt32, unbounded: UInt32) {
    var limits: (UInt32, UInt32) = (bounded, unbounded)
    let code = withUnsafeMutableBytes(of: &limits) { bytes in
      io_uring_register_iowq_max_workers(ring, bytes.assumingMemoryBound(to: UInt32.self).baseAddress)
    }
    guard code == 0 else { throw SystemError("io_uring_register_iowq_max_workers", errno: -code) }
    return limits
  }

  /// An SQE to fill in, or `nil` if the queue is full. An SQE that was returned will be submitted.
  func nextEntry() -> UnsafeMutablePointer<io_uring_sqe>? { io_uring_get_sqe(ring) }

  /// SQEs that `nextEntry` would give now, and after everything has been submitted.
  var room: Int { Int(io_uring_sq_space_left(ring)) }
  var capacity: Int { Int(ring.pointee.sq.ring_entries) }

  /// SQEs that the kernel has not taken yet.
  var unsubmitted: UInt32 { io_uring_sq_ready(ring) }

  /// CQEs are here, or the kernel has some that one call would bring.
  var hasPending: Bool { io_uring_cq_ready(ring) > 0 || needsFlush }

  /// Submits what is queued; one io_uring_enter(2). Returns 0 or a negative errno value; what was not taken stays
  /// queued.
  func submit() -> Int32 {
    guard unsubmitted > 0 else { return 0 }
    let code = io_uring_submit(ring)
    stamp()
    return min(code, 0)
  }

  /// Copies at most as many CQEs as `events` has room for and releases them; never waits.
  /// Returns the number, or a negative errno value if the kernel could not post what it holds back.
  func take(into events: UnsafeMutableBufferPointer<Event>) -> Int32 {
    if io_uring_cq_ready(ring) < events.count, needsFlush {
      let code = io_uring_get_events(ring)
      stamp()
      if code < 0, io_uring_cq_ready(ring) == 0 { return code }
    }
    let count = min(io_uring_cq_ready(ring), UInt32(events.count))
    let queue = ring.pointee.cq
    let head = queue.khead.pointee
    var now: Int64 = 0
    for offset in 0..<count {
      let position = head &+ offset
      let entry = queue.cqes + Int(position & queue.ring_mask)
      events[Int(offset)] = Event(
        userData: entry.pointee.user_data, result: entry.pointee.res, flags: entry.pointee.flags,
        completedAt: time(ofPosition: position, now: &now))
    }
    io_uring_cq_advance(ring, count)
    return Int32(count)
  }

  /// Task work or overflown CQEs wait in the kernel (io_uring_enter(2), IORING_SQ_TASKRUN and IORING_SQ_CQ_OVERFLOW).
  private var needsFlush: Bool {
    ring.pointee.sq.kflags.pointee & UInt32(IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN) != 0
  }

  /// Notes what has been posted by now. Two stamps are kept, so that CQEs left over from an earlier call keep their
  /// time.
  private func stamp() {
    let head = ring.pointee.cq.khead.pointee
    let tail = head &+ io_uring_cq_ready(ring)
    let (newest, older) = (stamps.pointee.newest, stamps.pointee.older)
    if Int32(bitPattern: newest.tail &- head) > 0 {
      // Something that `newest` speaks of is still here. If `older` does so too, the earlier time holds for both.
      let keepsOlder = Int32(bitPattern: older.tail &- head) > 0
      stamps.pointee.older = Stamp(tail: newest.tail, time: keepsOlder ? older.time : newest.time)
    } else {
      stamps.pointee.older = Stamp(tail: head, time: 0)
    }
    stamps.pointee.newest = Stamp(tail: tail, time: wallClockNanoseconds())
  }

  /// When the CQE at a position of the queue was posted; `now`, read at most once, for what came between two calls.
  private func time(ofPosition position: UInt32, now: inout Int64) -> Int64 {
    if Int32(bitPattern: stamps.pointee.older.tail &- position) > 0 { return stamps.pointee.older.time }
    if Int32(bitPattern: stamps.pointee.newest.tail &- position) > 0 { return stamps.pointee.newest.time }
    if now == 0 { now = wallClockNanoseconds() }
    return now
  }
}
