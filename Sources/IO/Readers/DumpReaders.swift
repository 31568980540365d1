import Glibc

/// Threads that perform netlink dumps for a loop, so that the kernel's walks run on more than one core: what a dump costs is spent
/// inside send(2) and recv(2), by the thread that makes the call.
///
/// The loop hands over a socket and a request, and collects what was received when `pollable` says that there is something. A
/// reader sends, receives until the kernel has nothing more at once (it fills the next datagram of a dump before recv(2) returns, see
/// netlink_recvmsg in net/netlink/af_netlink.c), and takes the next one. Without a free buffer it waits, and the kernel with it.
///
/// Used by the thread that made it, but for what is said otherwise. Nothing allocates after the start.
public final class DumpReaders {
  /// Buffers of each reader, 1 MiB: what it receives while the loop is inside a long call of its own.
  public static let buffersPerReader = 32
  /// Dumps that may be handed over for each reader: one to perform, one to go on with.
  public static let dumpsPerReader = 2

  /// What a reader has to say of a dump.
  public enum Event: ~Copyable {
    /// A reader has begun with it: until then it was in line.
    case begun(owner: UInt32)
    /// - Parameter filledAt: wall clock, nanoseconds, at which the kernel filled it.
    case received(owner: UInt32, ReceiveBuffer, filledAt: Int64)
    /// The reader is through with it: 0, the kernel has nothing more; else the errno value of what went wrong, ECANCELED if it was
    /// cancelled. The last event of a dump.
    case ended(owner: UInt32, errno: Int32)
  }

  private let shared: ReaderState
  private var threads: [Box] = []
  private let room: Int
  private let scratch: UnsafeMutableBufferPointer<ReaderState.Note>

  /// Starts the threads.
  ///
  /// - Parameters:
  ///   - count: of threads, at least 1.
  ///   - owners: owners are below this number.
  ///   - name: of the threads, to be followed by a number.
  public init(count: Int, owners: Int, name: String) throws(SystemError) {
    room = count * Self.dumpsPerReader
    let shared = try ReaderState(buffers: count * Self.buffersPerReader, dumps: room, owners: owners)
    self.shared = shared
    scratch = .allocate(capacity: shared.mostNotes)
    do throws(SystemError) {
      for number in 0..<count { threads.append(Box(try WorkerThread(name: "\(name)\(number)") { shared.run() })) }
    } catch {
      stop()
      throw error
    }
  }

  deinit {
    stop()
    scratch.deallocate()
  }

  /// A thread can be joined once.
  private final class Box {
    private var thread: WorkerThread?

    init(_ thread: consuming WorkerThread) { self.thread = consume thread }

    func join() { if let thread = thread.take() { thread.join() } }
  }

  /// For poll: readable while there is something to collect. Owned by the readers.
  public var pollable: Int32 { shared.wakeup.pollable }

  /// Another dump can be handed over.
  public var hasRoom: Bool { handedOver < room }
  /// Some reader has nothing to do.
  public var isIdle: Bool { handedOver < threads.count }
  /// Dumps that have been handed over and have not ended.
  public private(set) var handedOver = 0

  /// Has a dump performed. Socket and request stay as they are until it has ended; nobody else sends or receives on the socket.
  ///
  /// - Parameter isAnsweredAtOnce: the kernel fills all datagrams when the request is sent, as it does for single sockets; else each
  ///   when the one before it is received.
  public func perform(
    _ socket: borrowing Descriptor, _ request: UnsafeRawBufferPointer, owner: UInt32, isAnsweredAtOnce: Bool = false
  ) {
    handedOver += 1
    shared.add(
      ReaderState.Job(
        descriptor: socket.raw, request: request, owner: owner, isAnsweredAtOnce: isAnsweredAtOnce))
  }

  /// Ends a dump that was handed over after the call that it is in. Its last event still comes.
  public func cancel(owner: UInt32) { shared.cancel(owner) }

  /// Has the threads run on these CPUs only, from their next dump on; none: on all that the process was given.
  public func runOn(cpus: [Int]) { shared.runOn(cpus) }

