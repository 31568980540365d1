import ArgumentParser
import Config
import Glibc
import IO
import Records

/// Where commands find the daemon.
struct ControlOption: ParsableArguments {
  static let defaultSocket = "/run/xtcpd/control.sock"
  /// How long an answer may take that is not an answer about work.
  static let patience = Duration.seconds(10)

  @Option(help: ArgumentHelp("The daemon's control socket.", valueName: "path"))
  var socket: String?

  @Option(
    name: [.short, .long],
    help: ArgumentHelp("The daemon's configuration file, which names the socket.", valueName: "file"))
  var config: String?

  /// A connection to the daemon; exit code 69 or 77 if there is none.
  ///
  /// - Parameter timeout: how long one answer may take; nil: as long as it takes.
  func connect(timeout: Duration? = Self.patience) throws -> ControlClient {
    try ControlClient(path: try path(), timeout: timeout)
  }

  /// The socket that `--config` names, however little of the file can be used: the daemon runs on when its file is broken.
  private func path() throws -> String {
    if let socket { return socket }
    guard let config else { return Self.defaultSocket }
    let outcome = ConfigurationOption.read(config, unresolved: .warn)
    if let settings = outcome.settings {
      if let path = settings.global.control.socket { return path }
      printError("\(config): global.control.socket is none: the daemon cannot be asked anything")
      throw ExitCode.notReachable
    }
    if let path = FallbackHints(outcome).controlSocket { return path }
    printError(outcome.rendered, terminator: "")
    printError("\(config) does not tell where the control socket is; name it with --socket PATH")
    throw ExitCode.invalidConfiguration
  }
}

/// A connection of a command to the daemon. What goes wrong is printed, and thrown as an exit code.
struct ControlClient: ~Copyable {
  private var connection: UnixConnection
  private let path: String
  private let timeout: Duration?

  init(path: String, timeout: Duration?) throws {
    do {
      connection = try UnixConnection(path: path, timeout: timeout)
    } catch {
      printError("\(error)")
      printError(Self.remedy(for: error, path))
      throw [EACCES, EPERM].contains(error.errno) ? ExitCode.missingRight : ExitCode.notReachable
    }
    self.path = path
    self.timeout = timeout
  }

  /// Asks, and waits for the answer.
  mutating func ask(_ request: ControlRequest) throws -> ControlResponse {
    // A daemon that turns us away has said why and closed before it read anything: what it said is there to be read.
    try? connection.send(try ControlLine.encode(request) + [UInt8(ascii: "\n")])
    let line: [UInt8]?
    do throws(SystemError) {
      line = try connection.readLine()
    } catch {
      printError(error.errno == EAGAIN ? silence : "\(error)")
      throw ExitCode.notReachable
    }
    guard let line else {
      printError("\(path): the daemon closed the connection; has it ended?")
      throw ExitCode.notReachable
    }
    guard let response = try? ControlLine.decode(ControlResponse.self, from: line) else {
      printError("\(path): the answer is not understood; is the daemon of another version, or is it not xtcpd?")
      throw ExitCode.failure
    }
    return response
  }

  /// Asks for something that the daemon does or does not do; if it does not, says why.
  mutating func demand(_ request: ControlRequest) throws -> ControlResponse {
    let response = try ask(request)
    guard !response.ok else { return response }
    printError(response.error ?? "the daemon gave no reason")
    throw response.code == .notPermitted ? ExitCode.missingRight : ExitCode.failure
  }

  /// What the daemon does.
  mutating func status() throws -> StatusReport {
    guard let report = try demand(ControlRequest(command: .status)).status else { throw ExitCode.failure }
    return report
  }

  private var silence: String {
    let time = timeout.map { " within \($0.components.seconds) s" } ?? ""
    return "\(path): connected, but no answer\(time); its main thread is busy or stopped"
  }

  private static func remedy(for error: SystemError, _ path: String) -> String {
    switch error.errno {
    case EACCES, EPERM:
      "root, the user of the daemon and the group of the socket (global.control.group) may ask: use sudo, or join the group"
    case ENOENT: "there is no such socket: is xtcpd running? --socket or --config says where it listens"
    case ECONNREFUSED: "nobody listens there: xtcpd is not running, or it is not a socket"
    case ENOTSOCK, EPROTOTYPE: "that is not the control socket of xtcpd; --socket or --config says where it listens"
    case EAGAIN: "it takes no connection: its main thread is busy or stopped"
    default: "--socket or --config says where xtcpd listens"
    }
  }
}
