import IO

/// Makes the body of a request from a shipment, in steps of some milliseconds.
final class HTTPContent {
  enum Progress {
    case more
    case done
    case failed(Failure)
  }

  private let header: UnsafeMutableRawBufferPointer
  private let framing: RowFraming
  /// Before several envelopes that become one: its length.
  private let prefix = UnsafeMutableRawBufferPointer.allocate(byteCount: 10, alignment: 8)
  private let compressor: BodyCompressor?
  private let encoder: (any ObjectEncoder)?
  /// What has not been compressed yet.
  private var source = RequestBody()
  /// Batches that the encoder has.
  private var encoded = 0

  /// - Parameters:
  ///   - header: goes before the rows of each request.
  ///   - encoder: makes an object of the batches, which is not compressed again; nil: they go as they are.
  init(
    header: [UInt8], framing: RowFraming, compression: HTTPCompression = .none, encoder: (any ObjectEncoder)? = nil
  ) throws(HTTPSetupError) {
    self.header = .allocate(byteCount: header.count, alignment: 1)
    self.header.copyBytes(from: header)
    self.framing = framing
    self.encoder = encoder
    compressor = BodyCompressor(compression)
    if compression != .none, compressor == nil { throw HTTPSetupError("no memory to compress with") }
  }

  deinit {
    header.deallocate()
    prefix.deallocate()
  }

  func begin(_ shipment: Shipment) {
    source.clear()
    encoded = 0
    if let encoder { return encoder.begin() }
    lay(shipment, &source)
    compressor?.begin(byteCount: source.byteCount)
  }

  func end() { source.clear() }

  func step(_ shipment: Shipment, _ body: inout RequestBody) -> Progress {
    if let encoder { return encode(shipment, encoder, &body) }
    guard let compressor else {
      body = source
      return .done
    }
    var left = BodyCompressor.step
    while left > 0 {
      let bytes = source.next(left)
      left -= bytes.count
      if bytes.isEmpty {
        guard compressor.finish() else { return .failed(Failure(message: "no memory to compress with")) }
        body.clear()
        body.append(compressor.output)
        return .done
      }
      guard compressor.append(bytes) else { return .failed(Failure(message: "no memory to compress with")) }
    }
    return .more
  }

  private func encode(_ shipment: Shipment, _ encoder: any ObjectEncoder, _ body: inout RequestBody) -> Progress {
    do throws(ObjectError) {
      if encoded < shipment.count {
        try encoder.append(shipment.bytes(of: encoded))
        encoded += 1
        return .more
      }
      try encoder.finish()
    } catch {
      return .failed(Failure(message: "\(error)", reason: .corrupt, isFinal: true))
    }
    body.clear()
    body.append(encoder.output)
    return .done
  }

  /// The rows, with what their format has before them.
  private func lay(_ shipment: Shipment, _ body: inout RequestBody) {
    body.append(UnsafeRawBufferPointer(header))
    guard framing == .envelope, shipment.count > 1 else {
      for index in 0..<shipment.count { body.append(shipment.bytes(of: index)) }
      return
    }
    let byteCount = (0..<shipment.count).reduce(0) { $0 + shipment.body(of: $1).count }
    if let start = prefix.baseAddress { Uvarint.put(byteCount, at: start) }
    body.append(UnsafeRawBufferPointer(rebasing: prefix[..<Uvarint.size(byteCount)]))
    for index in 0..<shipment.count { body.append(shipment.body(of: index)) }
  }
}

/// What a format is called in a request.
enum HTTPContentType {
  /// - Parameter format: its name in configurations.
  static func of(_ format: String) -> String {
    switch format {
    case "jsonl", "proto_json": "application/x-ndjson"
    case "csv": "text/csv; charset=utf-8; header=present"
    case "tsv": "text/tab-separated-values; charset=utf-8"
    case "protobuf", "protobuf_list": "application/x-protobuf"
    case "msgpack": "application/x-msgpack"
    case "parquet": "application/vnd.apache.parquet"
    default: "text/plain; charset=utf-8"
    }
  }
}
