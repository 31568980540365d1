import IO

/// Appends to a file: created with mode 0640 unless configured otherwise, never through a symbolic link, opened again when its
/// path names another file (as after logrotate's `create`), put aside and begun anew when it is large or old enough.
public final class FileSink: Sink {
  /// What a file sink is told to do.
  public struct Options: Sendable, Equatable {
    public var path: FilledTemplate
    /// Permission bits of a file that is made, less the umask.
    public var mode: UInt32
    /// Bytes and nanoseconds from which on a file is put aside; nil: never.
    public var rotateBytes: Int?
    public var rotateAge: Int64?
    /// Files put aside that are kept; nil: all.
    public var rotateKeep: Int?
    /// Rows are delivered when they are on the disk.
    public var synchronizes = false
    /// Each batch is a zstd frame.
    public var compresses = false

    public init(path: FilledTemplate, mode: UInt32 = 0o640) {
      self.path = path
      self.mode = mode
    }
  }

  public let name: String
  private let options: Options
  private var file: AppendFile
  private var writer: StreamWriter
  private var reopenError: FileError?
  /// Somebody asked for `reopen` while a write was in flight.
  private var reopenIsDue = false
  /// Bytes of the file when a part of a batch had been written and the rest was refused.
  private var sizeWhenCut = 0

  public var state: SinkState {
    if let reopenError { .failing("\(reopenError)") } else { writer.delivery.state }
  }
  public var tally: SinkTally { writer.delivery.queue.tally }
  public var queueGauges: QueueGauges { writer.gauges }
  public var awaitsEstate: Bool { writer.delivery.phase == .awaiting }
  public var isReleasing: Bool { writer.delivery.isReleasing }
  public var isReleased: Bool { writer.delivery.isReleased }
  public var isIdle: Bool { writer.isIdle }
  public var nextDeadline: Int64? {
    guard let age = options.rotateAge, !isEmpty else { return writer.delivery.nextDeadline }
    return min(writer.delivery.nextDeadline ?? .max, openedAt + age)
  }

  /// When the file was opened, monotonic nanoseconds.
  private var openedAt: Int64
  /// Nothing is in it, or a header alone.
  private var isEmpty: Bool
  /// Wall clock at which the path is another one.
  private var pathChangesAt: Int64?

  /// Opens the file.
  ///
  /// - Throws: why it cannot be opened: a symbolic link, a directory, a missing folder, no permission.
  public init(name: String, _ options: Options, _ output: SinkOutput) throws(FileError) {
    self.name = name
    self.options = options
    let now = wallClockNanoseconds()
    let path = options.path.text(at: now)
    if options.path.dependsOnTime { try FileRotation.makeFolders(for: path) }
    file = try AppendFile(path: path, mode: options.mode)
    openedAt = MonotonicTime.now().nanoseconds
    isEmpty = FileSink.isNew(file)
    pathChangesAt = options.path.changes(after: now)
    writer = StreamWriter(
      output, descriptor: file.raw, needsHeader: isEmpty, place: path,
      treatment: StreamWriter.Treatment(compresses: options.compresses, synchronizes: options.synchronizes))
  }

  public func accept(_ offer: inout BatchOffer) {
    writer.delivery.accept(&offer, isReady: true)
    exchangeIfDue()
    writer.pump()
  }

  public func handle(_ completion: consuming Completion) {
    if writer.delivery.handle(completion) { return writer.pump() }
    let delivered = tally.delivered
    writer.finishWrite(result: completion.result, canTakeBack: completion.result < 0 && file.size != nil)
    if tally.delivered != delivered { isEmpty = false }
    if writer.partBytes > 0 { sizeWhenCut = file.size ?? 0 }
    if writer.isExpired {
      takeBackPart()
      writer.giveUp()
    } else if writer.mustTakeBack {
      takeBackPart()
      writer.beginAnew()
    }
    if reopenIsDue { reopen() }
    exchangeIfDue()
    writer.pump()
  }

  public func resume() {
    // A batch waits for room on a disk that may never have any, while its path may name a file on another by now.
    if writer.delivery.isFailing { reopenIfReplaced() }
    if isRotationDue { rotate() }
    writer.pump()
  }

  public func apply(queue: QueuePolicy, retry: RetryPolicy) { writer.delivery.apply(queue, retry) }

  public func drain() {
    writer.delivery.drain()
    resume()
  }

  public func reopen() {
    reopenIsDue = !writer.mayExchange
    reopenIfReplaced()
  }

  public func abandon(isStuck: Bool) {
    // The next start appends to whole rows.
    takeBackPart()
    writer.abandon(isStuck: isStuck)
  }

  // MARK: Other files

