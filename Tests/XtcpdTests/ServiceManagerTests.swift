import Glibc
import Testing

@testable import IO
@testable import xtcpd

/// A datagram socket such as the service manager listens on.
private final class NotifySocket {
  private let socket: Descriptor

  init(_ path: String) throws {
    socket = try Descriptor(Glibc.socket(AF_UNIX, sockDatagram | sockNonBlocking, 0), "socket")
    let descriptor = socket.raw
    #expect(try SocketAddresses.withUnixAddress(path) { bind(descriptor, $0, $1) } == 0)
  }

  func next() -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = recv(socket.raw, &bytes, bytes.count, 0)
    return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
  }
}

@Suite struct ServiceManagerTests {
  @Test(arguments: ["/tmp/xtcpd-notify-\(getpid())", "@xtcpd-notify-\(getpid())"])
  func messagesArrive(_ path: String) throws {
    defer { unlink(path) }
    let socket = try NotifySocket(path)
    let manager = ServiceManager(socket: path)
    manager.ready("2 pipelines\nand a line")
    #expect(socket.next() == "READY=1\nSTATUS=2 pipelines and a line\n")
    manager.stopping()
    #expect(socket.next() == "STOPPING=1\nSTATUS=delivering what has been read\n")
    manager.watchdog()
    #expect(socket.next() == "WATCHDOG=1\n")
    let before = MonotonicTime.now().nanoseconds / 1000
    manager.reloading()
    let message = try #require(socket.next()).split(separator: "\n")
    #expect(message.first == "RELOADING=1")
    let time = try #require(message.first { $0.hasPrefix("MONOTONIC_USEC=") }?.dropFirst(15))
    #expect(try #require(Int64(time)) >= before)
    #expect(socket.next() == nil)
  }

  @Test func withoutAServiceManagerNothingHappens() {
    for path in [nil, "", "relative", "/nonexistent/\(getpid())"] {
      let manager = ServiceManager(socket: path)
      manager.ready("x")
      manager.watchdog()
    }
  }

  @Test func theWatchdogIsForTheProcessThatIsNamed() {
    func interval(_ microseconds: String?, _ pid: String?) -> Duration? {
      ServiceManager(socket: "/x", watchdogMicroseconds: microseconds, watchdogPID: pid, pid: 42).watchdogInterval
    }
    #expect(interval("20000000", nil) == .seconds(20) && interval("20000000", "42") == .seconds(20))
    #expect(interval("20000000", "43") == nil && interval(nil, nil) == nil)
    #expect(interval("0", nil) == nil && interval("-1", nil) == nil && interval("x", nil) == nil)
    #expect(ServiceManager(socket: nil, watchdogMicroseconds: "1000").watchdogInterval == nil)
  }
}
