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

  /// Makes one call. Returns the bytes taken or a negative errno value, `-EAGAIN` if it would
  /// block.
  mutating func transmit() -> Int32 {
    switch kind {
    case .send where message.msg_iov != nil: outcome { sendmsg(descriptor, &message, Self.flags) }
    case .send: transmit(to: .socket)
    case .sendDatagrams: transmitDatagrams()
    case .connect: isConnecting && !wasWoken ? -EAGAIN : connectResult()
    default: transmit(to: target)
    }
  }

  private static let flags = KernelConstant.MSG_DONTWAIT | KernelConstant.MSG_NOSIGNAL

  private func transmit(to target: WriteTarget) -> Int32 {
    let count = min(bytes.count, Int(Int32.max))
    switch target {
    case .socket: return outcome { Glibc.send(descriptor, bytes.baseAddress, count, Self.flags) }
    case .plain: return outcome { Glibc.write(descriptor, bytes.baseAddress, count) }
    case .stream:
      let result = outcome { clinux_write_nowait(descriptor, bytes.baseAddress, count) }
      guard result == -EOPNOTSUPP || result == -EINVAL || result == -ENOSYS else { return result }
      guard wasWoken else { return -EAGAIN }
      return outcome { Glibc.write(descriptor, bytes.baseAddress, min(count, Self.pipeAtomicBytes)) }
    }
  }

  /// sendmmsg(2). Returns the datagrams that were taken so far, or why the next one was not.
  private mutating func transmitDatagrams() -> Int32 {
    let rest = datagrams[Int(sent)...]
    guard !rest.isEmpty else { return sent }
    let count = outcome {
      Int(clinux_send_datagrams(descriptor, datagrams.baseAddress.map { $0 + Int(sent) }, rest.count))
    }
    if count < 0 { return count }
    sent += count
    return sent
  }

  /// connect(2) on a socket that does not block: it is over, and `stoppedBy` says how, or goes on until the socket is
  /// writable.
  mutating func beginConnect(_ address: SocketAddress) {
    stoppedBy = address.withPointer { Glibc.connect(descriptor, $0, $1) } == 0 ? 0 : errno
    isConnecting = stoppedBy == EINPROGRESS
  }

  /// What a connect that is over came to: 0 or a negative errno value (SO_ERROR, socket(7)).
  func connectResult() -> Int32 {
    guard isConnecting else { return -stoppedBy }
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? -code : -errno
  }

  /// Lists the pieces where sendmsg(2) reads them.
  mutating func setMessage(_ pieces: UnsafeBufferPointer<iovec>) {
    message.msg_iov = UnsafeMutablePointer(mutating: pieces.baseAddress)
    message.msg_iovlen = min(pieces.count, Self.mostPieces)
  }

  /// IOV_MAX of Linux (UIO_MAXIOV, include/uapi/linux/uio.h).
  private static let mostPieces = 1_024

  /// recv(2) once. Returns bytes, 0 at the end, or a negative errno value, `-EAGAIN` if it would block.
  func receive() -> Int32 {
    let count = min(memory.count, Int(Int32.max))
    return outcome { recv(descriptor, memory.baseAddress, count, KernelConstant.MSG_DONTWAIT) }
  }

  /// pread(2) or fdatasync(2).
  func accessFile() -> Int32 {
    guard kind == .read else { return outcome { Int(fdatasync(descriptor)) } }
    return outcome { pread(descriptor, memory.baseAddress, min(memory.count, Int(Int32.max)), off_t(offset)) }
  }

  private func outcome(_ call: () -> Int) -> Int32 {
    let result = retryingOnInterrupt(call)
    return result >= 0 ? Int32(result) : -errno
  }
}

extension Poller.Interest {
  /// What a regular file is ready for, of which epoll knows nothing.
  var readyOfFile: Poller.Interest { intersection([.readable, .writable]) }
}
