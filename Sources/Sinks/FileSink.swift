import IO

/// Appends to a file: created with mode 0640 unless configured otherwise, never through a symbolic link, opened again when its
/// path names another file (as after logrotate's `create`).
public final class FileSink: Sink {
  public let name: String
  private var file: AppendFile
  private var writer: StreamWriter
  private var reopenError: FileError?
  /// Bytes of the file when a part of a batch had been written and the rest was refused.
  private var sizeWhenCut = 0

  public var state: SinkState {
    if let reopenError { .failing("\(reopenError)") } else { writer.state }
  }
  public var tally: SinkTally { writer.tally }
  public var isIdle: Bool { writer.isIdle }

  /// Opens the file.
  ///
  /// - Throws: why it cannot be opened: a symbolic link, a directory, a missing folder, no permission.
  public init(name: String, path: String, mode: UInt32, _ output: SinkOutput) throws(FileError) {
    self.name = name
    file = try AppendFile(path: path, mode: mode)
    writer = StreamWriter(output, descriptor: file.raw, needsHeader: FileSink.isNew(file), place: path)
  }

  public func accept(_ batch: consuming SharedLease<Batch>) {
    reopenIfReplaced()
    writer.accept(batch)
    writer.pump()
  }

  public func handle(_ completion: consuming Completion) {
    writer.finishWrite(result: completion.result)
    if writer.isCut { sizeWhenCut = file.size ?? 0 }
  }

  public func resume() {
    // A cut batch waits for room on a disk that may never have any, while its path may name a file on another by now.
    if writer.isCut { reopenIfReplaced() }
    writer.pump()
  }

  public func abandon() {
    // The next start appends to whole rows.
    if writer.bytesOfCutBatch > 0 { file.removeTail(writer.bytesOfCutBatch) }
    writer.abandon(.shutdown)
  }

  /// A rotated file is noticed at the next batch: two calls of stat(2) a batch. The old file is kept for as long as the new one cannot be
  /// opened.
  private func reopenIfReplaced() {
    guard writer.mayExchange else { return }
    do throws(FileError) {
      let isReplaced = file.isReplaced
      if isReplaced { try file.reopen() }
      // A file that was emptied in place (copytruncate) begins anew as well, and so does the batch whose first part went with it.
      let size = file.size
      let isCutShort = writer.isCut && size.map { $0 < sizeWhenCut } == true
      if isReplaced || size == 0 || isCutShort {
        writer.exchange(file.raw, needsHeader: FileSink.isNew(file))
      }
      reopenError = nil
    } catch {
      reopenError = error
    }
  }

  /// Nothing is in it that a header should stand before. A pipe that has just been opened has a new reader.
  private static func isNew(_ file: borrowing AppendFile) -> Bool { (file.size ?? 0) == 0 }
}
