import Glibc
import Synchronization
import Testing

@testable import IO

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("127.0.0.1", "127.0.0.1:80", AF_INET), ("::1", "[::1]:80", AF_INET6),
    ("::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80", AF_INET6),
    ("fe80::1%lo", "[fe80::1%lo]:80", AF_INET6), ("fe80::1%1", "[fe80::1%lo]:80", AF_INET6),
  ])
  func addressesInNumbers(host: String, text: String, family: Int32) throws {
    let address = try #require(SocketAddress(host: host, port: 80))
    #expect(address.description == text && address.family == family)
    #expect(address == SocketAddress(host: host, port: 80) && address != SocketAddress(host: host, port: 81))
  }

  @Test(arguments: [
    "", "localhost", "1.2.3", "1.2.3.4.5", "::g", "127.0.0.1%lo", "fe80::1%", "fe80::1%nosuch", "[::1]", " 1.2.3.4",
  ])
  func whatIsNoAddressInNumbers(host: String) {
    #expect(SocketAddress(host: host, port: 80) == nil)
  }

  @Test func unixPaths() throws {
    let longest = "/" + String(repeating: "a", count: 106)
    for path in ["/run/x.sock", "@abstract", "relative", longest] {
      let address = try SocketAddress(path: path)
      #expect(address.description == path && address.family == AF_UNIX)
    }
    for path in ["", longest + "a"] {
      #expect(throws: SystemError.self) { _ = try SocketAddress(path: path) }
    }
  }

  @Test func endpointsAsPeopleWriteThem() {
    #expect(Endpoint(host: "::1", port: 443).description == "[::1]:443")
    #expect(Endpoint(host: "collector", port: 514).description == "collector:514")
    #expect(Endpoint(path: "/run/a.sock").description == "/run/a.sock")
    #expect(Endpoint(host: "a", port: 1).host == "a" && Endpoint(path: "/a").host == nil)
  }
}

@Suite(.serialized) struct ResolverTests {
  /// What was delivered, by question, and a way to wait for it.
  private final class Deliveries: Sendable {
    private let answers = Mutex<[Int: Resolver.Answer]>([:])

    func deliver(_ number: Int) -> @Sendable (Resolver.Answer) -> Void {
      { answer in self.answers.withLock { $0[number] = answer } }
    }

    var all: [Int: Resolver.Answer] { answers.withLock { $0 } }

    func wait(for count: Int) throws {
      let deadline = MonotonicTime.now().advanced(by: .seconds(10))
      while all.count < count {
        guard MonotonicTime.now() < deadline else { throw Unexpected("no answer") }
        usleep(1_000)
      }
    }
  }

  private static let anAddress = SocketAddress(host: "192.0.2.1", port: 7)

