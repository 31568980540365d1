import CZlib
import CZstd
import IO
import Testing

@testable import Sinks

@Suite struct HTTPTests {
  // MARK: Answers

  @Test func datesOfRetryAfter() {
    #expect(RetryAfter.seconds(ofDate: "Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
    #expect(RetryAfter.seconds(ofDate: "Thu, 29 Feb 2024 23:59:60 GMT") == 1_709_251_200)
    for text in [
      "", "Sun, 06 Nov 1994", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
      "Sun, 0 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
    ] { #expect(RetryAfter.seconds(ofDate: text) == nil, "\(text)") }
  }

  @Test func retryAfterIsBounded() {
    #expect(RetryAfter.nanoseconds("2", wallClock: 0) == 2_000_000_000)
    #expect(RetryAfter.nanoseconds("18446744073709551615", wallClock: 0) == RetryAfter.longest)
    #expect(RetryAfter.nanoseconds("-1", wallClock: 0) == nil)
    let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    #expect(RetryAfter.nanoseconds(date, wallClock: 784_111_770_000_000_000) == 7_000_000_000)
    #expect(RetryAfter.nanoseconds(date, wallClock: 784_111_778_000_000_000) == 0)
    #expect(RetryAfter.nanoseconds("Fri, 31 Dec 9999 23:59:59 GMT", wallClock: 0) == RetryAfter.longest)
  }

  private static let meanings: [(Int, Bool, DropReason?)] = [
    (200, false, nil), (204, false, nil), (301, false, .failed), (400, true, .rejected), (401, true, .rejected),
    (408, false, .failed), (413, true, .tooLarge), (425, false, .failed), (429, false, .failed), (500, false, .failed),
    (503, false, .failed),
  ]

  @Test(arguments: meanings)
  func statuses(_ status: Int, _ isFinal: Bool, _ reason: DropReason?) {
    let failure = HTTPAnswer(status: status).failure("POST http://a", hiding: PeerSecrets([]))
    #expect(failure?.isFinal == (reason == nil ? nil : isFinal))
    #expect(failure?.reason == reason)
  }

  @Test func whatComesWithoutAWholeAnswerIsTriedAgain() throws {
    let answer = HTTPAnswer(status: 400, failure: "cut")
    let failure = try #require(answer.failure("POST http://a", hiding: PeerSecrets([])))
    #expect(!failure.isFinal && failure.message == "POST http://a: cut")
    #expect(HTTPAnswer(status: 200, failure: "too long", isTooLong: true).isSuccess)
    #expect(!HTTPAnswer(status: 200, failure: "time-out").isSuccess)
  }

  @Test func headersAreReadInAnyCase() {
    var answer = HTTPAnswer()
    for line in [
      "HTTP/1.1 100 Continue\r\n", "retry-AFTER: 1\r\n", "HTTP/1.1 503 No\r\n", "Retry-After:  7\r\n",
      "X-ClickHouse-Exception-Code: 252\r\n", "Retry-Afterwards: 9\r\n", "\r\n",
    ] { Array(line.utf8).withUnsafeBytes { answer.take(headerLine: $0) } }
    #expect(answer.retryAfter == "7" && answer.exceptionCode == 252)
  }

  @Test func messagesHideSecretsAndControlCharacters() {
    var body = HTTPAnswerBody()
    let text = "no\u{1B}[31m such\r\n\tuser: s3cret-word \u{202E}x" + String(repeating: "y", count: 500)
    #expect(Array(text.utf8).withUnsafeBytes { body.append($0) })
    let told = body.text(limit: 50, hiding: PeerSecrets(["s3cret", "s3cret-word", "u"]))
    #expect(told.hasPrefix("no?[31m such user: *** ?xyyy") && told.hasSuffix("y...") && told.count == 53)
  }

  @Test func bodiesAreReadSoFar() {
    var body = HTTPAnswerBody()
    let piece = [UInt8](repeating: 65, count: 16 << 10)
    var pieces = 0
    while piece.withUnsafeBytes({ body.append($0) }) { pieces += 1 }
    #expect(pieces == 64 && body.bytes.count == HTTPAnswerBody.kept)
  }

  @Test func encodings() {
    #expect(
      ["", "f", "fo", "foo", "foob", "a:ÿ?"].map(Base64.encode) == ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "YTrDvz8="])
    #expect(PercentEncoding.encode("a b/ü=~*'", keeping: "/") == "a%20b/%C3%BC%3D~%2A%27")
    #expect(HTTPPlace.origin(of: "https://a:1/b?token=c") == "https://a:1")
    #expect(HTTPPlace.origin(of: "http://[::1]?x") == "http://[::1]")
  }

  // MARK: Bodies

  @Test func bodiesAreReadAcrossPieces() {
    var body = RequestBody()
    let pieces: [[UInt8]] = [[1, 2, 3], [], [4], [5, 6, 7, 8]]
    var memory = pieces.map { piece in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
      copy.copyBytes(from: piece)
      return copy
    }
    defer { for piece in memory { piece.deallocate() } }
    for piece in memory { body.append(UnsafeRawBufferPointer(piece)) }
    memory.reverse()
    for size in 1...9 {
      body.rewind()
      var found: [UInt8] = []
      while true {
        var chunk = [UInt8](repeating: 0, count: size)
        let count = chunk.withUnsafeMutableBytes { body.read(into: $0) }
        if count == 0 { break }
        found += chunk[..<count]
      }
      #expect(found == [1, 2, 3, 4, 5, 6, 7, 8], "\(size) at once")
    }
    #expect(body.byteCount == 8)
  }

  @Test(arguments: [HTTPCompression.gzip, .zstd], [0, 1, 100_000, 3_000_000])
  func compressedBodiesComeBack(_ compression: HTTPCompression, _ count: Int) throws {
    let compressor = try #require(BodyCompressor(compression))
    var generator = SplitMix64(seed: 1)
    let plain = (0..<count).map { _ in UInt8.random(in: 0..<16, using: &generator) }
    // The second one uses the memory of the first.
    for _ in 0..<2 {
      compressor.begin(byteCount: plain.count)
      for start in stride(from: 0, to: plain.count, by: 70_001) {
        let piece = plain[start..<min(start + 70_001, plain.count)]
        #expect(piece.withUnsafeBytes { compressor.append($0) })
      }
      #expect(compressor.finish())
      #expect(compressor.output.count < max(100, plain.count * 2 / 3))
      #expect(try decompress(compressor.output, compression) == plain)
    }
  }

  private func decompress(_ bytes: UnsafeRawBufferPointer, _ compression: HTTPCompression) throws -> [UInt8] {
    var output = [UInt8](repeating: 0, count: 4 << 20)
    let capacity = output.count
    let count = output.withUnsafeMutableBytes { target -> Int in
      if compression == .zstd {
        let size = ZSTD_decompress(target.baseAddress, capacity, bytes.baseAddress, bytes.count)
        return ZSTD_isError(size) == 0 ? size : -1
      }
      var stream = z_stream()
      stream.next_in = UnsafeMutablePointer(mutating: bytes.bindMemory(to: UInt8.self).baseAddress)
      stream.avail_in = UInt32(bytes.count)
      stream.next_out = target.bindMemory(to: UInt8.self).baseAddress
      stream.avail_out = UInt32(capacity)
      guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return -1 }
      defer { inflateEnd(&stream) }
      return inflate(&stream, Z_FINISH) == Z_STREAM_END ? Int(stream.total_out) : -1
    }
    return try Array(output.prefix(#require(count >= 0 ? count : nil)))
  }
}
