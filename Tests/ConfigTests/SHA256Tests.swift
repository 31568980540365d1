import Testing

@testable import Config

/// The vectors of FIPS 180-4's examples and of NIST's CAVP.
@Suite struct SHA256Tests {
  private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
  ]) func examples(_ text: String, _ digest: String) {
    #expect(hex(SHA256.digest(Array(text.utf8))) == digest)
  }

  @Test func aMillionLetters() {
    var hash = SHA256()
    for _ in 0..<1_000 { hash.update([UInt8](repeating: UInt8(ascii: "a"), count: 1_000)) }
    #expect(hex(hash.finish()) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  /// However a message is cut, around the ends of blocks above all.
  @Test func piecesMakeNoDifference() {
    let message = (0..<200).map { UInt8($0) }
    for length in 0...message.count {
      let whole = SHA256.digest(Array(message[..<length]))
      for cut in [0, 1, 55, 56, 63, 64, 65, 128] where cut <= length {
        var hash = SHA256()
        hash.update(Array(message[..<cut]))
        hash.update(Array(message[cut..<length]))
        #expect(hash.finish() == whole)
      }
    }
  }
}
