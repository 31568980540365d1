extension ConfigurationClosure {
  /// Why bytes are not an archive.
  public struct ArchiveError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
  }

  /// Eight bytes that no YAML begins with, the last one the version of the format.
  private static let magic: [UInt8] = [0x89] + Array("xtcpdc".utf8) + [1]

  /// The files as they were written, to be read again without them: magic, SHA-256 of what follows, number of files, and
  /// for each its name, relative name and bytes, every length as four bytes, the most significant first.
  public func encodeArchive() -> [UInt8] {
    var body = UInt32(files.count).bigEndianBytes
    for file in files {
      for part in [Array(file.name.utf8), Array(file.relativeName.utf8), file.bytes] {
        body += UInt32(part.count).bigEndianBytes + part
      }
    }
    return Self.magic + SHA256.digest(body) + body
  }

  /// What `encodeArchive` wrote. Reading it resolves no include from disk; `${...}` are read anew.
  public init(archive: [UInt8]) throws(ArchiveError) {
    guard archive.starts(with: Self.magic) else { throw ArchiveError(description: "not an archived configuration") }
    let limit = ConfigurationFile.maximumTotalBytes + ConfigurationFile.maximumFiles * 2 * 4096
    guard archive.count <= limit else { throw ArchiveError(description: "the archive is larger than \(limit) bytes") }
    let body = Array(archive.dropFirst(Self.magic.count + 32))
    guard archive.dropFirst(Self.magic.count).prefix(32).elementsEqual(SHA256.digest(body)) else {
      throw ArchiveError(description: "the archive is damaged or incomplete")
    }
    var rest = body[...]
    let count = try Self.number(&rest)
    guard (1...ConfigurationFile.maximumFiles).contains(count) else {
      throw ArchiveError(description: "the archive holds \(count) files")
    }
    for _ in 0..<count {
      let name = try Self.part(&rest)
      let relativeName = try Self.part(&rest)
      let bytes = try Self.part(&rest)
      files.append(
        File(
          name: String(decoding: name, as: UTF8.self), relativeName: String(decoding: relativeName, as: UTF8.self),
          bytes: Array(bytes), identity: nil))
    }
    guard rest.isEmpty else { throw ArchiveError(description: "the archive goes on after its last file") }
    isArchived = true
  }

  private static func number(_ rest: inout ArraySlice<UInt8>) throws(ArchiveError) -> Int {
    guard rest.count >= 4 else { throw ArchiveError(description: "the archive ends early") }
    defer { rest = rest.dropFirst(4) }
    return rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
  }

  private static func part(_ rest: inout ArraySlice<UInt8>) throws(ArchiveError) -> ArraySlice<UInt8> {
    let count = try number(&rest)
    guard rest.count >= count else { throw ArchiveError(description: "the archive ends early") }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }
}
