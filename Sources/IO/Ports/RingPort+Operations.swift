internal import CLiburing
import Glibc

/// What a ring's operations are to the kernel: the SQEs.
extension RingPort {
  /// MSG_WAITALL: a stream takes everything before the send completes (io_uring/net.c, io_net_retry); a datagram socket
  /// does not mind.
  private static let sendFlags = KernelConstant.MSG_NOSIGNAL | KernelConstant.MSG_WAITALL

  public func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken? {
    start(.send, descriptor, owner: owner) { entry, _ in
      io_uring_prep_send(entry, descriptor, bytes.baseAddress, bytes.count, Self.sendFlags)
    }
  }

  func startSend(_ descriptor: Int32, _ pieces: UnsafeBufferPointer<iovec>, owner: UInt32) -> OperationToken? {
    start(.send, descriptor, owner: owner) { entry, operation in
      operation.pointee.setMessage(pieces)
      let message = UnsafeMutableRawPointer(operation) + Operation.messageOffset
      let flags = UInt32(bitPattern: Self.sendFlags)
      io_uring_prep_sendmsg(entry, descriptor, message.assumingMemoryBound(to: msghdr.self), flags)
    }
  }

  public func receive(_ descriptor: Int32, owner: UInt32) -> OperationToken? {
    start(.receive, descriptor, owner: owner) { entry, _ in
      io_uring_prep_recv_multishot(entry, descriptor, nil, 0, KernelConstant.MSG_TRUNC)
      entry.pointee.flags |= UInt8(1 << IOSQE_BUFFER_SELECT_BIT)
      entry.pointee.buf_group = Ring.bufferGroup
    }
  }

  public func receive(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, owner: UInt32
  ) -> OperationToken? {
    start(.receiveInto, descriptor, owner: owner) { entry, _ in
      io_uring_prep_recv(entry, descriptor, memory.baseAddress, min(memory.count, Int(Int32.max)), 0)
    }
  }

  public func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken? {
    start(.write, descriptor, owner: owner) { entry, _ in
      // Offset -1 is the current position; the kernel itself clips the length (MAX_RW_COUNT).
      io_uring_prep_write(entry, descriptor, bytes.baseAddress, UInt32(clamping: bytes.count), .max)
    }
  }

  public func read(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, offset: Int64, owner: UInt32
  ) -> OperationToken? {
    start(.read, descriptor, owner: owner) { entry, _ in
      // -1 would be the current position; every other negative offset is EINVAL, as it is for pread(2).
      let position = UInt64(bitPattern: offset == -1 ? .min : offset)
      io_uring_prep_read(entry, descriptor, memory.baseAddress, UInt32(clamping: memory.count), position)
    }
  }

  public func synchronize(_ descriptor: Int32, owner: UInt32) -> OperationToken? {
    start(.synchronize, descriptor, owner: owner) { entry, _ in
      io_uring_prep_fsync(entry, descriptor, UInt32(IORING_FSYNC_DATASYNC))
    }
  }

  public func poll(_ descriptor: Int32, _ interest: Poller.Interest, owner: UInt32) -> OperationToken? {
    start(.poll, descriptor, owner: owner) { entry, _ in
      io_uring_prep_poll_add(entry, descriptor, interest.rawValue)
    }
  }

  public func timer(at deadline: MonotonicTime, owner: UInt32) -> OperationToken? {
    start(.timer, -1, owner: owner) { entry, operation in
      let nanoseconds = max(0, deadline.nanoseconds)
      operation.pointee.deadline.tv_sec = nanoseconds / 1_000_000_000
      operation.pointee.deadline.tv_nsec = nanoseconds % 1_000_000_000
      let time = UnsafeMutableRawPointer(operation) + Operation.deadlineOffset
      io_uring_prep_timeout(entry, time.assumingMemoryBound(to: __kernel_timespec.self), 0, IORING_TIMEOUT_ABS)
    }
  }

  /// Not IORING_OP_CONNECT: that would need the address in every slot until it is submitted, and have a worker wait for
  /// room in the queue of a Unix listener.
  public func connect(_ descriptor: Int32, _ address: SocketAddress, owner: UInt32) -> OperationToken? {
    start(.connect, descriptor, owner: owner) { entry, operation in
      operation.pointee.beginConnect(address)
      if operation.pointee.isConnecting {
        io_uring_prep_poll_add(entry, descriptor, Poller.Interest.writable.rawValue)
      } else {
        io_uring_prep_nop(entry)
      }
    }
  }

