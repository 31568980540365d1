import Glibc

/// Counts of TCP sockets in a network namespace: /proc/net/sockstat and sockstat6 (net/ipv4/proc.c, sockstat_seq_show).
public struct Sockstat: Equatable, Sendable {
  /// Sockets in use of both families, listeners included.
  public var inUse: UInt64
  /// Sockets in TIME_WAIT.
  public var timeWait: UInt64
  /// TCP sockets of the *host*, in whatever namespace (`TCP: alloc`, tcp_sockets_allocated), but in TIME_WAIT.
  public var allocated: UInt64

  public init(inUse: UInt64, timeWait: UInt64, allocated: UInt64 = 0) {
    self.inUse = inUse
    self.timeWait = timeWait
    self.allocated = allocated
  }

  /// Both together: about as many as a dump of all states reports (request sockets are in neither).
  public var total: UInt64 { inUse &+ timeWait }

  /// Those of the calling thread's namespace, without allocating. A text that does not say them is EBADMSG: it must not be taken
  /// for a namespace without sockets.
  public static func read() throws(SystemError) -> Sockstat {
    var found: (inUse: UInt64?, timeWait: UInt64?, allocated: UInt64?)
    try Self.read("/proc/thread-self/net/sockstat") { bytes in
      found.inUse = value(of: "inuse", onLine: "TCP:", in: bytes)
      found.timeWait = value(of: "tw", onLine: "TCP:", in: bytes)
      found.allocated = value(of: "alloc", onLine: "TCP:", in: bytes)
    }
    var inUse6: UInt64? = 0
    do throws(SystemError) {
      try Self.read("/proc/thread-self/net/sockstat6") { bytes in
        inUse6 = value(of: "inuse", onLine: "TCP6:", in: bytes)
      }
    } catch  where error.errno == ENOENT {
      // A kernel without IPv6 has no IPv6 sockets either.
    }
    guard let inUse = found.inUse, let timeWait = found.timeWait, let inUse6 else {
      throw SystemError("read", errno: EBADMSG)
    }
    return Sockstat(inUse: inUse &+ inUse6, timeWait: timeWait, allocated: found.allocated ?? 0)
  }

  /// Whether the calling thread's namespace has its connections in the hash of the namespace that was there first:
  /// `net.ipv4.tcp_ehash_entries` is negative then (Documentation/networking/ip-sysctl.rst). Before Linux 6.1 there is no such
  /// number, and no other hash.
  public static func sharesHash() throws(SystemError) -> Bool {
    var isShared = true
    do throws(SystemError) {
      try Self.read("/proc/sys/net/ipv4/tcp_ehash_entries") { bytes in isShared = bytes.first == UInt8(ascii: "-") }
    } catch  where error.errno == ENOENT {
      // Older.
    }
    return isShared
  }

  private static func read(_ path: StaticString, _ body: (UnsafeRawBufferPointer) -> Void) throws(SystemError) {
    let raw = path.utf8Start.withMemoryRebound(to: CChar.self, capacity: path.utf8CodeUnitCount + 1) {
      open($0, O_RDONLY | O_CLOEXEC)
    }
    guard raw >= 0 else { throw SystemError.last("open") }
    let descriptor = Descriptor(owning: raw)
    let failure = withUnsafeTemporaryAllocation(byteCount: 1_024, alignment: 1) { buffer -> Int32 in
      let count = retryingOnInterrupt { Glibc.read(descriptor.raw, buffer.baseAddress, buffer.count) }
      guard count >= 0 else { return errno }
      body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      return 0
    }
    guard failure == 0 else { throw SystemError("read", errno: failure) }
  }

  /// `TCP: inuse 5 orphan 0 tw 2 alloc 7 mem 1`: the number after a word on the line that begins with a label; nil
  /// if it is not there.
  static func value(of word: StaticString, onLine label: StaticString, in bytes: UnsafeRawBufferPointer) -> UInt64? {
    var isOnLine = false
    var takesNext = false
    for field in FieldSequence(bytes: bytes) {
      if field.startsLine { isOnLine = field.matches(label) }
      if takesNext { return field.number }
      takesNext = isOnLine && field.matches(word)
    }
    return nil
  }
}

/// The fields of a text file of /proc: separated by spaces and tabs, in lines.
struct FieldSequence: Sequence, IteratorProtocol {
  struct Field {
    let bytes: UnsafeRawBufferPointer
    let startsLine: Bool

    func matches(_ text: StaticString) -> Bool {
      bytes.elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// The decimal number that the field consists of; nil if it is none.
    var number: UInt64? {
      var number: UInt64 = 0
      for byte in bytes {
        guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
        number = number &* 10 &+ UInt64(byte - UInt8(ascii: "0"))
      }
      return number
    }
  }

  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  private var startsLine = true

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  mutating func next() -> Field? {
    while position < bytes.count, bytes[position] <= UInt8(ascii: " ") {
      if bytes[position] == UInt8(ascii: "\n") { startsLine = true }
      position += 1
    }
    guard position < bytes.count else { return nil }
    let start = position
    while position < bytes.count, bytes[position] > UInt8(ascii: " ") { position += 1 }
    defer { startsLine = false }
    return Field(bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), startsLine: startsLine)
  }
}
