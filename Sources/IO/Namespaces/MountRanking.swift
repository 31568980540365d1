import Glibc

/// Which mount of a namespace names it best: one in the configured directories, in their order, else any; then the
/// lesser path, so that the choice never depends on the order of mounting.
struct MountRanking {
  private let directories: [[UInt8]]

  /// Directories as configured; symbolic links in them (/var/run) are resolved as mountinfo shows paths resolved.
  init(directories: [String]) {
    self.directories = directories.map { directory in
      guard let resolved = realpath(directory, nil) else { return Self.withoutTrailingSlash(Array(directory.utf8)) }
      defer { free(resolved) }
      return Array(String(cString: resolved).utf8)
    }
  }

  func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    let (rankA, rankB) = (rank(a), rank(b))
    return rankA != rankB ? rankA < rankB : a.lexicographicallyPrecedes(b)
  }

  /// The file name for a mount in a configured directory, else the whole path.
  func name(_ path: [UInt8]) -> String {
    let isRanked = rank(path) < directories.count
    return String(decoding: isRanked ? path[(Self.parentLength(path) + 1)...] : path[...], as: UTF8.self)
  }

  private func rank(_ path: [UInt8]) -> Int {
    let parent = path[..<Self.parentLength(path)]
    return directories.firstIndex { $0.elementsEqual(parent) } ?? directories.count
  }

  private static func parentLength(_ path: [UInt8]) -> Int { path.lastIndex(of: UInt8(ascii: "/")) ?? 0 }

  private static func withoutTrailingSlash(_ path: [UInt8]) -> [UInt8] {
    path.last == UInt8(ascii: "/") ? path.dropLast() : path
  }
}
