internal import CLinux
import Glibc

/// How bytes are written to a descriptor without ever blocking the calling thread for long.
enum WriteTarget: UInt8 {
  /// A regular file or a block device, or what epoll does not know: write(2) as it is.
  case plain
  /// send(2) with MSG_DONTWAIT.
  case socket
  /// A pipe or a terminal, often shared with other processes, so that O_NONBLOCK (a property of the shared
  /// open file) must not be set on it: RWF_NOWAIT where the kernel has it for this file, else at most PIPE_BUF bytes
  /// once epoll says that there is room.
  case stream

  init(of descriptor: Int32) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      self = .plain
      return
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG, S_IFBLK, S_IFDIR: self = .plain
    case S_IFSOCK: self = .socket
    default: self = .stream
    }
  }
}

extension Operation {
  /// Bytes that a pipe takes at once or not at all (PIPE_BUF, pipe(7)).
  private static let pipeAtomicBytes = 4_096

  /// Makes one call for a send or a write. Returns the bytes taken or a negative errno value, `-EAGAIN` if it would
  /// block.
  func transmit() -> Int32 {
    let flags = KernelConstant.MSG_DONTWAIT | KernelConstant.MSG_NOSIGNAL
    let count = min(bytes.count, Int(Int32.max))
    switch kind == .send ? .socket : target {
    case .socket: return outcome { Glibc.send(descriptor, bytes.baseAddress, count, flags) }
    case .plain: return outcome { Glibc.write(descriptor, bytes.baseAddress, count) }
    case .stream:
      let result = outcome { clinux_write_nowait(descriptor, bytes.baseAddress, count) }
      guard result == -EOPNOTSUPP || result == -EINVAL || result == -ENOSYS else { return result }
      guard wasWoken else { return -EAGAIN }
      return outcome { Glibc.write(descriptor, bytes.baseAddress, min(count, Self.pipeAtomicBytes)) }
    }
  }

  private func outcome(_ call: () -> Int) -> Int32 {
    let result = retryingOnInterrupt(call)
    return result >= 0 ? Int32(result) : -errno
  }
}
