import IO

/// What a server of a conversation said.
enum Answer: Equatable {
  /// It has what the request brought.
  case accepted
  /// It will never take it; the name under which the rows are dropped.
  case refused(DropReason, String)
  /// It has not taken it, and may later.
  case failed(String)
  /// Nothing that answers a request: it wants to hear that somebody is there.
  case heartbeat
}

/// The conversation cannot go on: the server does not keep to the protocol, or is of no use. For people.
struct ConversationEnd: Error {
  let message: String
}

/// A language of servers that answer each request once, and in order (RESP, NSQ's). It knows no connection: bytes come from and
/// go to a `ConversationOutlet`.
protocol Dialect: AnyObject {
  /// The server, as messages name it.
  var serverName: String { get }
  /// What opens every conversation, and the answers that follow it: at least one, which shows that the server takes requests.
  var greeting: (bytes: [UInt8], answers: Int) { get }
  /// What a heartbeat is answered with.
  var heartbeatReply: [UInt8] { get }

  /// Lays out the requests that bring a shipment. The same rows give the same requests, however often.
  func layOut(_ shipment: Shipment, into requests: RequestList)
  /// Bytes from the server. What is not yet a whole answer is kept, and never more than that.
  func feed(_ bytes: UnsafeRawBufferPointer) throws(ConversationEnd)
  /// The next whole answer; nil: there is none yet.
  func nextAnswer() throws(ConversationEnd) -> Answer?
  /// A new conversation begins: what was fed is forgotten.
  func restart()
}

extension Dialect {
  var heartbeatReply: [UInt8] { [] }
}