  /// Hands what has come so far to `body`.
  public func collect(_ body: (consuming Event) -> Void) {
    let count = shared.take(into: scratch)
    for note in scratch[..<count] {
      switch note {
      case .begun(let owner): body(.begun(owner: owner))
      case .received(let owner, let buffer, let length, let filledAt):
        body(.received(owner: owner, shared.lend(buffer, length: length), filledAt: filledAt))
      case .ended(let owner, let errno):
        handedOver -= 1
        body(.ended(owner: owner, errno: errno))
      }
    }
  }

  /// Ends the threads after the calls that they are in, and waits for that.
  public func stop() {
    shared.stop()
    for thread in threads { thread.join() }
    threads.removeAll()
  }

  public var gauges: PoolGauges { shared.gauges }

  /// Bytes of memory.
  public static func memory(count: Int) -> Int { count * buffersPerReader * ReceiveBuffer.capacity }
}

/// What the loop and its readers share, under one lock.
final class ReaderState: ReceiveBufferLender, @unchecked Sendable {
  struct Job {
    let descriptor: Int32
    let request: UnsafeRawBufferPointer
    let owner: UInt32
    let isAnsweredAtOnce: Bool
  }

  /// An event as it is passed on: with the number of a buffer in place of the buffer.
  enum Note {
    case begun(owner: UInt32)
    case received(owner: UInt32, buffer: UInt32, length: Int, filledAt: Int64)
    case ended(owner: UInt32, errno: Int32)
  }

  let wakeup: Wakeup
  let mostNotes: Int
  private let buffers: Int
  private let memory: UnsafeMutableRawBufferPointer
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  /// There is something to do.
  private let hasJobs: UnsafeMutablePointer<pthread_cond_t>
  /// A buffer has come back, or a dump has been cancelled.
  private let hasBuffers: UnsafeMutablePointer<pthread_cond_t>

  // Under the lock.
  private var jobs: FixedQueue<Job>
  private var notes: FixedQueue<Note>
  private let free: UnsafeMutablePointer<UInt32>
  private var freeCount: Int
  private let cancelled: UnsafeMutablePointer<Bool>
  private var isStopping = false
  /// The CPUs to run on, and how often they have changed.
  private var cpus: (list: [Int], change: Int) = ([], 0)
  private var highWater = 0
  private var waits: UInt64 = 0

  init(buffers: Int, dumps: Int, owners: Int) throws(SystemError) {
    wakeup = try Wakeup()
    memory = try mapMemory(byteCount: buffers * ReceiveBuffer.capacity, context: "\(buffers) buffers of readers")
    self.buffers = buffers
    mostNotes = buffers + 2 * dumps
    jobs = FixedQueue(capacity: dumps)
    notes = FixedQueue(capacity: mostNotes)
    free = .allocate(capacity: buffers)
    for index in 0..<buffers { (free + index).initialize(to: UInt32(index)) }
    freeCount = buffers
    cancelled = .allocate(capacity: owners)
    cancelled.initialize(repeating: false, count: owners)
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    hasJobs = .allocate(capacity: 1)
    hasJobs.initialize(to: pthread_cond_t())
    pthread_cond_init(hasJobs, nil)
    hasBuffers = .allocate(capacity: 1)
    hasBuffers.initialize(to: pthread_cond_t())
    pthread_cond_init(hasBuffers, nil)
  }

  deinit {
    pthread_cond_destroy(hasJobs)
    pthread_cond_destroy(hasBuffers)
    pthread_mutex_destroy(mutex)
    hasJobs.deallocate()
    hasBuffers.deallocate()
    mutex.deallocate()
    cancelled.deallocate()
    free.deallocate()
    unmapMemory(memory)
  }

  private func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  // MARK: The loop

  func add(_ job: Job) {
    locked {
      cancelled[Int(job.owner)] = false
      _ = jobs.push(job)
      pthread_cond_signal(hasJobs)
    }
  }

  func cancel(_ owner: UInt32) {
    locked {
      cancelled[Int(owner)] = true
      pthread_cond_broadcast(hasBuffers)
    }
  }

