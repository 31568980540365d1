import Glibc

/// Files that are put aside under the name `PATH.TIME`, TIME as `20261122T071530.123Z` (UTC): sorted by name they are sorted by
/// time.
public enum FileRotation {
  /// Renames a file. Returns its new path.
  ///
  /// - Parameter wallClock: nanoseconds since 1970. A name that is taken makes it a millisecond later.
  public static func putAside(_ path: String, wallClock: Int64) throws(FileError) -> String {
    var milliseconds = wallClock / 1_000_000
    for _ in 0..<10_000 {
      let aside = "\(path).\(stamp(milliseconds))"
      // RENAME_NOREPLACE is not to be had on every file system; nobody else makes such names.
      var status = stat()
      if lstat(aside, &status) == 0 {
        milliseconds += 1
        continue
      }
      guard rename(path, aside) == 0 else { throw .system(SystemError.last("rename", context: path)) }
      return aside
    }
    throw .system(SystemError("rename", errno: EEXIST, context: path))
  }

  /// Removes the oldest files that were put aside, until so many are left. What cannot be removed stays.
  public static func prune(_ path: String, keep: Int) {
    let (folder, name) = parts(of: path)
    guard let directory = opendir(folder) else { return }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let found = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if found.hasPrefix(name + "."), isStamp(found.dropFirst(name.count + 1)) { names.append(found) }
    }
    for name in names.sorted().dropLast(keep) { unlink("\(folder)/\(name)") }
  }

  /// Makes the folders of a path that are missing, with mode 0755 less the umask.
  public static func makeFolders(for path: String) throws(FileError) {
    let (folder, _) = parts(of: path)
    var made = ""
    for part in folder.split(separator: "/") {
      made += "/\(part)"
      if mkdir(made, 0o755) != 0, errno != EEXIST { throw .system(SystemError.last("mkdir", context: made)) }
    }
  }

  /// `/x/rows.parquet` as the name of a file that was begun at a time: `/x/rows.20261122T071530.123Z.parquet`; one that is taken is made
  /// a millisecond later.
  public static func name(_ path: String, begunAt wallClock: Int64, fileExtension: String) -> String {
    let ending = "." + fileExtension
    let stem = path.hasSuffix(ending) ? String(path.dropLast(ending.count)) : path
    var milliseconds = wallClock / 1_000_000
    while true {
      let name = "\(stem).\(stamp(milliseconds))\(ending)"
      var status = stat()
      if lstat(name, &status) != 0, lstat(hidden(name), &status) != 0 { return name }
      milliseconds += 1
    }
  }

  /// The name that a file has until it is whole: in the same folder, hidden.
  public static func hidden(_ path: String) -> String {
    let (folder, name) = parts(of: path)
    return "\(folder == "/" ? "" : folder)/.\(name).part"
  }

  /// Whether files can be made beside a path.
  ///
  /// - Parameter makes: folders that are missing are made.
  public static func checkFolder(of path: String, makes: Bool) throws(FileError) {
    if makes { try makeFolders(for: path) }
    let (folder, _) = parts(of: path)
    guard access(folder, W_OK | X_OK) == 0 else { throw .system(SystemError.last("access", context: folder)) }
  }

  private static func parts(of path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    return (slash == path.startIndex ? "/" : String(path[..<slash]), String(path[path.index(after: slash)...]))
  }

  static func stamp(_ milliseconds: Int64) -> String {
    var seconds = time_t(milliseconds / 1_000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func digits(_ number: Int32, _ count: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    let day = digits(parts.tm_year + 1900, 4) + digits(parts.tm_mon + 1, 2) + digits(parts.tm_mday, 2)
    let time = digits(parts.tm_hour, 2) + digits(parts.tm_min, 2) + digits(parts.tm_sec, 2)
    return "\(day)T\(time).\(digits(Int32(milliseconds % 1_000), 3))Z"
  }

  static func isStamp(_ text: some StringProtocol) -> Bool {
    let pattern = "00000000T000000.000Z"
    return text.utf8.count == pattern.utf8.count
      && zip(text.utf8, pattern.utf8).allSatisfy { byte, expected in
        expected == UInt8(ascii: "0") ? (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) : byte == expected
      }
  }
}
