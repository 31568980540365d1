internal import CLinux

/// CRC-32C (RFC 3720), which finds every burst of up to 32 bits and all but one of 4 billion other changes.
public enum Checksum {
  /// - Parameter start: the checksum of what goes before.
  public static func crc32c(_ bytes: UnsafeRawBufferPointer, after start: UInt32 = 0) -> UInt32 {
    clinux_crc32c(start, bytes.baseAddress, bytes.count)
  }

  /// Without the processor's instruction.
  static func crc32cByTable(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    clinux_crc32c_by_table(0, bytes.baseAddress, bytes.count)
  }
}
