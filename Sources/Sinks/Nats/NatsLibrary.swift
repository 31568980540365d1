internal import CNats

/// cnats, loaded on first use.
struct NatsLibrary: Sendable {
  /// Constant once loaded, and for the life of the process.
  nonisolated(unsafe) let functions: UnsafePointer<cnats>

  /// Threads that the library starts for all connections together: timers, callbacks, what is freed late.
  static let sharedThreads = 3

  /// - Throws: the library is not installed, or too old.
  static func load() throws(ClientError) -> NatsLibrary {
    var text = [CChar](repeating: 0, count: 256)
    guard let functions = cnats_load(&text, text.count) else {
      let why = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      throw ClientError("libnats cannot be loaded (\(why)); install the Debian package libnats3.4")
    }
    return NatsLibrary(functions: functions)
  }

  func text(_ status: natsStatus) -> String {
    functions.pointee.natsStatus_GetText(status).map { String(cString: $0) } ?? "error \(status.rawValue)"
  }

  /// What went wrong in the last call on this thread.
  func lastError(_ status: natsStatus) -> String {
    let detail = functions.pointee.nats_GetLastError(nil).map { String(cString: $0) } ?? ""
    return detail.isEmpty ? text(status) : detail
  }
}

/// How a connection is set up. Sinks with equal settings share it.
public struct NatsSettings: Sendable {
  /// Names the client by all of its settings. Holds secrets: never shown.
  public var key: String
  /// `nats://HOST:PORT`.
  public var servers: [String]
  public var user: (name: String, password: String)?
  public var token: String?
  /// Path of a file of credentials (JWT and seed).
  public var credentials: String?
  public var tls: TLS?
  /// Milliseconds that a connection, or an acknowledgement, is waited for.
  public var timeout: Int64 = 5_000
  /// Messages are acknowledged, for which the connection has a thread more.
  public var usesJetStream = false

  public struct TLS: Sendable {
    public var caFile: String?
    public var certificate: (file: String, key: String)?
    /// Whom the certificate of a server must name; nil: it is not looked at.
    public var serverName: String?

    public init() {}
  }

  public init(key: String, servers: [String]) {
    self.key = key
    self.servers = servers
  }

  /// For messages.
  var name: String { servers.joined(separator: ",") }
}
