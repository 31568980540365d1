import Glibc
import Testing

@testable import IO

/// Reading and synchronizing files through both ports.
@Suite(.serialized)
struct PortFileTests {
  private func open(_ choice: PortChoice) throws -> any Port {
    try openPort(choice, PortOptions(receiveBuffers: 1, operations: 4)).port
  }

  @Test(arguments: PortTests.choices)
  func aFileIsReadWhereverOneLikes(_ choice: PortChoice) throws {
    let port = try open(choice)
    let directory = try TemporaryDirectory()
    let path = directory.file("data")
    let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
    let writing = try openAppend(path: path)
    #expect(write(writing.raw, content, content.count) == content.count)
    let reading = try Descriptor(Glibc.open(path, O_RDONLY | O_CLOEXEC), "open")
    var bytes = [UInt8](repeating: 0, count: 1_000)
    func read(_ offset: Int64, _ descriptor: Int32) throws -> Int32 {
      try bytes.withUnsafeMutableBytes { memory in
        try complete(port) { port.read(descriptor, into: memory, offset: offset, owner: 1) }.result
      }
    }
    for offset in [0, 1, 123_456, 299_000] {
      #expect(try read(Int64(offset), reading.raw) == 1_000)
      #expect(bytes.elementsEqual(content[offset..<(offset + 1_000)]))
    }
    #expect(try read(299_900, reading.raw) == 100)
    #expect(try read(300_000, reading.raw) == 0)
    #expect(lseek(reading.raw, 0, SEEK_CUR) == 0, "the position stays")
    #expect(try read(-1, reading.raw) == -EINVAL)
    #expect(try read(.min, reading.raw) == -EINVAL)
    #expect(try read(0, writing.raw) == -EBADF)
    let folder = try Descriptor(Glibc.open(directory.path, O_RDONLY | O_CLOEXEC), "open")
    #expect(try read(0, folder.raw) == -EISDIR)
  }

  @Test(arguments: PortTests.choices)
  func whatIsSynchronized(_ choice: PortChoice) throws {
    let port = try open(choice)
    let directory = try TemporaryDirectory()
    let file = try openAppend(path: directory.file("data"))
    let line = Array("a line\n".utf8)
    try line.withUnsafeBytes { bytes in
      let written = try complete(port) { port.write(file.raw, bytes, owner: 1) }
      #expect(written.result == 7)
    }
    let pipe = try pipePair()
    for (descriptor, expected) in [(file.raw, 0), (pipe.far.raw, -EINVAL), (1 << 20, -EBADF)] {
      let outcome = try complete(port) { port.synchronize(descriptor, owner: 1) }
      #expect(outcome.result == expected)
    }
  }
}
