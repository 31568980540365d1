/// Where each source of the current row lies in memory.
///
/// A message's attributes are indexed once; after that every field of a present source can be read without a check of its
/// own: a tcp_info shorter than what this code knows is copied into a scratch block whose rest is zero, and every other
/// attribute is taken only when it is whole. The pointers lead into the datagram, so an index is valid as long as that is.
///
/// Owns its memory, which is made once; nothing is allocated afterwards.
struct AttributeIndex: ~Copyable {
  /// Start of each source by raw value of `Source`; meaningful where its bit in `present` is set.
  let starts: UnsafeMutablePointer<UnsafeRawPointer>
  /// Bytes of each source that hold values, as sent by the kernel.
  let lengths: UnsafeMutablePointer<Int>
  /// Sources of the current row.
  var present: UInt32 = 0

  /// Bytes an attribute must have; `Self.irregular` for those that need a closer look.
  private let required: UnsafeMutablePointer<UInt16>
  private let scratch: UnsafeMutableRawPointer
  /// For every length of tcp_info up to the known one: where the last whole field ends.
  private let wholeFields: UnsafeMutablePointer<UInt16>

  private static let irregular = UInt16.max
  static let knownInfoLength = RecordSchema.knownLengths[Int(Source.info.rawValue)]
  private static let infoScratch = 0
  private static let congestionScratch = 320
  private static let protocolScratch = 352
  private static let scratchSize = 384

  init() {
    scratch = .allocate(byteCount: Self.scratchSize, alignment: 64)
    scratch.initializeMemory(as: UInt8.self, repeating: 0, count: Self.scratchSize)
    starts = .allocate(capacity: Source.slotCount)
    starts.initialize(repeating: UnsafeRawPointer(scratch), count: Source.slotCount)
    lengths = .allocate(capacity: Source.slotCount)
    lengths.initialize(repeating: 0, count: Source.slotCount)
    required = .allocate(capacity: Source.slotCount)
    required.initialize(repeating: 0, count: Source.slotCount)
    for slot in 1..<Source.slotCount { required[slot] = UInt16(clamping: RecordSchema.knownLengths[slot]) }
    required[Int(Source.congestion.rawValue)] = Self.irregular
    required[Int(Source.upperLayerProtocol.rawValue)] = Self.irregular

    wholeFields = .allocate(capacity: Self.knownInfoLength + 1)
    wholeFields.initialize(repeating: 0, count: Self.knownInfoLength + 1)
    for (length, whole) in RecordSchema.wholeInfoLengths.enumerated() { wholeFields[length] = UInt16(clamping: whole) }
  }

  /// One attribute of a message that is not indexed: the first whole number of its value. Nil if it is not there.
  ///
  /// - Parameter message: `struct inet_diag_msg` and attributes.
  static func find<Number: FixedWidthInteger & BitwiseCopyable>(
    _ source: Source, in message: UnsafeRawBufferPointer, as type: Number.Type
  ) -> Number? {
    let header = NetlinkSize.attributeHeader
    var at = NetlinkSize.socketMessage
    while at + header <= message.count {
      let size = Int(message.loadUnaligned(fromByteOffset: at, as: UInt16.self))
      let found = message.loadUnaligned(fromByteOffset: at + 2, as: UInt16.self) & NetlinkSize.attributeTypeMask
      if size < header || at + size > message.count { return nil }
      if found == UInt16(source.rawValue), size >= header + MemoryLayout<Number>.size {
        return message.loadUnaligned(fromByteOffset: at + header, as: Number.self)
      }
      at = (at + size + 3) & ~3
    }
    return nil
  }

  deinit {
    scratch.deallocate()
    starts.deallocate()
    lengths.deallocate()
    required.deallocate()
    wholeFields.deallocate()
  }

