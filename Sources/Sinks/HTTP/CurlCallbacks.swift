internal import CCurl
import IO

/// What libcurl calls while it works, always from inside a call of the client's own and on its thread.
enum CurlCallbacks {
  private static func client(_ context: UnsafeMutableRawPointer) -> HTTPClient {
    Unmanaged<HTTPClient>.fromOpaque(context).takeUnretainedValue()
  }

  /// CURLMOPT_SOCKETFUNCTION(3). -1 ends the transfer.
  static let socket: ccurl_socket_function = { _, socket, what, context, _ in
    client(context).watches.set(socket, what) ? 0 : -1
  }

  /// CURLMOPT_TIMERFUNCTION(3).
  static let timer: ccurl_timer_function = { _, milliseconds, context in
    let client = client(context)
    client.timerAt =
      milliseconds < 0 ? nil : MonotonicTime.now().nanoseconds + Int64(min(milliseconds, 1 << 40)) * 1_000_000
    return 0
  }

  /// CURLOPT_READFUNCTION(3): the next bytes of the body.
  static let read: ccurl_data_function = { bytes, size, count, context in
    client(context).body.read(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
  }

  /// CURLOPT_SEEKFUNCTION(3): a kept connection turned out to be closed, and the body is sent again on another one.
  static let seek: ccurl_seek_function = { context, offset, origin in
    guard offset == 0, origin == 0 else { return CURL_SEEKFUNC_CANTSEEK }
    client(context).body.rewind()
    return CURL_SEEKFUNC_OK
  }

  /// CURLOPT_WRITEFUNCTION(3): bytes of the answer's body. Anything but their number ends the transfer.
  static let write: ccurl_data_function = { bytes, size, count, context in
    let client = client(context)
    let taken = client.answer.body.append(UnsafeRawBufferPointer(start: bytes, count: size * count))
    client.answer.isTooLong = !taken
    return taken ? size * count : 0
  }

  /// Bytes of header lines, of all answers to one request (1xx).
  private static let longestHeader = 256 << 10

  /// CURLOPT_HEADERFUNCTION(3): a whole line of the header.
  static let header: ccurl_data_function = { bytes, size, count, context in
    let client = client(context)
    client.headerBytes += size * count
    guard client.headerBytes <= longestHeader else { return 0 }
    client.answer.take(headerLine: UnsafeRawBufferPointer(start: bytes, count: size * count))
    return size * count
  }
}

extension HTTPAnswer {
  /// Remembers what it is asked for later.
  mutating func take(headerLine bytes: UnsafeRawBufferPointer) {
    if bytes.starts(with: "HTTP/".utf8) { return (retryAfter, exceptionCode) = (nil, nil) }
    if let value = Self.value(of: "retry-after", in: bytes) { retryAfter = value }
    if let value = Self.value(of: "x-clickhouse-exception-code", in: bytes) { exceptionCode = Int(value) }
  }

  /// - Parameter name: in lower case.
  private static func value(of name: StaticString, in line: UnsafeRawBufferPointer) -> String? {
    let length = name.utf8CodeUnitCount
    guard line.count > length, line.count < 512, line[length] == UInt8(ascii: ":") else { return nil }
    for index in 0..<length {
      let byte = line[index]
      let lower = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
      guard lower == name.utf8Start[index] else { return nil }
    }
    let text = String(decoding: line[(length + 1)...], as: UTF8.self)
    return String(text.drop { $0.isWhitespace }.prefix { !$0.isNewline })
  }
}