  func runOn(_ list: [Int]) { locked { cpus = (list, cpus.change + 1) } }

  func stop() {
    locked {
      isStopping = true
      pthread_cond_broadcast(hasJobs)
      pthread_cond_broadcast(hasBuffers)
    }
  }

  /// - Parameter scratch: room for `mostNotes`.
  func take(into scratch: UnsafeMutableBufferPointer<Note>) -> Int {
    wakeup.drain()
    return locked {
      var count = 0
      while let note = notes.pop() {
        scratch.initializeElement(at: count, to: note)
        count += 1
      }
      return count
    }
  }

  func lend(_ index: UInt32, length: Int) -> ReceiveBuffer {
    ReceiveBuffer(lender: self, index: index, start: address(of: index), length: length)
  }

  func giveBack(_ index: UInt32) {
    locked { putBack(index) }
  }

  var gauges: PoolGauges {
    locked { PoolGauges(size: buffers, inUse: buffers - freeCount, highWater: highWater, waits: waits) }
  }

  // MARK: The readers

  /// The body of each thread.
  func run() {
    var change = 0
    while let job = nextJob() {
      let cpus = locked { self.cpus }
      if cpus.change != change {
        change = cpus.change
        // CPUs that are not there: it goes on where it is. The loop, which asks for the same, says so.
        try? Affinity.pin(to: cpus.list)
      }
      note(.ended(owner: job.owner, errno: perform(job)))
    }
  }

  private func nextJob() -> Job? {
    locked {
      while jobs.isEmpty, !isStopping { pthread_cond_wait(hasJobs, mutex) }
      return isStopping ? nil : jobs.pop()
    }
  }

  /// Returns the errno value of what ended it, 0 if the kernel has nothing more.
  private func perform(_ job: Job) -> Int32 {
    note(.begun(owner: job.owner))
    guard let first = takeBuffer(for: job.owner) else { return ECANCELED }
    var buffer = first
    var filledAt = wallClockNanoseconds()
    let sent = retryingOnInterrupt {
      send(job.descriptor, job.request.baseAddress, job.request.count, KernelConstant.MSG_NOSIGNAL)
    }
    guard sent >= 0 else {
      let code = errno
      locked { putBack(buffer) }
      return code
    }
    while true {
      let length = retryingOnInterrupt {
        recv(
          job.descriptor, address(of: buffer), ReceiveBuffer.capacity,
          KernelConstant.MSG_DONTWAIT | KernelConstant.MSG_TRUNC)
      }
      let code = errno
      guard length > 0 else {
        locked { putBack(buffer) }
        return length == 0 || code == EAGAIN ? 0 : code
      }
      note(.received(owner: job.owner, buffer: buffer, length: length, filledAt: filledAt))
      if !job.isAnsweredAtOnce { filledAt = wallClockNanoseconds() }
      guard let next = takeBuffer(for: job.owner) else { return ECANCELED }
      buffer = next
    }
  }

  /// Waits for a free buffer; nil if the dump is over by that.
  private func takeBuffer(for owner: UInt32) -> UInt32? {
    locked {
      if freeCount == 0 { waits += 1 }
      while freeCount == 0, !isStopping, !cancelled[Int(owner)] { pthread_cond_wait(hasBuffers, mutex) }
      guard !isStopping, !cancelled[Int(owner)] else { return nil }
      freeCount -= 1
      highWater = max(highWater, buffers - freeCount)
      return free[freeCount]
    }
  }

  private func note(_ note: Note) {
    let isFirst = locked {
      let isFirst = notes.isEmpty
      _ = notes.push(note)
      return isFirst
    }
    if isFirst { wakeup.signal() }
  }

  /// Under the lock.
  private func putBack(_ index: UInt32) {
    free[freeCount] = index
    freeCount += 1
    pthread_cond_broadcast(hasBuffers)
  }

  private func address(of index: UInt32) -> UnsafeMutableRawPointer? {
    memory.baseAddress.map { $0 + Int(index) * ReceiveBuffer.capacity }
  }
}
