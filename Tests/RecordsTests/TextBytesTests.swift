import Foundation
import Testing

@testable import Records

/// Numbers and addresses as text, against the C library and Swift.
@Suite struct TextBytesTests {
  private func text(_ body: (inout UnsafeMutableRawPointer) -> Void) -> String {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 128, alignment: 8)
    defer { memory.deallocate() }
    guard let base = memory.baseAddress else { return "" }
    var cursor = base
    body(&cursor)
    return String(decoding: memory[..<(cursor - base)], as: UTF8.self)
  }

  @Test func decimals() {
    var numbers: [UInt64] = [0, .max, UInt64(UInt32.max)]
    var power: UInt64 = 1
    for _ in 0..<20 {
      numbers += [power - 1, power, power + 1]
      power = power &* 10
    }
    for number in numbers { #expect(text { putDecimal(&$0, number) } == "\(number)") }
    var random = SystemRandomNumberGenerator()
    for digits in 1...19 {
      let numbers = (0..<2_000).map { _ in
        (0..<digits).reduce(0 as UInt64) { number, _ in number * 10 + UInt64.random(in: 0...9, using: &random) }
      }
      #expect(numbers.allSatisfy { number in text { putDecimal(&$0, number) } == "\(number)" }, "\(digits) digits")
    }
    for number in [0, -1, 42, .min, .max] as [Int64] {
      #expect(text { putDecimal(&$0, signed: number) } == "\(number)")
    }
  }

  /// Bounds of columns count on it: 8 bytes, or as many as there are digits.
  @Test func aDecimalTouchesNoMoreThanItSays() {
    for number in [0, 9, 10, 99_999_999, 100_000_000, 10_000_000_000_000_000, .max] as [UInt64] {
      var memory = [UInt8](repeating: 0xaa, count: 32)
      memory.withUnsafeMutableBytes { buffer in
        guard var cursor = buffer.baseAddress else { return }
        putDecimal(&cursor, number)
      }
      #expect(memory[max(8, "\(number)".utf8.count)...].allSatisfy { $0 == 0xaa }, "\(number)")
    }
  }

  /// Every combination of zero and non-zero groups, and the special prefixes, as `inet_ntop(3)` writes them.
  @Test func addressesAreThoseOfTheCLibrary() {
    var addresses: [[UInt8]] = []
    for pattern in 0..<256 {
      for value in [[0, 1], [0xab, 0xcd], [0xff, 0xff], [0x01, 0x00]] as [[UInt8]] {
        addresses.append((0..<8).flatMap { pattern & 1 << $0 == 0 ? [0, 0] : value })
      }
    }
    let prefix = [UInt8](repeating: 0, count: 10)
    addresses += [
      prefix + [0xff, 0xff, 192, 0, 2, 1], prefix + [0, 0, 192, 0, 2, 1], prefix + [0xff, 0xff, 0, 0, 0, 0],
    ]
    for address in addresses {
      #expect(address.withUnsafeBytes { bytes in text { putAddress(&$0, bytes.baseAddress!, 16) } } == ntop(address))
    }
    for address in [[0, 0, 0, 0], [255, 255, 255, 255], [10, 1, 20, 200]] as [[UInt8]] {
      #expect(address.withUnsafeBytes { bytes in text { putAddress(&$0, bytes.baseAddress!, 4) } } == ntop(address))
    }
  }

  private func ntop(_ address: [UInt8]) -> String {
    var buffer = [CChar](repeating: 0, count: 64)
    inet_ntop(address.count == 4 ? AF_INET : AF_INET6, address, &buffer, 64)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  @Test func base64() {
    for count in 0...17 {
      let bytes = (0..<count).map { UInt8($0 * 37 & 0xff) }
      let ours = bytes.withUnsafeBytes { buffer in
        text { cursor in
          if let base = buffer.baseAddress { putBase64(&cursor, base, buffer.count) }
        }
      }
      #expect(ours == Data(bytes).base64EncodedString())
    }
  }

  @Test func statesHaveTheKernelsNames() {
    for (number, name) in SocketStates.kernelNames.enumerated() where number > 0 {
      #expect(text { putState(&$0, UInt32(number)) } == "\(name)")
      #expect(SocketStates.number(of: "\(name)") == UInt32(number))
    }
    #expect(text { putState(&$0, 77) } == "77")
  }
}
