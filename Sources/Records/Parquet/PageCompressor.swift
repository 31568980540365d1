import CZstd

/// How the pages of a Parquet file are compressed.
public enum ParquetCompression: Sendable, Hashable {
  case none
  /// Zstandard, level 1 (fastest) to 22 (smallest).
  case zstd(level: Int)

  /// Number of it in `CompressionCodec` of parquet.thrift.
  var codec: Int32 {
    switch self {
    case .none: 0
    case .zstd: 6
    }
  }
}

/// Compresses one page after the other with one context of libzstd, whose memory comes with the first page. Owns it.
struct PageCompressor: ~Copyable {
  let compression: ParquetCompression
  private var packed = ByteBuffer(capacity: 64)
  private let context: OpaquePointer?

  /// What libzstd takes for pages of up to 2 MiB, the largest there are.
  var maximumMemory: Int {
    switch compression {
    case .none: 0
    case .zstd(let level): level <= 3 ? 4 << 20 : 32 << 20
    }
  }

  /// - Throws: if libzstd cannot allocate its context.
  init(_ compression: ParquetCompression) throws(ParquetError) {
    self.compression = compression
    switch compression {
    case .none: context = nil
    case .zstd:
      context = ZSTD_createCCtx()
      if context == nil { throw .compression("libzstd has no memory for a context") }
    }
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Bytes held, without those of libzstd.
  var memory: Int { packed.capacity }

  /// The compressed page, valid until the next call; the page itself if nothing is to be compressed.
  ///
  /// - Throws: if libzstd fails, which it does for lack of memory only.
  mutating func compress(_ page: UnsafeRawBufferPointer) throws(ParquetError) -> UnsafeRawBufferPointer {
    guard case .zstd(let level) = compression else { return page }
    packed.removeAll()
    packed.reserve(ZSTD_compressBound(page.count))
    let size = ZSTD_compressCCtx(
      context, packed.base, packed.capacity, page.baseAddress, page.count, Int32(clamping: level))
    guard ZSTD_isError(size) == 0 else { throw .compression("libzstd: \(String(cString: ZSTD_getErrorName(size)))") }
    packed.advance(size)
    return packed.bytes
  }
}
