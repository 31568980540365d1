import Glibc
import IO

/// Where the queue of a sink keeps on disk what has no room in memory.
public struct SpoolPlace: Sendable, Equatable {
  /// A directory of this queue alone, made when it is needed.
  public var directory: String
  /// Bytes of all files in it.
  public var limit: Int

  public init(directory: String, limit: Int) {
    self.directory = directory
    self.limit = limit
  }
}

/// The part of a queue that is on disk: a file for each batch, in the order of their numbers. Batches come in at its end, are written one
/// after the other, and leave at its front, read one after the other; a file is removed when its batch is delivered or dropped.
///
/// A file has another name until it is whole, so what an end at any moment leaves is whole files. It belongs to one queue at a time, and
/// moves with it to another sink.
final class Spool: @unchecked Sendable {
  private(set) var place: SpoolPlace
  /// Whole files that are not in memory, oldest first, from `head` on.
  private var segments: [Segment] = []
  private var head = 0
  /// Files whose batches are in memory, by number.
  private var loaded: [UInt64: Segment] = [:]
  /// Batches that wait to be written; the first one is while `writing` is not nil.
  private var pending: [SegmentImage] = []
  private var writing: Work?
  private var reading: Work?
  private var ready: BatchCopy?
  private var nextNumber: UInt64
  private var firstNumber: UInt64
  private var isMade = false
  /// Bytes on disk and on the way there.
  private(set) var bytes = 0
  /// Rows that are not in memory as part of the queue.
  private(set) var rows: UInt64 = 0
  /// Rows lost since somebody asked.
  private var losses = DropCounts()
  /// Why the last file could not be written.
  private(set) var trouble: String?
  /// Monotonic nanoseconds at which reading goes on although nothing happens.
  private(set) var retryAt: Int64?

  /// An operation on a file.
  private struct Work {
    var token: OperationToken?
    let descriptor: Int32
    let segment: Segment
    let image: SegmentImage?
    /// Where a file is read to: header and content.
    let memory: UnsafeMutableRawBufferPointer
    var done = 0
  }

  /// Numbers begin in the middle: what is in memory at the end goes before what is on disk.
  private static let firstOfAll: UInt64 = 1 << 40
  private static let filesInATurn = 64
  /// How long nothing is opened after the process had no descriptor left, in nanoseconds.
  private static let retryWait: Int64 = 100_000_000

  init(_ place: SpoolPlace) {
    self.place = place
    nextNumber = Self.firstOfAll
    firstNumber = Self.firstOfAll
  }

  deinit {
    for work in [writing, reading] { if let work { close(work.descriptor) } }
    if let reading { reading.memory.deallocate() }
  }

  /// What an earlier process has left; files that are not whole are removed. Reads names only.
  ///
  /// - Returns: how many rows there are.
  func restore() -> UInt64 {
    var strangers: [String] = []
    SpoolDirectory.forEachName(in: place.directory) { name in
      if let segment = Segment(name: name) {
        segments.append(segment)
      } else if name.hasSuffix(Self.partEnding) {
        unlink(path(name))
      } else {
        strangers.append(name)
      }
    }
    segments.sort { $0.number < $1.number }
    isMade = !segments.isEmpty || !strangers.isEmpty
    firstNumber = segments.first?.number ?? Self.firstOfAll
    nextNumber = max((segments.last?.number ?? 0) + 1, Self.firstOfAll)
    mendNames(strangers)
    bytes = segments.reduce(0) { $0 + $1.bytes }
    rows = segments.reduce(0) { $0 + UInt64($1.rows) }
    return rows
  }

