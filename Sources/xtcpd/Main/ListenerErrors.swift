import Config
import Glibc
import IO
import Pipelines

/// Why nobody can listen, with the setting that asked for it and what to do.
enum ListenerErrors {
  static func control(_ error: ListenError, _ settings: ControlSettings) -> StartError {
    guard case .system(let cause) = error else { return .system("global.control.socket: \(error)") }
    if cause.operation.description == "chown" {
      return start(
        cause, "global.control.group",
        "only root may give the socket to group \(settings.group) without being in it: add the user of xtcpd to the group "
          + "(systemd: SupplementaryGroups=), or set global.control.group to one of its own")
    }
    let remedy =
      switch cause.errno {
      case ENAMETOOLONG: "the path of a socket has at most 107 bytes"
      case EADDRINUSE, EEXIST: "remove what is there, or choose another path"
      default: "xtcpd must be able to write to the directory: choose another path, or none"
      }
    return start(cause, "global.control.socket", remedy)
  }

  static func metrics(_ error: SystemError, port: Int) -> StartError {
    let remedy =
      switch error.errno {
      case EADDRINUSE: "another process listens there: choose another port, or none"
      case EADDRNOTAVAIL: "no interface of this host has that address: choose another, or none"
      case EACCES where port < 1024: "ports below 1024 need CAP_NET_BIND_SERVICE: choose another port, or none"
      default: "choose another address, or none"
      }
    return start(error, "global.metrics.listen", remedy)
  }

  private static func start(_ error: SystemError, _ key: String, _ remedy: String) -> StartError {
    let text = "\(key): \(error); \(remedy)"
    return error.errno == EACCES || error.errno == EPERM ? .missingRight(text) : .system(text)
  }
}
