internal import CCurl
import Glibc
import IO

/// Readiness of the sockets that libcurl works with, by polls of the port; CURLMOPT_SOCKETFUNCTION(3).
///
/// libcurl closes its sockets when it likes, and the port wants a descriptor open until its poll has ended: what is polled is a
/// duplicate.
struct SocketWatches: ~Copyable {
  private final class Watch {
    /// libcurl's descriptor; nil once it wants to hear no more of it.
    var socket: Int32?
    let duplicate: Descriptor
    var wanted: Poller.Interest
    var polled: Poller.Interest = []
    var token: OperationToken?
    var isEnding = false

    init(_ socket: Int32, _ duplicate: consuming Descriptor, _ wanted: Poller.Interest) {
      self.socket = socket
      self.duplicate = duplicate
      self.wanted = wanted
    }
  }

  private let port: any Port
  private let owner: UInt32
  private var watches: [Watch] = []
  /// The port had no room for a poll.
  private(set) var isWaiting = false
  private var isClosed = false

  init(port: any Port, owner: UInt32) {
    self.port = port
    self.owner = owner
  }

  /// What libcurl wants to hear of one of its sockets: CURL_POLL_IN, _OUT, _INOUT, _REMOVE. False: there is no descriptor left.
  mutating func set(_ socket: Int32, _ what: Int32) -> Bool {
    if isClosed { return true }
    let wanted = Poller.Interest(curlPoll: what)
    if let watch = watches.first(where: { $0.socket == socket }) {
      watch.wanted = wanted
      if what == CURL_POLL_REMOVE { watch.socket = nil }
    } else if what != CURL_POLL_REMOVE {
      guard let duplicate = try? Descriptor.copy(of: socket) else { return false }
      watches.append(Watch(socket, duplicate, wanted))
    }
    arm()
    return true
  }

  /// Starts the polls that are missing, ends those for what is not wanted any more.
  mutating func arm() {
    isWaiting = false
    watches.removeAll { $0.socket == nil && $0.token == nil }
    for watch in watches {
      if let token = watch.token {
        guard !watch.isEnding, watch.socket == nil || !watch.polled.isSuperset(of: watch.wanted) else { continue }
        watch.isEnding = true
        port.cancel(token)
      } else if !watch.wanted.isEmpty {
        watch.polled = watch.wanted
        watch.isEnding = false
        watch.token = port.poll(watch.duplicate.raw, watch.wanted, owner: owner)
        if watch.token == nil { isWaiting = true }
      }
    }
  }

  /// A poll has ended: the socket, and what to tell libcurl of it, as CURL_CSELECT_* bits; nil: nothing.
  mutating func ended(_ token: OperationToken, _ result: Int32) -> (socket: Int32, ready: Int32)? {
    guard let watch = watches.first(where: { $0.token == token }) else { return nil }
    watch.token = nil
    guard let socket = watch.socket, result != -ECANCELED else { return nil }
    // 0: libcurl looks for itself, and finds the error.
    return (socket, result < 0 ? 0 : Poller.Interest(rawValue: UInt32(result)).curlReady(watch.wanted))
  }

  /// No poll is under way of which libcurl wants to hear nothing more: what it was for is over.
  var isQuiet: Bool { !watches.contains { $0.socket == nil && $0.token != nil } }

  /// Polls nothing any more.
  ///
  /// - Parameter isTornDown: the port has let go of all polls.
  mutating func close(isTornDown: Bool) {
    isClosed = true
    if !isTornDown { for watch in watches { if let token = watch.token { port.cancel(token) } } }
    watches = []
  }
}

extension Poller.Interest {
  fileprivate init(curlPoll what: Int32) {
    switch what {
    case CURL_POLL_IN: self = .readable
    case CURL_POLL_OUT: self = .writable
    case CURL_POLL_INOUT: self = [.readable, .writable]
    default: self = []
    }
  }

  /// An error is told as readiness: what libcurl tries then says which one it is.
  fileprivate func curlReady(_ wanted: Poller.Interest) -> Int32 {
    let seen = isDisjoint(with: .failure) ? self : union(wanted)
    return (seen.contains(.readable) ? CURL_CSELECT_IN : 0) | (seen.contains(.writable) ? CURL_CSELECT_OUT : 0)
  }
}
