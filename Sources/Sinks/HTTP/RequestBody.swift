internal import CCurl
import IO

/// How a body is compressed.
public enum HTTPCompression: Sendable, Equatable {
  case none, gzip, zstd
}

/// The bytes that a request sends: pieces that stand one behind the other, read from where they are.
///
/// The memory of the pieces is the caller's and stays until the request has ended.
struct RequestBody {
  private var pieces: [UnsafeRawBufferPointer] = []
  private(set) var byteCount = 0
  /// Where the next byte is read.
  private var piece = 0
  private var offset = 0

  mutating func clear() {
    pieces.removeAll(keepingCapacity: true)
    byteCount = 0
    rewind()
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
    pieces.append(bytes)
    byteCount += bytes.count
  }

  mutating func rewind() { (piece, offset) = (0, 0) }

  /// The next bytes as they lie, at most `limit`; empty at the end.
  mutating func next(_ limit: Int) -> UnsafeRawBufferPointer {
    guard piece < pieces.count else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let rest = UnsafeRawBufferPointer(rebasing: pieces[piece][offset...].prefix(limit))
    offset += rest.count
    if offset == pieces[piece].count { (piece, offset) = (piece + 1, 0) }
    return rest
  }

  /// Fills memory with the next bytes; how many these were.
  mutating func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
    var count = 0
    while count < memory.count {
      let bytes = next(memory.count - count)
      if bytes.isEmpty { break }
      UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: bytes)
      count += bytes.count
    }
    return count
  }
}
