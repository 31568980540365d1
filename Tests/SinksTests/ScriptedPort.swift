import Glibc

@testable import IO
@testable import Sinks

/// A port whose writes end as the test says; what they took is kept for each descriptor.
final class ScriptedPort: IO.Port {
  struct Write {
    let token: OperationToken
    let descriptor: Int32
    let bytes: UnsafeRawBufferPointer
    let owner: UInt32
    var isCancelled = false
  }

  private(set) var writes: [Write] = []
  private(set) var outputs: [Int32: [UInt8]] = [:]
  private var started: UInt32 = 0
  /// Starts return nil, as with an exhausted pool of operations.
  var isExhausted = false

  let mode = PortMode.syscall
  let pollable: Int32 = -1
  let hasPending = false
  let receiveBufferGauges = PoolGauges(size: 0, inUse: 0, highWater: 0, waits: 0)
  let operationGauges = PoolGauges(size: 0, inUse: 0, highWater: 0, waits: 0)

  func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken? {
    if isExhausted { return nil }
    started += 1
    let token = OperationToken(index: started, generation: 1)
    writes.append(Write(token: token, descriptor: descriptor, bytes: bytes, owner: owner))
    return token
  }

  /// Ends the first write of an owner: `result` is bytes taken, clipped to what was offered, or -errno.
  func complete(_ owner: UInt32, _ result: Int32, to sink: any Sink) {
    guard let index = writes.firstIndex(where: { $0.owner == owner }) else { return }
    let write = writes.remove(at: index)
    let result = min(result, Int32(write.bytes.count))
    if result > 0 { outputs[write.descriptor, default: []] += write.bytes[..<Int(result)] }
    sink.handle(
      Completion(
        kind: .write, token: write.token, owner: owner, result: result, isFinal: true, completedAt: 0))
  }

  func cancel(_ token: OperationToken) {
    for index in writes.indices where writes[index].token == token { writes[index].isCancelled = true }
  }

  func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, owner: UInt32) -> OperationToken? { nil }
  func send(_ descriptor: Int32, _ pieces: UnsafeBufferPointer<iovec>, owner: UInt32) -> OperationToken? { nil }
  func sendDatagrams(
    _ descriptor: Int32, _ datagrams: UnsafeBufferPointer<iovec>, owner: UInt32
  ) -> OperationToken? { nil }
  func connect(_ descriptor: Int32, _ address: SocketAddress, owner: UInt32) -> OperationToken? { nil }
  func receive(_ descriptor: Int32, owner: UInt32) -> OperationToken? { nil }
  func receive(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, owner: UInt32
  ) -> OperationToken? { nil }
  func read(
    _ descriptor: Int32, into memory: UnsafeMutableRawBufferPointer, offset: Int64, owner: UInt32
  ) -> OperationToken? { nil }
  func synchronize(_ descriptor: Int32, owner: UInt32) -> OperationToken? { nil }
  func poll(_ descriptor: Int32, _ interest: Poller.Interest, owner: UInt32) -> OperationToken? { nil }
  func timer(at deadline: MonotonicTime, owner: UInt32) -> OperationToken? { nil }
  func submit() throws(SystemError) {}
  func reap(limit: Int, _ body: (consuming Completion) -> Void) throws(SystemError) -> Int { 0 }
  func tearDown() -> Int { 0 }
}
