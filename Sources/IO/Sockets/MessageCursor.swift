import Glibc

/// How much of a message, which lies in several pieces, is out. The pieces belong to whoever sends.
struct MessageCursor {
  private let pieces: UnsafeBufferPointer<iovec>
  private var index = 0
  private var offset = 0

  init(_ pieces: UnsafeBufferPointer<iovec>) {
    self.pieces = pieces
    skipEmpty()
  }

  /// Nothing is left.
  var isComplete: Bool { index == pieces.count }

  /// What is left of the first piece that is not out; empty if nothing is left.
  var first: UnsafeRawBufferPointer {
    guard !isComplete else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let piece = pieces[index]
    return UnsafeRawBufferPointer(start: piece.iov_base.map { $0 + offset }, count: piece.iov_len - offset)
  }

  /// Lists what is left, as far as there is room; returns the number of entries.
  func list(into vectors: UnsafeMutableBufferPointer<iovec>) -> Int {
    let count = min(vectors.count, pieces.count - index)
    for position in 0..<count { vectors[position] = pieces[index + position] }
    if count > 0 {
      let first = first
      vectors[0] = iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count)
    }
    return count
  }

  /// Copies what is left, as far as there is room, and counts it as out; returns the number of bytes.
  mutating func move(into memory: UnsafeMutableRawBufferPointer) -> Int {
    var moved = 0
    while !isComplete, moved < memory.count {
      let part = UnsafeRawBufferPointer(rebasing: first.prefix(memory.count - moved))
      UnsafeMutableRawBufferPointer(rebasing: memory[moved...]).copyMemory(from: part)
      moved += part.count
      advance(by: part.count)
    }
    return moved
  }

  /// So many bytes more are out.
  mutating func advance(by bytes: Int) {
    offset += bytes
    while !isComplete, offset >= pieces[index].iov_len {
      offset -= pieces[index].iov_len
      index += 1
    }
  }

  private mutating func skipEmpty() { advance(by: 0) }
}
