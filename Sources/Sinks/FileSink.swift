import IO

/// Appends to a file: created with mode 0640 unless configured otherwise, never through a symbolic link, opened again when its
/// path names another file (as after logrotate's `create`).
public final class FileSink: Sink {
  public let name: String
  private var file: AppendFile
  private var writer: StreamWriter
  private var reopenError: FileError?
  /// Somebody asked for `reopen` while a write was in flight.
  private var reopenIsDue = false
  /// Bytes of the file when a part of a batch had been written and the rest was refused.
  private var sizeWhenCut = 0

  public var state: SinkState {
    if let reopenError { .failing("\(reopenError)") } else { writer.state }
  }
  public var tally: SinkTally { writer.queue.tally }
  public var queueGauges: QueueGauges { writer.gauges }
  public var awaitsEstate: Bool { writer.phase == .awaiting }
  public var isReleasing: Bool { writer.isReleasing }
  public var isReleased: Bool { writer.isReleased }
  public var isIdle: Bool { writer.isIdle }
  public var nextDeadline: Int64? { writer.nextDeadline }

  /// Opens the file.
  ///
  /// - Throws: why it cannot be opened: a symbolic link, a directory, a missing folder, no permission.
  public init(name: String, path: String, mode: UInt32, _ output: SinkOutput) throws(FileError) {
    self.name = name
    file = try AppendFile(path: path, mode: mode)
    writer = StreamWriter(output, descriptor: file.raw, needsHeader: FileSink.isNew(file), place: path)
  }

  public func accept(_ offer: inout BatchOffer) {
    reopenIfReplaced()
    writer.accept(&offer)
    writer.pump()
  }

  public func handle(_ completion: consuming Completion) {
    writer.finishWrite(result: completion.result, canTakeBack: completion.result < 0 && file.size != nil)
    if writer.partBytes > 0 { sizeWhenCut = file.size ?? 0 }
    if writer.isExpired {
      takeBackPart()
      writer.giveUp()
      writer.pump()
    }
    if reopenIsDue { reopen() }
  }

  public func resume() {
    // A batch waits for room on a disk that may never have any, while its path may name a file on another by now.
    if writer.isFailing { reopenIfReplaced() }
    writer.pump()
  }

  public func apply(queue: QueuePolicy, retry: RetryPolicy) { writer.apply(queue, retry) }

  public func reopen() {
    reopenIsDue = !writer.mayExchange
    reopenIfReplaced()
  }

  public func abandon(isStuck: Bool) {
    // The next start appends to whole rows.
    takeBackPart()
    writer.abandon(isStuck: isStuck)
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
        writer.exchange(file.raw, needsHeader: FileSink.isNew(file))
      } else if let size = file.size {
        // A file that was emptied in place (copytruncate) begins anew as well, and so does the batch whose first part went with it.
        if writer.partBytes > 0, size < sizeWhenCut {
          writer.exchange(file.raw, needsHeader: size == 0)
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
    if let size = file.size, writer.phase == .awaiting { writer.outputIsEmpty(size == 0) }
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
