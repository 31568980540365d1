/// What is wrong with a file that `decode` reads, and where.
public struct RecordFileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Bytes from the start of the file.
  public let offset: Int
  public let reason: String

  public var description: String { "byte \(offset): \(reason)" }

  public init(offset: Int, reason: String) {
    self.offset = offset
    self.reason = reason
  }
}

/// A datagram of sock_diag in a capture.
public struct CapturedDatagram {
  /// The netlink messages, as the kernel sent them. Valid as long as the file's bytes.
  public let bytes: UnsafeRawBufferPointer
  /// Where they start in the file.
  public let offset: Int
  /// Wall clock of the capture, ns since 1970.
  public let timestamp: Int64
  /// `nlmsg_pid` of the first message; with `sequence` it tells dumps apart.
  public let portID: UInt32
  /// `nlmsg_seq` of the first message.
  public let sequence: UInt32
}

/// A capture of netlink messages (`tcpdump -i nlmon0 -w file`): a pcap file with link type 253, `LINKTYPE_NETLINK`
/// (https://www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html). Iterates over what the kernel said on sock_diag; requests and
/// other netlink protocols are passed over.
///
/// A view of the file's bytes, which the caller keeps alive. Never reads outside them.
public struct CaptureFile {
  private let bytes: UnsafeRawBufferPointer
  private let isSwapped: Bool
  private let nanosecondsPerTick: Int64
  private var position = Self.fileHeader

  private static let fileHeader = 24
  private static let packetHeader = 16
  private static let cookedHeader = 16
  private static let linkType: UInt32 = 253
  private static let sockDiag: UInt16 = 4  // NETLINK_SOCK_DIAG
  private static let requestFlag: UInt16 = 1  // NLM_F_REQUEST

  /// Whether `bytes` start like a pcap file.
  public static func isCapture(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= 4 && magic(bytes.loadUnaligned(as: UInt32.self)) != nil
  }

  /// - Throws: if this is not a pcap file or its link type is not 253.
  public init(_ bytes: UnsafeRawBufferPointer) throws(RecordFileError) {
    guard bytes.count >= Self.fileHeader, let kind = Self.magic(bytes.loadUnaligned(as: UInt32.self)) else {
      throw RecordFileError(offset: 0, reason: "not a pcap file")
    }
    self.bytes = bytes
    isSwapped = kind.isSwapped
    nanosecondsPerTick = kind.nanosecondsPerTick
    let type = Self.number(bytes, at: 20, isSwapped)
    guard type == Self.linkType else {
      throw RecordFileError(offset: 20, reason: "link type \(type) is not netlink (253)")
    }
  }

  /// The next datagram, nil at the end of the file.
  ///
  /// - Throws: if a packet is longer than what is left of the file, or was cut when it was captured.
  public mutating func next() throws(RecordFileError) -> CapturedDatagram? {
    while position < bytes.count {
      let start = position
      guard bytes.count - start >= Self.packetHeader else {
        throw RecordFileError(offset: start, reason: "packet header is truncated")
      }
      let captured = Int(Self.number(bytes, at: start + 8, isSwapped))
      guard captured <= bytes.count - start - Self.packetHeader else {
        throw RecordFileError(offset: start + 8, reason: "packet of \(captured) bytes does not fit the file")
      }
      position = start + Self.packetHeader + captured
      guard let datagram = datagram(at: start, captured: captured) else { continue }
      guard captured >= Int(Self.number(bytes, at: start + 12, isSwapped)) else {
        throw RecordFileError(offset: start + 8, reason: "packet was cut to \(captured) bytes when it was captured")
      }
      return datagram
    }
    return nil
  }

  /// The packet at `start` if the kernel sent it and it is sock_diag's.
  private func datagram(at start: Int, captured: Int) -> CapturedDatagram? {
    guard captured >= Self.cookedHeader + NetlinkSize.messageHeader else { return nil }
    let cooked = start + Self.packetHeader
    let netlinkProtocol = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: cooked + 14, as: UInt16.self))
    guard netlinkProtocol == Self.sockDiag else { return nil }
    let offset = cooked + Self.cookedHeader
    let flags = bytes.loadUnaligned(fromByteOffset: offset + 6, as: UInt16.self)
    guard flags & Self.requestFlag == 0 else { return nil }
    let seconds = Int64(Self.number(bytes, at: start, isSwapped))
    let ticks = Int64(Self.number(bytes, at: start + 4, isSwapped))
    return CapturedDatagram(
      bytes: UnsafeRawBufferPointer(rebasing: bytes[offset..<(cooked + captured)]), offset: offset,
      timestamp: seconds * 1_000_000_000 + ticks * nanosecondsPerTick,
      portID: bytes.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self),
      sequence: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self))
  }

  private static func magic(_ number: UInt32) -> (isSwapped: Bool, nanosecondsPerTick: Int64)? {
    switch number {
    case 0xa1b2_c3d4: (false, 1000)
    case 0xd4c3_b2a1: (true, 1000)
    case 0xa1b2_3c4d: (false, 1)
    case 0x4d3c_b2a1: (true, 1)
    default: nil
    }
  }

  private static func number(_ bytes: UnsafeRawBufferPointer, at offset: Int, _ isSwapped: Bool) -> UInt32 {
    let number = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    return isSwapped ? number.byteSwapped : number
  }
}
