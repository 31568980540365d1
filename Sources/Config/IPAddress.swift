import Glibc

/// An IPv4 or IPv6 address, in network byte order.
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
  /// 4 or 16.
  public let bytes: [UInt8]

  public var isIPv6: Bool { bytes.count == 16 }

  /// What inet_pton(3) reads.
  public init?(_ text: String) {
    for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
      var bytes = [UInt8](repeating: 0, count: count)
      if inet_pton(family, text, &bytes) == 1 {
        self.bytes = bytes
        return
      }
    }
    return nil
  }

  /// The network that the first `bits` bits name: this address with all bits behind them cleared.
  func keeping(bits: Int) -> IPAddress {
    IPAddress(
      bytes: bytes.enumerated().map { index, byte in
        let kept = min(8, max(0, bits - index * 8))
        return kept == 8 ? byte : byte & ~(0xff >> UInt8(kept))
      })
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  public var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(isIPv6 ? AF_INET6 : AF_INET, bytes, &text, socklen_t(text.count)) != nil else { return "" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
