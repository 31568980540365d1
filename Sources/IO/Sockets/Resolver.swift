import Glibc
import Synchronization

/// Why a name has no addresses.
public enum ResolutionError: Error, Equatable, Sendable, CustomStringConvertible {
  /// getaddrinfo(3) failed: `code` is its EAI_*, `errno` says more for EAI_SYSTEM.
  case failed(host: String, code: Int32, errno: Int32)
  /// As many names as may wait are waiting: the name server does not answer.
  case busy(host: String)
  /// A Unix path that cannot be an address, or a thread that cannot be started.
  case system(SystemError)

  public var description: String {
    switch self {
    case .failed(let host, EAI_SYSTEM, let errno): "\(host): looking up the name: \(SystemError.message(of: errno))"
    case .failed(let host, EAI_AGAIN, _): "\(host): no name server answers; see /etc/resolv.conf"
    case .failed(let host, EAI_NONAME, _): "\(host): no such host; is the name right?"
    case .failed(let host, let code, _): "\(host): looking up the name: \(String(cString: gai_strerror(code)))"
    case .busy(let host): "\(host): too many names wait for a name server that does not answer"
    case .system(let error): error.description
    }
  }
}

/// Addresses of names, without anybody waiting: getaddrinfo(3) may take a minute, so it is called by one thread, which starts with
/// the first name. What needs no name server is answered at once.
///
/// Whoever asks sets a time-out of their own: a name server that does not answer holds up the names behind, but nobody who asks.
public final class Resolver: Sendable {
  /// The addresses in the order in which they should be tried (RFC 6724, gai.conf(5)), of both families.
  public typealias Answer = Result<[SocketAddress], ResolutionError>

  /// What comes of asking.
  public enum Reply: Sendable {
    /// No name had to be looked up, or none can be now.
    case answered(Answer)
    /// The answer will be delivered.
    case asked(Ticket)
  }

  /// Names one question.
  public struct Ticket: Hashable, Sendable {
    fileprivate let number: UInt64
  }

  /// The one of the process.
  public static let shared = Resolver()

  private let desk: Desk

  /// - Parameters:
  ///   - capacity: questions that may wait.
  ///   - lookUp: asked on the resolver's thread.
  init(
    capacity: Int = 256, lookUp: @escaping @Sendable (_ host: String, _ port: UInt16) -> Answer = Resolver.askSystem
  ) {
    desk = Desk(capacity: capacity, lookUp: lookUp)
  }

  deinit { desk.close() }

  /// Asks for the addresses of an endpoint.
  ///
  /// - Parameter deliver: called once, on the resolver's thread, unless the answer is returned or the ticket is forgotten.
  public func resolve(_ endpoint: Endpoint, deliver: @escaping @Sendable (Answer) -> Void) -> Reply {
    switch endpoint.place {
    case .path(let path): return .answered(Self.address(ofPath: path))
    case .host(let host, let port):
      if let address = SocketAddress(host: host, port: port) { return .answered(.success([address])) }
      return desk.ask(host, port, deliver)
    }
  }

  /// Nobody waits for this answer any more. It may be on its way already.
  public func forget(_ ticket: Ticket) { desk.forget(ticket) }

  private static func address(ofPath path: String) -> Answer {
    do throws(SystemError) {
      return .success([try SocketAddress(path: path)])
    } catch {
      return .failure(.system(error))
    }
  }

  /// getaddrinfo(3).
  private static func askSystem(_ host: String, _ port: UInt16) -> Answer {
    var hints = addrinfo()
    hints.ai_socktype = sockStream  // One entry an address; they serve for datagrams as well.
    hints.ai_flags = AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &list)
    guard code == 0 else { return .failure(.failed(host: host, code: code, errno: errno)) }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = list
    while let entry = next {
      if let address = entry.pointee.ai_addr {
        addresses.append(SocketAddress(address, length: entry.pointee.ai_addrlen))
      }
      next = entry.pointee.ai_next
    }
    return addresses.isEmpty ? .failure(.failed(host: host, code: EAI_NONAME, errno: 0)) : .success(addresses)
  }
}

/// The questions that wait, and the thread that answers them; outlives its resolver for as long as a look-up hangs.
private final class Desk: Sendable {
  private struct Question {
    let ticket: Resolver.Ticket
    let host: String
    let port: UInt16
    let deliver: @Sendable (Resolver.Answer) -> Void
  }

  private struct State {
    var waiting: [Question] = []
    var asked: UInt64 = 0
    var hasThread = false
    var isClosed = false
  }

  private let capacity: Int
  private let lookUp: @Sendable (String, UInt16) -> Resolver.Answer
  private let state = Mutex(State())
  /// Counts what there is to do for the thread.
  private nonisolated(unsafe) let bell: UnsafeMutablePointer<sem_t>

  init(capacity: Int, lookUp: @escaping @Sendable (String, UInt16) -> Resolver.Answer) {
    self.capacity = capacity
    self.lookUp = lookUp
    bell = .allocate(capacity: 1)
    sem_init(bell, 0, 0)
  }

  deinit {
    sem_destroy(bell)
    bell.deallocate()
  }

  func ask(
    _ host: String, _ port: UInt16, _ deliver: @escaping @Sendable (Resolver.Answer) -> Void
  ) -> Resolver.Reply {
    let reply = state.withLock { state -> Resolver.Reply in
      guard state.waiting.count < capacity else { return .answered(.failure(.busy(host: host))) }
      if !state.hasThread {
        do throws(SystemError) {
          _ = try WorkerThread(name: "resolver") { self.work() }
          state.hasThread = true
        } catch {
          return .answered(.failure(.system(error)))
        }
      }
      state.asked += 1
      let ticket = Resolver.Ticket(number: state.asked)
      state.waiting.append(Question(ticket: ticket, host: host, port: port, deliver: deliver))
      return .asked(ticket)
    }
    if case .asked = reply { sem_post(bell) }
    return reply
  }

  func forget(_ ticket: Resolver.Ticket) {
    state.withLock { state in state.waiting.removeAll { $0.ticket == ticket } }
  }

  func close() {
    state.withLock { state in
      state.isClosed = true
      state.waiting = []
    }
    sem_post(bell)
  }

  private func work() {
    while true {
      // A signal ends it early; there may be nothing to do then, as after a question that was forgotten.
      sem_wait(bell)
      if state.withLock({ $0.isClosed }) { return }
      guard let first = state.withLock({ $0.waiting.first }) else { continue }
      let answer = lookUp(first.host, first.port)
      for question in takeAll(like: first) { question.deliver(answer) }
    }
  }

  /// Whoever asked for the same gets the same answer. The first one may have been forgotten meanwhile.
  private func takeAll(like first: Question) -> [Question] {
    state.withLock { state in
      let isSame = { (question: Question) in question.host == first.host && question.port == first.port }
      let same = state.waiting.filter(isSame)
      state.waiting.removeAll(where: isSame)
      return same
    }
  }
}
