import Glibc

/// The requests that bring one shipment: texts of our own around the rows of the shipment, which stay where they are.
///
/// One object is used again and again; its memory is that of the biggest shipment so far.
final class RequestList {
  private struct Request {
    var rows: Int
    /// In `pieces`.
    var firstPiece: Int
    var isAnswered = false
  }

  /// A piece of a request.
  private enum Piece {
    /// In `text`.
    case text(Range<Int>)
    case bytes(UnsafeRawBufferPointer)
  }

  private var requests: [Request] = []
  private var pieces: [Piece] = []
  private var text: [UInt8] = []
  /// What is freed with the list.
  private var adopted: [(memory: UnsafeMutableRawPointer, free: (UnsafeMutableRawPointer) -> Void)] = []
  private var vectors: UnsafeMutableBufferPointer<iovec> = .allocate(capacity: 0)
  /// `text` as it is sent.
  private var sentText = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  /// Requests that were sent and are not answered, in order.
  private var awaited = 0..<0

  /// Rows that no request can bring.
  private(set) var oversizedRows = 0

  deinit {
    empty()
    vectors.deallocate()
    sentText.deallocate()
  }

  // MARK: Laying out

  /// Forgets everything.
  func empty() {
    requests.removeAll(keepingCapacity: true)
    pieces.removeAll(keepingCapacity: true)
    text.removeAll(keepingCapacity: true)
    for (memory, free) in adopted { free(memory) }
    adopted.removeAll(keepingCapacity: true)
    awaited = 0..<0
    oversizedRows = 0
  }

  /// Begins a request that brings so many rows.
  func begin(rows: Int) { requests.append(Request(rows: rows, firstPiece: pieces.count)) }

  /// Appends bytes to the request, which are copied.
  func append(copying bytes: some Sequence<UInt8>) {
    let start = text.count
    text.append(contentsOf: bytes)
    if case .text(let last)? = pieces.last, last.upperBound == start, requests.last?.firstPiece != pieces.count {
      pieces[pieces.count - 1] = .text(last.lowerBound..<text.count)
    } else {
      pieces.append(.text(start..<text.count))
    }
  }

  /// Appends bytes to the request that stay where they are until the shipment is settled.
  func append(_ bytes: UnsafeRawBufferPointer) { pieces.append(.bytes(bytes)) }

  /// Appends memory to the request that is freed with it.
  func append(
    adopting bytes: UnsafeMutableRawBufferPointer, freedBy free: @escaping (UnsafeMutableRawPointer) -> Void
  ) {
    guard let base = bytes.baseAddress else { return }
    adopted.append((base, free))
    pieces.append(.bytes(UnsafeRawBufferPointer(bytes)))
  }

  /// Rows that are too long for a request.
  func leaveOut(rows: Int) { oversizedRows += rows }

  // MARK: Sending

  /// All that is to be sent, and whose answers will be awaited: every request that is not done with.
  ///
  /// - Parameter isDone: what a request brings is known to be settled.
  /// - Returns: valid until the list is emptied or this is called again.
  func bytesToSend(unless isDone: (_ request: Int) -> Bool) -> UnsafeBufferPointer<iovec> {
    copyText()
    if vectors.count < pieces.count {
      vectors.deallocate()
      vectors = .allocate(capacity: pieces.count)
    }
    var count = 0
    for index in requests.indices {
      requests[index].isAnswered = isDone(index)
      if requests[index].isAnswered { continue }
      for piece in pieces[pieceRange(index)] {
        vectors.initializeElement(at: count, to: vector(piece))
        count += 1
      }
    }
    awaited = 0..<requests.count
    skipAnswered()
    return UnsafeBufferPointer(rebasing: vectors[..<count])
  }

  private func pieceRange(_ index: Int) -> Range<Int> {
    requests[index].firstPiece..<(index + 1 < requests.count ? requests[index + 1].firstPiece : pieces.count)
  }

  private func copyText() {
    if sentText.count < text.count {
      sentText.deallocate()
      sentText = .allocate(byteCount: text.count, alignment: 1)
    }
    sentText.copyBytes(from: text)
  }

  private func vector(_ piece: Piece) -> iovec {
    switch piece {
    case .text(let range): iovec(iov_base: sentText.baseAddress.map { $0 + range.lowerBound }, iov_len: range.count)
    case .bytes(let bytes):
      iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }
  }

  // MARK: Answers

  var count: Int { requests.count }
  /// No answer is outstanding.
  var isAnswered: Bool { awaited.isEmpty }

  /// The request that the next answer is for: its number and its rows.
  func takeAnswered() -> (request: Int, rows: Int)? {
    guard let index = awaited.first else { return nil }
    requests[index].isAnswered = true
    skipAnswered()
    return (index, requests[index].rows)
  }

  private func skipAnswered() {
    while let index = awaited.first, requests[index].isAnswered { awaited = (index + 1)..<awaited.upperBound }
  }

  func rows(of request: Int) -> Int { requests.indices.contains(request) ? requests[request].rows : 0 }
}
