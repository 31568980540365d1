import IO

/// Appends to a file: created with mode 0640 unless configured otherwise, never through a symbolic link, opened again when its
/// path names another file (as after logrotate's `create`).
public final class FileSink: Sink {
  public let name: String
  private var file: AppendFile
  private var writer: StreamWriter
  private var reopenError: FileError?

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
    writer = StreamWriter(output, descriptor: file.raw, needsHeader: file.isEmpty, place: path)
  }

  public func accept(_ batch: consuming SharedLease<Batch>) {
    reopenIfReplaced()
    writer.accept(batch)
    writer.pump()
  }

  public func handle(_ completion: consuming Completion) { writer.finishWrite(result: completion.result) }

  public func resume() { writer.pump() }

  public func abandon() { writer.abandon(.shutdown) }

  /// A rotated file is noticed at the next batch: one lstat(2) a batch. The old file is kept for as long as the new one cannot be
  /// opened.
  private func reopenIfReplaced() {
    guard writer.mayExchange else { return }
    do throws(FileError) {
      if file.isReplaced {
        try file.reopen()
        writer.exchange(file.raw, needsHeader: file.isEmpty)
      }
      reopenError = nil
    } catch {
      reopenError = error
    }
  }
}
