import Glibc
import Testing

@testable import IO

@Suite struct UnixListenerTests {
  private let directory: TemporaryDirectory
  private var path: String { directory.file("run/control.sock") }

  init() throws { directory = try TemporaryDirectory() }

  private func mode(_ path: String) -> mode_t? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
  }

  @Test func nothingIsAtThePathBeforeItIsPublished() throws {
    let listener = try UnixListener(path: path, group: getgid(), mode: 0o660)
    #expect(mode(path) == nil && mode(directory.file("run")) == 0o755)
    let file = try listener.publish()
    #expect(mode(path) == 0o660)
    let connection = try UnixConnection(path: path)
    #expect(try connection.peer().pid == getpid())
    file.remove()
    #expect(mode(path) == nil)
    _ = consume listener
  }

  /// Of what is in the socket's directory.
  private func names() throws -> [String] {
    let folder = try #require(opendir(directory.file("run")))
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  @Test func whatTookThePlaceOfTheOwnSocketIsNotReplaced() throws {
    let first = try UnixListener(path: path, group: getgid(), mode: 0o660)
    let file = try first.publish()
    let second = try UnixListener(path: path, group: getgid(), mode: 0o600, replacing: file)
    // Between the two steps of a reload, and before the next one.
    file.remove()
    close(creat(path, 0o644))
    #expect(throws: SystemError.self) { _ = try second.publish() }
    second.discard()
    #expect(throws: ListenError.self) {
      _ = try UnixListener(path: path, group: getgid(), mode: 0o600, replacing: file)
    }
    #expect(mode(path) == 0o644 && (try? names()) == ["control.sock"])
    _ = consume first
  }

  @Test func whatIsDiscardedLeavesNothing() throws {
    let listener = try UnixListener(path: path, group: getgid(), mode: 0o600)
    listener.discard()
    #expect(mode(path) == nil && (try? names()) == [])
  }

  @Test func aStaleSocketIsReplacedAndALiveOneIsNot() throws {
    do {
      let gone = try UnixListener(path: path, group: getgid(), mode: 0o600)
      _ = try gone.publish()
    }
    #expect(mode(path) == 0o600, "the file of a listener that has gone stays")
    let listener = try UnixListener(path: path, group: getgid(), mode: 0o660)
    let file = try listener.publish()
    #expect(mode(path) == 0o660)
    do {
      _ = try UnixListener(path: path, group: getgid(), mode: 0o660)
      Issue.record("two listen at one path")
    } catch {
      #expect("\(error)".contains("process \(getpid()) listens there already"))
    }
    // The own one may be replaced, and its removal then does not remove what replaced it.
    let next = try UnixListener(path: path, group: getgid(), mode: 0o600, replacing: file)
    #expect(mode(path) == 0o660)
    let nextFile = try next.publish()
    file.remove()
    #expect(mode(path) == 0o600)
    nextFile.remove()
    _ = consume listener
    _ = consume next
  }

  @Test func whatIsNotASocketIsNotTouched() throws {
    mkdir(directory.file("run"), 0o755)
    mkdir(path, 0o755)
    do {
      _ = try UnixListener(path: path, group: getgid(), mode: 0o660)
      Issue.record("a directory is no socket")
    } catch {
      #expect("\(error)".contains("is not a socket") && mode(path) == 0o755)
    }
  }

  @Test func aPathThatIsTooLongIsNamed() {
    let long = directory.file(String(repeating: "x", count: 108))
    do {
      _ = try UnixListener(path: long, group: getgid(), mode: 0o660)
      Issue.record("no address has room for it")
    } catch {
      #expect("\(error)".contains("ENAMETOOLONG"))
    }
  }
}

@Suite struct UnixConnectionTests {
  @Test func linesAreReadOneByOne() throws {
    let directory = try TemporaryDirectory()
    let listener = try UnixListener(path: directory.file("s"), group: getgid(), mode: 0o600)
    _ = try listener.publish()
    let descriptor = listener.release()
    defer { close(descriptor) }
    var client = try UnixConnection(path: directory.file("s"), timeout: .milliseconds(50))
    let server = accept(descriptor, nil, nil)
    do {
      _ = try client.readLine()
      Issue.record("nothing was sent")
    } catch {
      #expect(error.errno == EAGAIN)
    }
    #expect(write(server, "a\n\nlonger", 9) == 9)
    #expect(try client.readLine() == [UInt8(ascii: "a")])
    #expect(try client.readLine() == [])
    do {
      _ = try client.readLine(limit: 5)
      Issue.record("it is longer than the limit")
    } catch {
      #expect(error.errno == EMSGSIZE)
    }
    close(server)
    #expect(try client.readLine() == nil, "half a line is none")
    do {
      // The first one may still be taken by the kernel.
      for _ in 0..<3 { try client.send([1]) }
      Issue.record("nobody reads")
    } catch {
      #expect(error.errno == EPIPE)
    }
  }
}

@Suite struct TCPListenerTests {
  @Test func theKernelChoosesThePort() throws {
    let listener = try TCPListener(host: "127.0.0.1", port: 0)
    #expect(listener.port > 0)
    do {
      _ = try TCPListener(host: "127.0.0.1", port: listener.port)
      Issue.record("two listen at one port")
    } catch {
      #expect(error.errno == EADDRINUSE && "\(error)".contains("127.0.0.1:\(listener.port)"))
    }
  }

  @Test func addressesOfBothFamiliesAreUnderstoodAndNamesAreNot() throws {
    let listener = try TCPListener(host: "::1", port: 0)
    #expect(listener.port > 0)
    do {
      _ = try TCPListener(host: "localhost", port: 0)
      Issue.record("names are not looked up")
    } catch {
      #expect(error.errno == EINVAL)
    }
  }
}
