/// A network: all addresses that begin with the same bits. A single address is the network of itself.
public struct AddressPrefix: Sendable, Hashable, CustomStringConvertible {
  /// The network's own address; no bit behind `length` is set.
  public let address: IPAddress
  /// Bits that count: 0 to 32, or to 128 for IPv6.
  public let length: Int

  /// Why a text is no prefix.
  public struct Mistake: TextMistake, Equatable, Sendable {
    /// What is wrong and what to do, to be put behind the text.
    public let reason: String
  }

  /// Reads `10.0.0.0/8`, `2001:db8::/32` or an address alone.
  public init(_ text: String) throws(Mistake) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = IPAddress(String(first)) else {
      throw Mistake(reason: "is neither an address nor a prefix such as 10.0.0.0/8 or 2001:db8::/32")
    }
    let bits = address.bytes.count * 8
    guard parts.count == 2 else {
      (self.address, length) = (address, bits)
      return
    }
    guard let length = Self.length(parts[1]), length <= bits else {
      throw Mistake(reason: "has a bad prefix length; write /0 to /\(bits)")
    }
    let network = address.keeping(bits: length)
    guard network == address else {
      throw Mistake(
        reason: "has bits set behind the first \(length); write \(network)/\(length) for the network, "
          + "or \(address) for that one address")
    }
    (self.address, self.length) = (address, length)
  }

  public var description: String { length == address.bytes.count * 8 ? "\(address)" : "\(address)/\(length)" }

  /// Decimal digits without leading zeros, as other programs might take those for octal.
  private static func length(_ text: Substring) -> Int? {
    guard (1...3).contains(text.utf8.count), text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0 }),
      text == "0" || !text.hasPrefix("0")
    else { return nil }
    return Int(text)
  }
}

extension ValueType where Value == AddressPrefix {
  /// A prefix or an address, quoted or not.
  static var addressPrefix: ValueType {
    ValueType(
      name: "prefix", allowed: "`10.0.0.0/8`, `2001:db8::/32`, or an address",
      schema: .pattern("^([0-9.]+(/[0-9]{1,2})?|[0-9a-fA-F:.]+(/[0-9]{1,3})?)$")
    ) { node, path, reading in
      ScalarForm.parsed(node, path, "a prefix such as 10.0.0.0/8 or 2001:db8::/32", &reading) {
        (text) throws(AddressPrefix.Mistake) in try AddressPrefix(text)
      }
    }
  }
}
