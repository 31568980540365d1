/// Why pipelines could not be started or taken over. What ran before runs on.
public enum StartError: Error, CustomStringConvertible, Sendable {
  /// A right is missing (exit code 77).
  case missingRight(String)
  /// The configuration asks for what cannot be (exit code 78).
  case configuration(String)
  /// Anything else (exit code 1).
  case system(String)

  public var description: String {
    switch self {
    case .missingRight(let text), .configuration(let text), .system(let text): text
    }
  }
}

/// What to run beside what the settings say.
public struct RunOptions: Sendable {
  /// Every pipeline stops by itself after so many polls; nil: they run until they are stopped.
  public var pollLimit: UInt64?
  /// Encode for a terminal in place of the configured format.
  public var asTable = false
  /// Read only the namespace this process is in; needs no rights.
  public var ownNamespaceOnly = false
  /// What rows say of this build.
  public var version: String
  /// How long delivering what is left may take after a stop, in place of `reload.drain_timeout`.
  public var drainTimeout: Duration?

  public init(version: String) { self.version = version }
}
