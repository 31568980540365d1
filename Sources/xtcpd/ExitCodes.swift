import ArgumentParser
import Pipelines

/// Exit codes as sysexits.h numbers them.
extension ExitCode {
  /// `plan --detailed-exitcode`: something changes.
  static let changes = ExitCode(2)
  /// EX_USAGE: the command makes no sense as it was given.
  static let usage = ExitCode(64)
  /// EX_UNAVAILABLE: the daemon cannot be reached.
  static let notReachable = ExitCode(69)
  /// EX_NOPERM: a right is missing.
  static let missingRight = ExitCode(77)
  /// EX_CONFIG: the configuration is invalid.
  static let invalidConfiguration = ExitCode(78)

  init(_ error: StartError) {
    switch error {
    case .missingRight: self = .missingRight
    case .configuration: self = .invalidConfiguration
    case .system: self = .failure
    }
  }
}