  /// A broken name costs its file the place in the order, and no row: it goes to the end, under a name of its own.
  private func mendNames(_ strangers: [String]) {
    var twins: [(index: Int, name: String)] = []
    for index in segments.indices.dropFirst() where segments[index].number == segments[index - 1].number {
      twins.append((index, segments[index].name))
    }
    for (index, _) in twins.reversed() { segments.remove(at: index) }
    for name in twins.map(\.name) + strangers.sorted() {
      guard let facts = SpoolDirectory.facts(of: path(name)) else { continue }
      let segment = Segment(number: nextNumber, rows: facts.rows, bytes: facts.bytes)
      guard rename(path(name), path(segment.name)) == 0 else { continue }
      segments.append(segment)
      nextNumber += 1
    }
  }

  /// Nothing is behind what is in memory.
  var isEmpty: Bool { head == segments.count && pending.isEmpty && reading == nil && ready == nil }
  /// Nothing is being written or read, or waits to be written.
  var isQuiet: Bool { writing == nil && reading == nil && pending.isEmpty && ready == nil }
  var hasOperation: Bool { writing?.token != nil || reading?.token != nil }
  /// Bytes of batches that wait to be written.
  var memory: Int { pending.reduce(0) { $0 + BatchCopy.charge(for: $1.memory.count) } }
  /// As many batches wait to be written as may: whoever brings more waits.
  var isBusy: Bool { pending.count >= 4 }

  func apply(limit: Int) { place.limit = limit }

  func takeLosses() -> DropCounts? {
    guard losses.total > 0 else { return nil }
    defer { losses = DropCounts() }
    return losses
  }

  // MARK: In

  /// Takes a batch, which is written to disk in turn. What has been there longest gives way if there is no room.
  func append(_ batch: borrowing HeldBatch) {
    guard let image = SegmentImage(batch) else {
      losses[.memory] += UInt64(batch.rows)
      return
    }
    while bytes + image.memory.count > place.limit, head < segments.count { dropOldest() }
    guard bytes + image.memory.count <= place.limit else {
      losses[.queueFull] += UInt64(image.rows)
      return
    }
    pending.append(image)
    bytes += image.memory.count
    rows += UInt64(image.rows)
  }

  private func dropOldest() {
    let segment = segments[head]
    advance()
    rows -= UInt64(segment.rows)
    remove(segment)
    losses[.queueFull] += UInt64(segment.rows)
  }

  private func advance() {
    head += 1
    if head > 1_000, head * 2 > segments.count {
      segments.removeFirst(head)
      head = 0
    }
  }

  /// The batch of a file that was in memory has been delivered or dropped.
  func forget(_ number: UInt64) { if let segment = loaded.removeValue(forKey: number) { remove(segment) } }

  private func remove(_ segment: Segment) {
    unlink(path(segment.name))
    bytes -= segment.bytes
  }

  private func path(_ name: String) -> String { "\(place.directory)/\(name)" }

  // MARK: Operations

  /// Starts what can be started: the next write, and the next read if the queue has room for a batch.
  func start(_ port: any Port, owner: UInt32, mayRead: Bool) {
    while writing == nil, let image = pending.first { startWriting(image) }
    if mayRead { startReading() }
    if var work = writing, work.token == nil, let image = work.image {
      let rest = UnsafeRawBufferPointer(rebasing: image.memory[work.done...])
      work.token = port.write(work.descriptor, rest, owner: owner)
      writing = work
    }
    if var work = reading, work.token == nil {
      let rest = UnsafeMutableRawBufferPointer(rebasing: work.memory[work.done...])
      work.token = port.read(work.descriptor, into: rest, offset: Int64(work.done), owner: owner)
      reading = work
    }
  }

  private static let partEnding = ".part"

  private func startWriting(_ image: SegmentImage) {
    let segment = image.segment(nextNumber)
    let descriptor = create(segment)
    guard descriptor >= 0 else { return writeFailed(errno, "open") }
    writing = Work(
      descriptor: descriptor, segment: segment, image: image,
      memory: UnsafeMutableRawBufferPointer(start: nil, count: 0))
  }

