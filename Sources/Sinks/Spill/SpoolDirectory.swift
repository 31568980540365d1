import Glibc
import IO

/// What is in directories of spilled batches.
enum SpoolDirectory {
  /// Calls `body` with every name in a directory, in no order; symbolic links are not followed. Nothing if there is no such directory.
  static func forEachName(in path: String, _ body: (String) -> Void) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    guard let directory = fdopendir(descriptor) else {
      close(descriptor)
      return
    }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { body(name) }
    }
  }

  /// A directory, and no link to one.
  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Bytes of an open regular file; nil for anything else.
  static func size(of descriptor: Int32) -> Int? {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }

  /// What the header of a file says, if it fits the file; whether the content is whole is found when it is read.
  static func facts(of path: String) -> (rows: Int, bytes: Int)? {
    let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard let bytes = size(of: descriptor) else { return nil }
    var words: [UInt64] = Array(repeating: 0, count: SegmentHeader.byteCount / 8)
    let count = words.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    guard count == SegmentHeader.byteCount else { return nil }
    return words.withUnsafeBytes { SegmentHeader.rows($0, ofFile: bytes) }.map { (rows: $0, bytes: bytes) }
  }
}

/// Directories of spilled batches that no sink of a configuration reads.
public struct OrphanedSpool: Equatable, Sendable {
  public let directory: String
  public let rows: UInt64
  public let files: Int

  /// Looks at names alone.
  ///
  /// - Parameters:
  ///   - parent: the directory of all spilled queues.
  ///   - known: directories that belong to a sink.
  public static func all(in parent: String, besides known: Set<String>) -> [OrphanedSpool] {
    var found: [OrphanedSpool] = []
    SpoolDirectory.forEachName(in: parent) { name in
      let directory = "\(parent)/\(name)"
      if known.contains(directory) { return }
      var (rows, files): (UInt64, Int) = (0, 0)
      SpoolDirectory.forEachName(in: directory) { file in
        guard let segment = Segment(name: file) else { return }
        rows += UInt64(segment.rows)
        files += 1
      }
      if files > 0 { found.append(OrphanedSpool(directory: directory, rows: rows, files: files)) }
    }
    return found.sorted { $0.directory < $1.directory }
  }
}
