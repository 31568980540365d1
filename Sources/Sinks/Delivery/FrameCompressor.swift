internal import CZstd

/// Compresses batches into zstd frames (RFC 8878), each complete in itself: frames one after another are one file.
///
/// Memory: the context of libzstd, some MiB, made with the first frame; the output is the caller's.
struct FrameCompressor: ~Copyable {
  private let context: OpaquePointer

  /// Nil if there is no memory for it.
  init?(level: Int32 = 1) {
    guard let context = ZSTD_createCCtx() else { return nil }
    self.context = context
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
  }

  deinit { ZSTD_freeCCtx(context) }

  /// The most bytes that a frame of so many bytes takes.
  static func bound(_ byteCount: Int) -> Int { ZSTD_compressBound(byteCount) }

  /// Writes a frame of all pieces into `output`, which has room for `bound` of their sum.
  ///
  /// - Returns: the bytes of the frame; nil: libzstd failed, for lack of memory.
  func compress(
    pieces: Int, total: Int, into output: UnsafeMutableRawBufferPointer, _ piece: (Int) -> UnsafeRawBufferPointer
  ) -> Int? {
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    ZSTD_CCtx_setPledgedSrcSize(context, UInt64(total))
    var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
    for index in 0..<pieces {
      let bytes = piece(index)
      var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
      let directive = index == pieces - 1 ? ZSTD_e_end : ZSTD_e_continue
      var left = 1
      while source.pos < source.size || (directive == ZSTD_e_end && left > 0) {
        left = ZSTD_compressStream2(context, &target, &source, directive)
        if ZSTD_isError(left) != 0 || (target.pos == target.size && left > 0) { return nil }
      }
    }
    return target.pos
  }
}