  private func create(_ segment: Segment) -> Int32 {
    if !isMade {
      makeDirectory()
      guard SpoolDirectory.isDirectory(place.directory) else {
        errno = ENOTDIR
        return -1
      }
      isMade = true
    }
    let flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    let descriptor = open(path(segment.name + Self.partEnding), flags, 0o600)
    if descriptor < 0, errno == ENOENT { isMade = false }
    return descriptor
  }

  private func makeDirectory() {
    var made = ""
    for part in place.directory.split(separator: "/") {
      made += "/\(part)"
      mkdir(made, 0o700)
    }
  }

  /// Files that are not what their names say are passed over, so many in a turn.
  private func startReading() {
    retryAt = nil
    for _ in 0..<Self.filesInATurn {
      let before = head
      guard reading == nil, ready == nil, head < segments.count else { return }
      startReading(segments[head])
      if head == before { return }
    }
    if head < segments.count { retryAt = 0 }
  }

  private func startReading(_ segment: Segment) {
    let descriptor = open(path(segment.name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    if descriptor < 0, [EMFILE, ENFILE, ENOMEM, EINTR].contains(errno) {
      // It will be there later.
      trouble = "\(SystemError("open", errno: errno, context: place.directory))"
      retryAt = MonotonicTime.now().nanoseconds + Self.retryWait
      return
    }
    guard descriptor >= 0 else { return readEnded(segment, nil) }
    // Before there is memory for as much as a broken name says.
    guard SpoolDirectory.size(of: descriptor) == segment.bytes else {
      close(descriptor)
      return readEnded(segment, nil)
    }
    reading = Work(
      descriptor: descriptor, segment: segment, image: nil,
      memory: .allocate(byteCount: segment.bytes, alignment: 16))
  }

  /// Whether an operation is one of its own.
  func owns(_ token: OperationToken) -> Bool { writing?.token == token || reading?.token == token }

  /// Takes in the result of an operation of its own: bytes, or -errno.
  func finish(_ token: OperationToken, result: Int32) {
    if var work = writing, work.token == token {
      work.token = nil
      writing = work
      return wrote(result)
    }
    if var work = reading, work.token == token {
      work.token = nil
      reading = work
      haveRead(result)
    }
  }

  private func wrote(_ result: Int32) {
    guard var work = writing, let image = work.image else { return }
    if result < 0 {
      if result == -EINTR || result == -EAGAIN || result == -ECANCELED { return }
      return writeFailed(-result, "write")
    }
    work.done += Int(result)
    writing = work
    if work.done < image.memory.count { return }
    close(work.descriptor)
    writing = nil
    guard publish(work.segment) else { return writeFailed(errno, "rename") }
    pending.removeFirst()
    nextNumber += 1
    segments.append(work.segment)
    trouble = nil
  }

  private func publish(_ segment: Segment) -> Bool {
    rename(path(segment.name + Self.partEnding), path(segment.name)) == 0
  }

  /// The batch is lost, by name; the next one is tried.
  private func writeFailed(_ code: Int32, _ operation: StaticString) {
    trouble = "\(SystemError(operation, errno: code, context: place.directory))"
    if let work = writing {
      close(work.descriptor)
      unlink(path(work.segment.name + Self.partEnding))
      writing = nil
    }
    guard !pending.isEmpty else { return }
    let image = pending.removeFirst()
    bytes -= image.memory.count
    rows -= UInt64(image.rows)
    losses[DropReason(writeError: code)] += UInt64(image.rows)
  }

  private func haveRead(_ result: Int32) {
    guard var work = reading else { return }
    if result == -EINTR || result == -EAGAIN || result == -ECANCELED { return }
    if result > 0 {
      work.done += Int(result)
      reading = work
      if work.done < work.memory.count { return }
    }
    close(work.descriptor)
    reading = nil
    let isWhole = work.done == work.memory.count
    readEnded(work.segment, isWhole ? UnsafeRawBufferPointer(work.memory) : nil)
    work.memory.deallocate()
  }

  /// A file has been read, or cannot be.
  private func readEnded(_ segment: Segment, _ content: UnsafeRawBufferPointer?) {
    if head < segments.count, segments[head].number == segment.number { advance() }
    rows -= UInt64(segment.rows)
    guard let content, let copy = Self.batch(content, segment) else {
      remove(segment)
      losses[.corrupt] += UInt64(segment.rows)
      return
    }
    loaded[segment.number] = segment
    ready = copy
  }

  private static func batch(_ bytes: UnsafeRawBufferPointer, _ segment: Segment) -> BatchCopy? {
    let content = UnsafeRawBufferPointer(rebasing: bytes[SegmentHeader.byteCount...])
    let header = UnsafeRawBufferPointer(rebasing: bytes[..<SegmentHeader.byteCount])
    guard let header = SegmentHeader(header, content: content, segment: segment),
      let copy = BatchCopy(
        facts: header.facts, byteCount: header.byteCount, markCount: header.markCount, origin: segment.number)
    else { return nil }
    copy.contentToFill.copyMemory(from: content)
    return copy
  }

  /// The batch that has been read, once.
  func takeReady() -> BatchCopy? {
    defer { ready = nil }
    return ready
  }

  // MARK: Ending

  /// What is being written is written anew by whoever goes on: the result will not be known. Its memory is kept for ever, since the kernel
  /// may still read or write it.
  func abandonOperations(isStuck: Bool) {
    if let work = writing {
      if isStuck, let image = work.image { _ = Unmanaged.passRetained(image) }
      if !isStuck { close(work.descriptor) }
      unlink(path(work.segment.name + Self.partEnding))
      writing = nil
    }
    if let work = reading {
      if !isStuck {
        close(work.descriptor)
        work.memory.deallocate()
      }
      reading = nil
    }
    if let copy = ready { putBack(copy) }
    ready = nil
  }

  /// A batch that has been read is left on disk.
  func putBack(_ copy: BatchCopy) {
    guard let segment = loaded.removeValue(forKey: copy.origin) else { return }
    segments.insert(segment, at: head)
    rows += UInt64(segment.rows)
  }

  /// Puts batches that are in memory before those on disk, and writes what waits to be, at once: nothing more can be waited for. Those
  /// that came from here stay where they are.
  func keep(_ batches: [BatchCopy]) {
    for copy in batches.reversed() where copy.origin != 0 { putBack(copy) }
    for copy in batches.reversed() where copy.origin == 0 {
      guard let image = SegmentImage(.own(copy)), bytes + image.memory.count <= place.limit else {
        losses[.queueFull] += UInt64(copy.rows)
        continue
      }
      firstNumber -= 1
      guard write(image, image.segment(firstNumber)) else { continue }
      bytes += image.memory.count
      rows += UInt64(image.rows)
      segments.insert(image.segment(firstNumber), at: head)
    }
    while let image = pending.first {
      pending.removeFirst()
      let segment = image.segment(nextNumber)
      nextNumber += 1
      if write(image, segment) {
        segments.append(segment)
      } else {
        bytes -= image.memory.count
        rows -= UInt64(image.rows)
      }
    }
  }

  /// Writes a file without a port. What cannot be written is counted.
  private func write(_ image: SegmentImage, _ segment: Segment) -> Bool {
    let descriptor = create(segment)
    var (done, code) = (0, descriptor < 0 ? errno : 0)
    while code == 0, done < image.memory.count {
      let count = Glibc.write(descriptor, image.memory.baseAddress.map { $0 + done }, image.memory.count - done)
      if count > 0 { done += count } else if errno != EINTR { code = errno }
    }
    if descriptor >= 0 { close(descriptor) }
    if code == 0, publish(segment) { return true }
    if code == 0 { code = errno }
    unlink(path(segment.name + Self.partEnding))
    trouble = "\(SystemError("write", errno: code, context: place.directory))"
    losses[DropReason(writeError: code)] += UInt64(image.rows)
    return false
  }
}