  /// Indexes the payload of a socket message: `struct inet_diag_msg`, then attributes.
  ///
  /// - Parameters:
  ///   - payload: the first byte after `struct nlmsghdr`.
  ///   - length: bytes of the payload, at least `NetlinkSize.socketMessage`.
  ///   - selected: attributes to index, as bits; the others are passed over.
  ///   - unknown: grows with every attribute that is newer than this code or too short to be what its type says.
  /// - Returns: false if the attributes do not fit together.
  @inline(__always)
  mutating func read(
    _ payload: UnsafeRawPointer, length: Int, selected: UInt32, unknown: inout UInt64
  ) -> Bool {
    starts[Int(Source.message.rawValue)] = payload
    var found = Source.message.bit
    var at = NetlinkSize.socketMessage
    while at &+ NetlinkSize.attributeHeader <= length {
      let size = Int(payload.loadUnaligned(fromByteOffset: at, as: UInt16.self))
      let type = payload.loadUnaligned(fromByteOffset: at &+ 2, as: UInt16.self) & NetlinkSize.attributeTypeMask
      if size < NetlinkSize.attributeHeader || at &+ size > length { return false }
      if type > Source.highestAttribute {
        unknown &+= 1
      } else {
        let bit = 1 as UInt32 &<< UInt32(truncatingIfNeeded: type)
        if selected & bit != 0 {
          let slot = Int(type)
          let start = payload + (at &+ NetlinkSize.attributeHeader)
          let count = size &- NetlinkSize.attributeHeader
          if count >= Int(required[slot]) {
            starts[slot] = start
            lengths[slot] = count
            found |= bit
          } else if readIrregular(slot, start, count) {
            found |= bit
          } else {
            unknown &+= 1
          }
        }
      }
      at = (at &+ size &+ 3) & ~3
    }
    present = found
    return true
  }

  /// An attribute that is not simply a whole structure. False if it is of no use.
  @inline(never)
  private func readIrregular(_ slot: Int, _ start: UnsafeRawPointer, _ count: Int) -> Bool {
    switch slot {
    case Int(Source.info.rawValue):
      readShortInfo(start, count)
      return true
    case Int(Source.congestion.rawValue):
      readName(slot, start, count, limit: NetlinkSize.congestionName, into: scratch + Self.congestionScratch)
      return true
    case Int(Source.upperLayerProtocol.rawValue):
      return readProtocolName(start, count)
    default:
      return false
    }
  }

  /// Older kernels: what they sent, cut after the last whole field, with zeros behind it.
  private func readShortInfo(_ start: UnsafeRawPointer, _ count: Int) {
    let copy = scratch + Self.infoScratch
    let whole = Int(wholeFields[count])
    copy.copyMemory(from: start, byteCount: whole)
    (copy + whole).initializeMemory(as: UInt8.self, repeating: 0, count: Self.knownInfoLength - whole)
    let slot = Int(Source.info.rawValue)
    starts[slot] = UnsafeRawPointer(copy)
    lengths[slot] = count
  }

  /// `INET_ULP_INFO_NAME` within the nested attribute (`tcp_diag_put_ulp` in net/ipv4/tcp_diag.c).
  private func readProtocolName(_ start: UnsafeRawPointer, _ count: Int) -> Bool {
    var at = 0
    while at + NetlinkSize.attributeHeader <= count {
      let size = Int(start.loadUnaligned(fromByteOffset: at, as: UInt16.self))
      let type = start.loadUnaligned(fromByteOffset: at + 2, as: UInt16.self) & NetlinkSize.attributeTypeMask
      if size < NetlinkSize.attributeHeader || at + size > count { return false }
      if type == 1 {  // INET_ULP_INFO_NAME
        readName(
          Int(Source.upperLayerProtocol.rawValue), start + (at + NetlinkSize.attributeHeader),
          size - NetlinkSize.attributeHeader, limit: NetlinkSize.protocolName, into: scratch + Self.protocolScratch)
        return true
      }
      at = (at + size + 3) & ~3
    }
    return false
  }

  /// A kernel name up to its NUL. Copied, so that a byte that is not printable ASCII can be shown as `?`: text formats
  /// and protobuf strings promise UTF-8.
  @inline(__always)
  private func readName(
    _ slot: Int, _ start: UnsafeRawPointer, _ count: Int, limit: Int, into copy: UnsafeMutableRawPointer
  ) {
    var length = 0
    while length < min(count, limit) {
      let byte = start.load(fromByteOffset: length, as: UInt8.self)
      if byte == 0 { break }
      copy.storeBytes(of: byte > 0x20 && byte < 0x7f ? byte : UInt8(ascii: "?"), toByteOffset: length, as: UInt8.self)
      length += 1
    }
    starts[slot] = UnsafeRawPointer(copy)
    lengths[slot] = length
  }
}
