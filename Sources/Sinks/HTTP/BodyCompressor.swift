internal import CZlib
internal import CZstd

/// Compresses a body piece by piece, so that a loop never waits for a big one.
///
/// Memory: some MiB for zstd's state, 256 KiB for zlib's, and the compressed body; what a big body needed is given back after it.
final class BodyCompressor {
  /// Input bytes of one step: some milliseconds.
  static let step = 512 << 10
  /// Output that is kept from one body to the next.
  private static let kept = 4 << 20

  private enum Codec {
    case gzip(UnsafeMutablePointer<z_stream>)
    case zstd(OpaquePointer)
  }

  private let codec: Codec
  private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var count = 0

  /// Nil for no compression, and if there is no memory.
  init?(_ compression: HTTPCompression) {
    switch compression {
    case .none: return nil
    case .gzip:
      let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
      stream.initialize(to: z_stream())
      // 16 beyond the window's size: a gzip file, RFC 1952.
      let size = Int32(MemoryLayout<z_stream>.size)
      guard deflateInit2_(stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK else {
        stream.deallocate()
        return nil
      }
      codec = .gzip(stream)
    case .zstd:
      guard let context = ZSTD_createCCtx() else { return nil }
      ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1)
      ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
      codec = .zstd(context)
    }
  }

  deinit {
    switch codec {
    case .gzip(let stream):
      deflateEnd(stream)
      stream.deallocate()
    case .zstd(let context): ZSTD_freeCCtx(context)
    }
    memory.deallocate()
  }

  /// The compressed bytes so far; all of them after `finish`.
  var output: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

  /// Begins a body of so many bytes.
  func begin(byteCount: Int) {
    count = 0
    let needed: Int
    switch codec {
    case .gzip(let stream):
      deflateReset(stream)
      needed = Int(deflateBound(stream, UInt(byteCount))) + 64
    case .zstd(let context):
      ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
      ZSTD_CCtx_setPledgedSrcSize(context, UInt64(byteCount))
      needed = ZSTD_compressBound(byteCount) + 64
    }
    guard needed > memory.count || memory.count > max(Self.kept, 2 * needed) else { return }
    memory.deallocate()
    // Pages that are not written cost nothing.
    memory = .allocate(byteCount: needed, alignment: 64)
  }

  /// False: the library failed, for lack of memory, or more came than `begin` said.
  func append(_ bytes: UnsafeRawBufferPointer) -> Bool { run(bytes, isLast: false) }

  func finish() -> Bool { run(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true) }

  private func run(_ bytes: UnsafeRawBufferPointer, isLast: Bool) -> Bool {
    switch codec {
    case .gzip(let stream): deflate(stream, bytes, isLast)
    case .zstd(let context): compress(context, bytes, isLast)
    }
  }

  private func deflate(
    _ stream: UnsafeMutablePointer<z_stream>, _ bytes: UnsafeRawBufferPointer, _ isLast: Bool
  ) -> Bool {
    let source = bytes.bindMemory(to: UInt8.self)
    let target = UnsafeMutableRawBufferPointer(rebasing: memory[count...]).bindMemory(to: UInt8.self)
    stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
    stream.pointee.avail_in = UInt32(bytes.count)
    stream.pointee.next_out = target.baseAddress
    stream.pointee.avail_out = UInt32(clamping: target.count)
    let before = stream.pointee.avail_out
    let result = CZlib.deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
    count += Int(before - stream.pointee.avail_out)
    return isLast ? result == Z_STREAM_END : (bytes.isEmpty || result == Z_OK) && stream.pointee.avail_in == 0
  }

  private func compress(_ context: OpaquePointer, _ bytes: UnsafeRawBufferPointer, _ isLast: Bool) -> Bool {
    var target = ZSTD_outBuffer(dst: memory.baseAddress, size: memory.count, pos: count)
    var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
    while true {
      let left = ZSTD_compressStream2(context, &target, &source, isLast ? ZSTD_e_end : ZSTD_e_continue)
      count = target.pos
      if ZSTD_isError(left) != 0 { return false }
      if isLast ? left == 0 : source.pos == source.size { return true }
      if target.pos == target.size { return false }
    }
  }
}
