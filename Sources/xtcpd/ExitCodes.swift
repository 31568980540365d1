import ArgumentParser

/// Exit codes as sysexits.h numbers them.
extension ExitCode {
  /// EX_NOPERM: a right is missing.
  static let missingRight = ExitCode(77)
  /// EX_CONFIG: the configuration is invalid.
  static let invalidConfiguration = ExitCode(78)
}