  // MARK: Datagrams

  /// One linked SQE a datagram, so that none is sent behind one that failed. They never wait (MSG_DONTWAIT): the whole
  /// chain runs within the io_uring_enter(2) that submits it, and posts one CQE: of the one that failed, which names its
  /// place in the chain, or of the last.
  func startDatagrams(
    _ descriptor: Int32, _ datagrams: UnsafeBufferPointer<iovec>, owner: UInt32
  ) -> OperationToken? {
    guard let index = operations.begin(.sendDatagrams, descriptor, owner: owner) else { return nil }
    operations[index].pointee.datagrams = datagrams
    guard enqueueDatagrams(index) else {
      operations.end(index)
      return nil
    }
    return operations.token(of: index)
  }

  /// Queues as many of the rest as fit; false if the queue takes nothing.
  private func enqueueDatagrams(_ index: UInt32) -> Bool {
    let operation = operations[index]
    let (token, descriptor) = (operations.token(of: index), operation.pointee.descriptor)
    let rest = operation.pointee.datagrams[Int(operation.pointee.sent)...]
    if ring.room < min(max(1, rest.count), ring.capacity) { flush() }
    let count = min(rest.count, ring.room, OperationToken.mostSteps)
    guard count > 0 else { return rest.isEmpty && enqueueNothing(token) }
    for (step, datagram) in zip(1..., rest.prefix(count)) {
      guard let entry = ring.nextEntry() else { return false }  // There is room.
      let flags = KernelConstant.MSG_DONTWAIT | KernelConstant.MSG_NOSIGNAL
      io_uring_prep_send(entry, descriptor, datagram.iov_base, datagram.iov_len, flags)
      entry.pointee.user_data = token.packed(step: step)
      if step < count { entry.pointee.flags |= UInt8(1 << IOSQE_IO_LINK_BIT | 1 << IOSQE_CQE_SKIP_SUCCESS_BIT) }
    }
    return true
  }

  /// No datagrams complete like all others, in their turn.
  private func enqueueNothing(_ token: OperationToken) -> Bool {
    guard let entry = nextEntry() else { return false }
    io_uring_prep_nop(entry)
    entry.pointee.user_data = token.packed
    return true
  }

  private func enqueueWait(_ token: OperationToken, for descriptor: Int32) -> Bool {
    guard let entry = nextEntry() else { return false }
    io_uring_prep_poll_add(entry, descriptor, Poller.Interest.writable.rawValue)
    entry.pointee.user_data = token.packed
    return true
  }

  /// Takes in what a chain of sends, or the wait for room, came to; false if that was all.
  func goesOn(_ index: UInt32, after event: Ring.Event) -> Bool {
    let operation = operations[index]
    let step = OperationToken.step(ofPacked: event.userData)
    if step > 0 { operation.pointee.sent += Int32(event.result < 0 ? step - 1 : step) }
    operation.pointee.stoppedBy = max(0, -event.result)
    guard Int(operation.pointee.sent) < operation.pointee.datagrams.count else { return false }
    if operation.pointee.isCancelled || isTornDown, event.result >= 0 || event.result == -EAGAIN {
      operation.pointee.stoppedBy = ECANCELED
      return false
    }
    guard event.result >= 0 || event.result == -EAGAIN else { return false }
    operation.pointee.stoppedBy = EAGAIN
    return event.result >= 0
      ? enqueueDatagrams(index) : enqueueWait(operations.token(of: index), for: operation.pointee.descriptor)
  }
}

extension Operation {
  /// What a CQE says in the words of `Completion.result`.
  func result(of event: Ring.Event) -> Int32 {
    switch kind {
    case .timer: event.result == -ETIME ? 0 : event.result
    case .connect: event.result < 0 ? event.result : connectResult()
    case .sendDatagrams: takenDatagrams
    default: event.result
    }
  }

  /// Where the kernel reads what a slot holds for it. Slots do not move.
  static let deadlineOffset = MemoryLayout<Operation>.offset(of: \.deadline) ?? 0
  static let messageOffset = MemoryLayout<Operation>.offset(of: \.message) ?? 0
}
