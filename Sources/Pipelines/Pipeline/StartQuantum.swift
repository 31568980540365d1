/// How many dumps may be started in one submission.
///
/// A send on a sock_diag socket performs the first part of the kernel's walk before it returns (`netlink_dump_start` in
/// net/netlink/af_netlink.c): microseconds in a small namespace, tens of milliseconds where namespaces share a big established
/// hash. Many starts in one submission save system calls where walks are short; where they are long, each start alone keeps
/// `timestamp_ns` exact and lets other pipelines of the loop have their turn.
struct StartQuantum {
  /// Below this a submission is short: the next one may start twice as many.
  static let short: Int64 = 1_000_000
  /// Above this it was long: back to one.
  static let long: Int64 = 4_000_000

  private(set) var size = 1
  private let limit: Int

  /// - Parameter limit: `reader.recv_batch`.
  init(limit: Int) { self.limit = max(1, limit) }

  /// Takes in how long the last submission that started dumps took, in nanoseconds.
  mutating func observe(duration: Int64) {
    if duration > StartQuantum.long {
      size = 1
    } else if duration < StartQuantum.short {
      size = min(limit, size * 2)
    }
  }
}
