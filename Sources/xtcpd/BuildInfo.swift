/// What this build says of itself: `--version`, the column `daemon_version`.
enum BuildInfo {
  static let version = "0.1.0"
}
