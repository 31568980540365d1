/// An address and port to listen on.
public struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
  /// An IPv4 or IPv6 address in numbers, without brackets.
  public var host: String
  /// 0: any free port.
  public var port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension ValueType where Value == ListenAddress {
  /// `ADDRESS:PORT`, an IPv6 address in brackets. Names are not resolved: a daemon should listen where it was told to.
  static var listenAddress: ValueType {
    ValueType(
      name: "address", allowed: "`ADDRESS:PORT`", schema: .pattern("^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$")
    ) { node, path, reading in
      guard let text = node.scalar?.text, let address = ListenAddress(text) else {
        reading.mismatch(path, "an address and port such as 127.0.0.1:9088 or [::1]:9088", node)
        return nil
      }
      return address
    }
  }
}

extension ListenAddress {
  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    var host = text[..<colon]
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(digits) else { return nil }
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    guard IPAddress(String(host)).map({ $0.isIPv6 == isBracketed }) == true else { return nil }
    self.init(host: String(host), port: Int(port))
  }
}
