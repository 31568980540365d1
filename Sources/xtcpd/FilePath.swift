import Glibc

/// Paths of files as commands are given them.
enum FilePath {
  /// A path that means the same in every working directory.
  static func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), let folder = getcwd(nil, 0) else { return path }
    defer { free(folder) }
    return "\(String(cString: folder))/\(path)"
  }

  /// Two paths lead to one file, symbolic links followed.
  static func isSame(_ one: String, _ other: String) -> Bool { real(one) == real(other) }

  /// What cannot be followed (it has gone, or may not be looked at) stands for itself.
  private static func real(_ path: String) -> String {
    guard let found = realpath(path, nil) else { return absolute(path) }
    defer { free(found) }
    return String(cString: found)
  }
}
