import ArgumentParser

/// Exit codes as sysexits.h numbers them.
extension ExitCode {
  /// `plan --detailed-exitcode`: something changes.
  static let changes = ExitCode(2)
  /// EX_NOPERM: a right is missing.
  static let missingRight = ExitCode(77)
  /// EX_CONFIG: the configuration is invalid.
  static let invalidConfiguration = ExitCode(78)
}