  /// Between two batches: goes on in another file if it is time, or if its path names another one by now.
  private func exchangeIfDue() {
    if let time = pathChangesAt, wallClockNanoseconds() >= time { changePath() }
    if isRotationDue { rotate() }
    reopenIfReplaced()
  }

  /// Nothing of a batch is out that has to go on where it is.
  private var mayLeave: Bool { writer.mayExchange && writer.partBytes == 0 }

  private func changePath() {
    guard mayLeave else { return }
    let now = wallClockNanoseconds()
    attempt { () throws(FileError) in
      try file.move(to: options.path.text(at: now))
      pathChangesAt = options.path.changes(after: now)
    }
  }

  private var isRotationDue: Bool {
    guard options.rotateBytes != nil || options.rotateAge != nil, mayLeave, !isEmpty else { return false }
    if let age = options.rotateAge, MonotonicTime.now().nanoseconds - openedAt >= age { return true }
    guard let limit = options.rotateBytes, let size = file.size, size > 0 else { return false }
    return size + writer.delivery.queue.frontBytes.count > limit && !writer.delivery.queue.isEmpty
  }

  private func rotate() {
    attempt { () throws(FileError) in
      // Somebody else may have renamed it just now; what its path names then is not ours to put aside.
      if !file.isReplaced { _ = try FileRotation.putAside(file.path, wallClock: wallClockNanoseconds()) }
      try file.reopen()
      if let keep = options.rotateKeep { FileRotation.prune(file.path, keep: keep) }
    }
  }

  /// Goes on with the file that `open` opens; after an error with the old one, and tries again with the next batch.
  private func attempt(_ open: () throws(FileError) -> Void) {
    do throws(FileError) {
      try open()
      openedAt = MonotonicTime.now().nanoseconds
      isEmpty = FileSink.isNew(file)
      writer.exchange(file.raw, needsHeader: isEmpty, place: file.path)
      reopenError = nil
    } catch {
      reopenError = error
    }
  }

  private func takeBackPart() {
    switch file.tornTail(writer.partBytes, sizeWhenTorn: sizeWhenCut) {
    case .some(let tail): tail.remove()
    case .none: break
    }
  }

  /// A rotated file is noticed at the next batch: two calls of stat(2) a batch. The old file is kept for as long as the new one cannot be
  /// opened.
  private func reopenIfReplaced() {
    guard writer.mayExchange else { return }
    reopenIsDue = false
    do throws(FileError) {
      if file.isReplaced {
        let tail = file.tornTail(writer.partBytes, sizeWhenTorn: sizeWhenCut)
        try file.reopen()
        tail?.remove()
        writer.exchange(file.raw, needsHeader: FileSink.isNew(file), place: file.path)
      } else if let size = file.size {
        // A file that was emptied in place (copytruncate) begins anew as well, and so does the batch whose first part went with it.
        if writer.partBytes > 0, size < sizeWhenCut {
          writer.exchange(file.raw, needsHeader: size == 0, place: file.path)
        } else if size == 0 {
          writer.outputIsEmpty()
        }
      }
      reopenError = nil
    } catch {
      reopenError = error
    }
  }

  /// Nothing is in it that a header should stand before. A pipe that has just been opened has a new reader.
  private static func isNew(_ file: borrowing AppendFile) -> Bool { (file.size ?? 0) == 0 }

  // MARK: Hand-over

  public func beginRelease() { writer.beginRelease() }
  public func forceRelease() { writer.forceRelease() }
  private func proceed() {
    // Whoever wrote here before may have written since it was opened.
    if let size = file.size, writer.delivery.phase == .awaiting { writer.outputIsEmpty(size == 0) }
    writer.proceed()
  }

  public func takeEstate() -> SinkEstate? {
    writer.takeEstate(
      file.identity.map(OutputIdentity.file), tail: file.tornTail(writer.partBytes, sizeWhenTorn: sizeWhenCut))
  }

  public func inherit(_ estate: SinkEstate?) {
    guard let estate else { return proceed() }
    guard let output = estate.takeOutput() else {
      return writer.inherit(estate, part: nil, needsHeader: FileSink.isNew(file))
    }
    let isSame = output.identity != nil && output.identity == file.identity.map(OutputIdentity.file)
    let isIntact =
      switch output.tail {
      case .some(let tail): tail.isIntact
      case .none: true
      }
    let part = isSame && isIntact ? output.part : nil
    if part == nil { output.takeBack() }
    if part != nil { sizeWhenCut = file.size ?? 0 }
    let hasHeader = file.size.map { $0 > 0 } ?? (isSame && output.isHeaderOut)
    writer.inherit(estate, part: part, needsHeader: !hasHeader)
  }
}
