import IO
import Synchronization

/// Messages to the thread that owns a poller: posted from any thread, taken in order by one.
///
/// A message costs an allocation now and then: mailboxes carry commands and their outcome, never rows.
final class Mailbox<Message: Sendable>: Sendable {
  private let waiting = Mutex<[Message]>([])
  private let wakeup: Wakeup

  /// - Parameter wakeup: readable while messages may wait; several mailboxes may share one.
  init(wakeup: Wakeup) { self.wakeup = wakeup }

  func post(_ message: Message) {
    waiting.withLock { $0.append(message) }
    wakeup.signal()
  }

  /// All that has come so far, the oldest first.
  func takeAll() -> [Message] {
    waiting.withLock { messages in
      if messages.isEmpty { return [] }
      defer { messages.removeAll() }
      return messages
    }
  }
}
