import Glibc

/// How far the writing of one segment (a header or a batch) has come. A value: it decides, the sink performs.
struct WriteProgress {
  /// What to do after a write(2).
  enum Step: Equatable {
    /// Write the rest.
    case more
    /// The whole segment is out.
    case complete
    /// The kernel refused, and nothing of the segment is out.
    case refused(errno: Int32)
    /// The kernel refused, and a part is out: keep the rest, or what follows would begin in the middle of a row.
    case cut(errno: Int32)
    /// Nothing can ever be written here again.
    case broken(errno: Int32)
  }

  /// Bytes of the segment.
  let total: Int
  /// Bytes that the kernel has taken.
  private(set) var written = 0

  /// - Parameter written: bytes that are out already.
  init(total: Int, written: Int = 0) {
    self.total = total
    self.written = written
  }

  /// Takes in the result of a write: bytes, or -errno.
  mutating func advance(by result: Int32) -> Step {
    if result >= 0 {
      written += Int(result)
      return written >= total ? .complete : .more
    }
    let code = -result
    switch code {
    // ECANCELED: ended early by whoever started it.
    case EINTR, EAGAIN, ECANCELED: return .more
    case EPIPE, EBADF: return .broken(errno: code)
    default: return written == 0 ? .refused(errno: code) : .cut(errno: code)
    }
  }
}

extension DropReason {
  /// The name under which rows are dropped at once after a write failed with `errno`.
  init(writeError errno: Int32) {
    switch errno {
    case ENOSPC, EDQUOT, EFBIG: self = .noSpace
    case EPIPE, EBADF: self = .closed
    default: self = .failed
    }
  }
}
