import ArgumentParser
import Config
import Glibc
import IO
import Records

/// Where commands find the daemon.
struct ControlOption: ParsableArguments {
  static let defaultSocket = "/run/xtcpd/control.sock"

  @Option(help: ArgumentHelp("The daemon's control socket.", valueName: "path"))
  var socket: String?

  @Option(
    name: [.short, .long],
    help: ArgumentHelp("The daemon's configuration file, which names the socket.", valueName: "file"))
  var config: String?

  /// A connection to the daemon; exit code 69 or 77 if there is none.
  ///
  /// - Parameter timeout: how long one answer may take; nil: as long as it takes.
  func connect(timeout: Duration? = .seconds(30)) throws -> ControlClient {
    try ControlClient(path: try path(), timeout: timeout)
  }

  private func path() throws -> String {
    if let socket { return socket }
    guard let config else { return Self.defaultSocket }
    var source = ConfigurationOption()
    source.config = config
    guard let path = try source.load().global.control.socket else {
      printError("\(config): global.control.socket is none: the daemon cannot be asked anything")
      throw ExitCode.notReachable
    }
    return path
  }
}

/// A connection of a command to the daemon. What goes wrong is printed, and thrown as an exit code.
struct ControlClient: ~Copyable {
  private var connection: UnixConnection

  init(path: String, timeout: Duration?) throws {
    do {
      connection = try UnixConnection(path: path, timeout: timeout)
    } catch {
      printError("\(error)")
      throw Self.exitCode(of: error, path: path)
    }
  }

  /// Asks, and waits for the answer.
  mutating func ask(_ request: ControlRequest) throws -> ControlResponse {
    // A daemon that turns us away has said why and closed before it read anything: what it said is there to be read.
    try? connection.send(try ControlLine.encode(request) + [UInt8(ascii: "\n")])
    let line: [UInt8]?
    do throws(SystemError) {
      line = try connection.readLine()
    } catch {
      printError(error.errno == EAGAIN ? "the daemon does not answer" : "\(error)")
      throw ExitCode.notReachable
    }
    guard let line else {
      printError("the daemon closed the connection; has it ended?")
      throw ExitCode.notReachable
    }
    guard let response = try? ControlLine.decode(ControlResponse.self, from: line) else {
      printError("the daemon's answer is not understood; is it of another version?")
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

  private static func exitCode(of error: SystemError, path: String) -> ExitCode {
    switch error.errno {
    case EACCES, EPERM: return .missingRight
    default:
      printError("is xtcpd running, and is \(path) its control socket? --socket or --config says which it is")
      return .notReachable
    }
  }
}
