import Glibc

/// The operations that take an iovec stand in a file of their own: where CLiburing is imported, iovec counts as a part of it,
/// and a public method may not name it.
extension RingPort {
  public func send(_ descriptor: Int32, _ pieces: UnsafeBufferPointer<iovec>, owner: UInt32) -> OperationToken? {
    startSend(descriptor, pieces, owner: owner)
  }

  public func sendDatagrams(
    _ descriptor: Int32, _ datagrams: UnsafeBufferPointer<iovec>, owner: UInt32
  ) -> OperationToken? {
    startDatagrams(descriptor, datagrams, owner: owner)
  }
}
