import IO
import Synchronization

/// The addresses of one endpoint, looked up without anybody waiting. Belongs to one sink; the answer comes from the resolver's thread.
final class Resolution {
  enum State: Equatable {
    case pending
    case known([SocketAddress])
    /// For people.
    case failed(String)
  }

  /// How long a name server may take, in nanoseconds.
  private static let timeout: Int64 = 10_000_000_000

  private let endpoint: Endpoint
  private let resolver: Resolver
  private let wake: @Sendable () -> Void
  private let answer = Box()
  private var state: State?
  private var asked: (ticket: Resolver.Ticket, until: Int64)?

  private final class Box: Sendable {
    let content = Mutex<Resolver.Answer?>(nil)
  }

  init(_ endpoint: Endpoint, _ resolver: Resolver, wake: @escaping @Sendable () -> Void) {
    self.endpoint = endpoint
    self.resolver = resolver
    self.wake = wake
  }

  deinit { if let asked { resolver.forget(asked.ticket) } }

  /// When waiting ends although no answer comes, monotonic nanoseconds.
  var deadline: Int64? { asked?.until }

  /// What is known; asks if nothing is.
  func state(now: Int64) -> State {
    if let state { return state }
    if let asked {
      if let answer = answer.content.withLock({ $0.take() }) { return settle(answer) }
      guard now >= asked.until else { return .pending }
      resolver.forget(asked.ticket)
      self.asked = nil
      let seconds = Self.timeout / 1_000_000_000
      return fail("\(endpoint): no name server has answered within \(seconds) s; see /etc/resolv.conf")
    }
    switch resolver.resolve(
      endpoint,
      deliver: { [answer, wake] result in
        answer.content.withLock { $0 = result }
        wake()
      })
    {
    case .answered(let answer): return settle(answer)
    case .asked(let ticket):
      asked = (ticket, now + Self.timeout)
      return .pending
    }
  }

  /// Asks anew the next time: the name may lead elsewhere by now.
  func restart() { if asked == nil { state = nil } }

  private func settle(_ answer: Resolver.Answer) -> State {
    asked = nil
    switch answer {
    case .success(let addresses): state = .known(addresses)
    case .failure(let error): return fail("\(error)")
    }
    return state ?? .pending
  }

  private func fail(_ message: String) -> State {
    state = .failed(message)
    return .failed(message)
  }
}
