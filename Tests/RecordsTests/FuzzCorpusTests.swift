import Foundation
import Testing

/// Every input in the fuzzer's corpus, findings included, once more.
@Suite struct FuzzCorpusTests {
  static let inputs: [URL] = {
    let folder = Repository.root.appendingPathComponent("Tests/Fuzz/NetlinkWalk/corpus")
    let files = try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    return (files ?? []).sorted { $0.path < $1.path }
  }()

  @Test func corpusIsThere() {
    #expect(Self.inputs.count >= 13)
  }

  @Test(arguments: inputs) func inputIsDealtWith(_ file: URL) throws {
    let input = try Data(contentsOf: file)
    #expect(input.withUnsafeBytes { NetlinkWalkTarget.run($0) } == nil, "\(file.lastPathComponent)")
  }

  /// XTCPD_REGENERATE=1 writes the inputs that the fuzzer starts from: the awkward rows in every format and kind of file.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["XTCPD_REGENERATE"] != nil, "writes files"))
  func seeds() throws {
    let folder = Repository.root.appendingPathComponent("Tests/Fuzz/NetlinkWalk/corpus")
    func write(_ name: String, _ choice: UInt8, _ options: UInt8, _ body: Data) throws {
      try (Data([choice, options]) + body).write(to: folder.appendingPathComponent("seed-\(name)"))
    }
    let datagram = Data(FormatTests.messages.flatMap { $0.bytes } + Message.done(-2).bytes)
    for choice in 0..<9 as Range<UInt8> { try write("datagram-\(choice)", choice, 1 << (choice % 8), datagram) }
    var harness = FormatTests.harness(.protobufList)
    try write("protobuf_list", 9, 255, harness.run(FormatTests.datagrams).bytes)
    harness.format = .protobuf
    try write("protobuf", 10, 1, harness.run(FormatTests.datagrams).bytes)
    harness.format = .msgpack
    try write("msgpack", 11, 0, harness.run(FormatTests.datagrams).bytes)
    let packet = CaptureFileTests().packet([UInt8](datagram))
    try write("pcap", 12, 9, CaptureFileTests().file(packet, packet))
  }
}
