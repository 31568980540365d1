import CTestSupport
import Glibc
import Testing

@testable import IO

/// What a test that cannot go on throws.
struct Unexpected: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A directory of a test's own, removed with everything in it.
final class TemporaryDirectory {
  let path: String
  private var mounts: [String] = []

  init() throws {
    var template = Array("/tmp/xtcpd-io-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit {
    for mount in mounts { ctest_unmount(mount) }
    remove(path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func mountTmpfs(_ name: String, options: String) throws -> String {
    let target = file(name)
    mkdir(target, 0o755)
    guard ctest_mount_tmpfs(target, options) == 0 else { throw SystemError.last("mount", context: target) }
    mounts.append(target)
    return target
  }

  private func remove(_ path: String) {
    if let stream = opendir(path) {
      while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { remove("\(path)/\(name)") }
      }
      closedir(stream)
      rmdir(path)
    } else {
      unlink(path)
    }
  }
}

/// A network namespace made for a test, mounted at a path, with sockets in it if wanted; gone when the test lets go of
/// it.
final class TestNamespace {
  let path: String
  private(set) var node = NamespaceNode(device: 0, inode: 0)
  private(set) var cookie: UInt64 = 0
  private var sockets: [Int32] = []
  private var isMounted = false

  /// Mounts a new namespace at `path`; `listeners` TCP sockets listen in it, every other one on IPv6.
  init(at path: String, listeners: Int = 0) throws {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SystemError.last("open", context: path) }
    close(descriptor)
    let made = try onThread { () throws -> (cookie: UInt64, sockets: [Int32]) in
      guard ctest_unshare_net() == 0 else { throw SystemError.last("unshare") }
      guard ctest_bind("/proc/thread-self/ns/net", path) == 0 else { throw SystemError.last("mount", context: path) }
      var sockets: [Int32] = []
      for number in 0..<listeners { sockets.append(try listen(onFamily: number % 2 == 0 ? AF_INET : AF_INET6)) }
      return (try cookieOfThread(), sockets)
    }
    isMounted = true
    (cookie, sockets) = (made.cookie, made.sockets)
    var status = stat()
    guard stat(path, &status) == 0 else { throw SystemError.last("stat", context: path) }
    node = NamespaceNode(status)
  }

  deinit { delete() }

  /// The entry that a discovery would make of it.
  var entry: Namespace {
    Namespace(name: "test", key: NamespaceKey(node: node, cookie: cookie), isHost: false, paths: [path], mounts: [path])
  }

  func delete() {
    for socket in sockets { close(socket) }
    sockets = []
    if isMounted { ctest_unmount(path) }
    isMounted = false
    unlink(path)
  }
}

private func listen(onFamily family: Int32) throws -> Int32 {
  let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  guard descriptor >= 0, Glibc.listen(descriptor, 1) == 0 else { throw SystemError.last("listen") }
  return descriptor
}

/// The cookie of the calling thread's namespace, asked for in a way of the test's own.
func cookieOfThread() throws -> UInt64 {
  let descriptor = try Descriptor(
    socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0), "socket")
  var cookie: UInt64 = 0
  var length = socklen_t(8)
  guard getsockopt(descriptor.raw, SOL_SOCKET, 71, &cookie, &length) == 0 else { throw SystemError.last("getsockopt") }
  return cookie
}

/// Runs `body` on a thread made for it, so that what it does to the thread ends with it.
func onThread<Value>(_ body: () throws -> Value) throws -> Value {
  try withoutActuallyEscaping(body) { body in
    let box = Box(body)
    let thread = try WorkerThread(name: "test") { box.run() }
    thread.join()
    guard let result = box.result else { throw Unexpected("the thread did not run") }
    return try result.get()
  }
}

private final class Box<Value>: @unchecked Sendable {
  private let body: () throws -> Value
  private(set) var result: Result<Value, any Error>?
  init(_ body: @escaping () throws -> Value) { self.body = body }
  func run() { result = Result { try body() } }
}

/// A request for a dump of all TCP sockets of both families: legacy TCPDIAG_GETSOCK, struct inet_diag_req.
func dumpRequest(sequence: UInt32, type: UInt16 = 18, extensions: UInt8 = 0xFE) -> [UInt8] {
  var request = [UInt8](repeating: 0, count: 76)
  request.withUnsafeMutableBytes { bytes in
    bytes.storeBytes(of: 76, as: UInt32.self)
    bytes.storeBytes(of: type, toByteOffset: 4, as: UInt16.self)
    bytes.storeBytes(of: 0x301, toByteOffset: 6, as: UInt16.self)
    bytes.storeBytes(of: sequence, toByteOffset: 8, as: UInt32.self)
    bytes[16] = UInt8(AF_INET)
    bytes[19] = extensions
    bytes.storeBytes(of: 0xFFF, toByteOffset: 68, as: UInt32.self)
  }
  return request
}

/// What the messages of a dump say, as far as tests want to know.
struct DumpReader {
  var cookies: Set<UInt64> = []
  var messages = 0
  var isDone = false
  var error: Int32 = 0

  mutating func read(_ bytes: UnsafeRawBufferPointer, sequence: UInt32) {
    var position = 0
    while position + 16 <= bytes.count {
      let length = Int(bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
      let type = bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt16.self)
      guard length >= 16, position + length <= bytes.count else { return }
      if bytes.loadUnaligned(fromByteOffset: position + 8, as: UInt32.self) == sequence {
        switch type {
        case 3: isDone = true
        case 2: error = bytes.loadUnaligned(fromByteOffset: position + 16, as: Int32.self)
        default:
          messages += 1
          cookies.insert(bytes.loadUnaligned(fromByteOffset: position + 16 + 44, as: UInt64.self))
        }
      }
      position += (length + 3) & ~3
    }
  }
}

/// Turns a port's loop until `isDone`, sleeping on its pollable as a real loop does.
func drive(
  _ port: any Port, limit: Int = 128, timeout: Duration = .seconds(5), until isDone: () -> Bool,
  _ body: (consuming Completion) -> Void
) throws {
  let poller = try Poller()
  try poller.add(port.pollable, token: 1)
  let deadline = MonotonicTime.now().advanced(by: timeout)
  while !isDone() {
    guard MonotonicTime.now() < deadline else { throw Unexpected("nothing for \(timeout) on \(port.mode)") }
    try port.submit()
    if !port.hasPending { try poller.wait(until: deadline) { _, _ in } }
    _ = try port.reap(limit: limit, body)
  }
}

/// Two connected descriptors; what is written to `far` arrives at `near`.
struct DescriptorPair: ~Copyable {
  let near: Descriptor
  let far: Descriptor
}

func socketPair(_ type: __socket_type) throws -> DescriptorPair {
  var pair: [Int32] = [-1, -1]
  guard socketpair(AF_UNIX, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
    throw SystemError.last("socketpair")
  }
  return DescriptorPair(near: Descriptor(owning: pair[0]), far: Descriptor(owning: pair[1]))
}

func pipePair() throws -> DescriptorPair {
  var pair: [Int32] = [-1, -1]
  guard pipe(&pair) == 0 else { throw SystemError.last("pipe") }
  for end in pair { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  return DescriptorPair(near: Descriptor(owning: pair[0]), far: Descriptor(owning: pair[1]))
}

/// Open descriptors of this process, by number.
func openDescriptors() -> Set<Int32> {
  var found: Set<Int32> = []
  guard let stream = opendir("/proc/self/fd") else { return found }
  defer { closedir(stream) }
  while let entry = readdir(stream) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    if let number = Int32(name), number != dirfd(stream) { found.insert(number) }
  }
  return found
}