  @Test func whatNeedsNoNameServerIsAnsweredAtOnceWithoutAThread() async {
    await #expect(processExitsWith: .success) {
      let threads = threadCount()
      for (endpoint, text) in [
        (Endpoint(host: "127.0.0.1", port: 1), "127.0.0.1:1"), (Endpoint(host: "::1", port: 2), "[::1]:2"),
        (Endpoint(path: "/run/x"), "/run/x"),
      ] {
        guard case .answered(.success(let addresses)) = Resolver.shared.resolve(endpoint, deliver: { _ in }) else {
          throw Unexpected("\(endpoint) was not answered")
        }
        #expect(addresses.map(\.description) == [text])
      }
      guard case .answered(.failure) = Resolver.shared.resolve(Endpoint(path: ""), deliver: { _ in }) else {
        throw Unexpected("an empty path has an address")
      }
      #expect(threadCount() <= threads)
    }
  }

  @Test func aNameIsLookedUpByOneThread() async {
    await #expect(processExitsWith: .success) {
      let threads = threadCount()
      let deliveries = Deliveries()
      for number in 0..<20 {
        _ = Resolver.shared.resolve(Endpoint(host: "localhost", port: 99), deliver: deliveries.deliver(number))
      }
      try deliveries.wait(for: 20)
      #expect(threadCount() <= threads + 1)
      let texts = try #require(deliveries.all[0]).get().map(\.description)
      #expect(texts.contains("127.0.0.1:99") && Set(texts).isSubset(of: ["127.0.0.1:99", "[::1]:99"]))
      #expect(deliveries.all.values.allSatisfy { $0 == deliveries.all[0] })
      let names = try threadNames()
      #expect(names.contains("resolver"))
    }
  }

  @Test func aNameThatIsNotThere() throws {
    let deliveries = Deliveries()
    // A label longer than 63 bytes: no name server has to be asked.
    let host = String(repeating: "a", count: 70) + ".example"
    _ = Resolver.shared.resolve(Endpoint(host: host, port: 1), deliver: deliveries.deliver(0))
    try deliveries.wait(for: 1)
    guard case .failure(let error) = deliveries.all[0] else { throw Unexpected("it has an address") }
    #expect(error.description.hasPrefix(host))
  }

  @Test func aNameServerThatHangsHangsNobodyWhoAsks() throws {
    // The look-up hangs until the test lets it go.
    let gate = Gate()
    let resolver = Resolver(capacity: 3) { host, _ in
      if host == "hangs" { gate.wait() }
      return .success([ResolverTests.anAddress].compactMap { $0 })
    }
    let deliveries = Deliveries()
    let start = MonotonicTime.now()
    var tickets: [Resolver.Ticket] = []
    for (number, host) in ["hangs", "a", "b"].enumerated() {
      guard
        case .asked(let ticket) = resolver.resolve(Endpoint(host: host, port: 7), deliver: deliveries.deliver(number))
      else { throw Unexpected("\(host) was refused") }
      tickets.append(ticket)
    }
    guard case .answered(.failure(.busy("c"))) = resolver.resolve(Endpoint(host: "c", port: 7), deliver: { _ in })
    else {
      throw Unexpected("there is no bound")
    }
    // Who gives up makes room.
    resolver.forget(tickets[1])
    guard case .asked = resolver.resolve(Endpoint(host: "d", port: 7), deliver: deliveries.deliver(3)) else {
      throw Unexpected("there is no room")
    }
    #expect(MonotonicTime.now().since(start) < .seconds(1) && deliveries.all.isEmpty)
    gate.open()
    try deliveries.wait(for: 3)
    #expect(Set(deliveries.all.keys) == [0, 2, 3])
  }

  @Test func aResolverThatGoesTakesItsThreadWithIt() throws {
    let threads = threadCount()
    for _ in 0..<20 {
      let deliveries = Deliveries()
      let resolver = Resolver { _, _ in .failure(.failed(host: "x", code: EAI_AGAIN, errno: 0)) }
      _ = resolver.resolve(Endpoint(host: "x", port: 1), deliver: deliveries.deliver(0))
      try deliveries.wait(for: 1)
    }
    let deadline = MonotonicTime.now().advanced(by: .seconds(5))
    while threadCount() > threads + 5, MonotonicTime.now() < deadline { usleep(1_000) }
    #expect(threadCount() <= threads + 5)
  }

  @Test func reasonsInWords() {
    func text(_ code: Int32, _ errno: Int32 = 0) -> String {
      ResolutionError.failed(host: "h", code: code, errno: errno).description
    }
    #expect(text(EAI_AGAIN).contains("no name server answers"))
    #expect(text(EAI_NONAME).contains("no such host"))
    #expect(text(EAI_SYSTEM, EMFILE).contains("EMFILE"))
    #expect(text(EAI_FAIL).hasPrefix("h: looking up the name: "))
    #expect(ResolutionError.busy(host: "h").description.contains("too many names"))
  }
}

/// Something that a thread waits at until it is opened.
final class Gate: Sendable {
  private let isOpen = Mutex(false)
  func open() { isOpen.withLock { $0 = true } }
  func wait() { while !isOpen.withLock({ $0 }) { usleep(1_000) } }
}

/// Names of this process's threads.
func threadNames() throws -> [String] {
  guard let stream = opendir("/proc/self/task") else { throw SystemError.last("opendir") }
  defer { closedir(stream) }
  var names: [String] = []
  while let entry = readdir(stream) {
    let id = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    guard let name = readSmallFile("/proc/self/task/\(id)/comm") else { continue }
    names.append(String(name.prefix { $0 != "\n" }))
  }
  return names
}
