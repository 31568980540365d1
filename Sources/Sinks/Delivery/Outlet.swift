import IO

/// What became of what an outlet was given.
enum Outcome {
  /// The destination has all rows of the shipment, and as much as it ever acknowledges.
  ///
  /// `bytes`: what went out. `refused`: rows of it that the destination can never take, under their name.
  case delivered(bytes: Int, refused: Refusal?)
  /// Nothing can be said to have arrived, or only a part.
  case failed(Failure)
  /// The outlet has made the rows its own and needs the shipment no longer; `settled` follows.
  case taken(bytes: Int)
  /// All rows taken so far: delivered, or dropped under the name.
  case settled(DropReason?)

  struct Refusal: Equatable {
    let rows: Int
    let reason: DropReason
  }
}

/// Why a shipment did not arrive.
struct Failure {
  /// For people: operation, cause, place.
  var message: String
  /// The name under which rows are dropped that are not tried again.
  var reason = DropReason.failed
  /// Trying again cannot help: this shipment is dropped, the next one is tried.
  var isFinal = false
  /// Not sooner than this, in nanoseconds from now, if the destination said so.
  var retryAfter: Int64?
  /// Rows of this shipment that have arrived all the same, this time and before: they count as delivered should the rest be dropped.
  var delivered = 0
}

/// What an outlet knows of its destination.
enum Reachability: Equatable {
  case unknown
  case reachable
  case unreachable(String)
}

/// The part of a sink that knows its destination: takes a shipment at a time, and tells what became of it.
///
/// It lives on the thread of its sink and never blocks. What other threads bring (client libraries) it takes in `resume`, for which
/// they call `SinkOutput.wake`.
protocol Outlet: AnyObject {
  /// A shipment would be sent at once from where its batch is. False makes the queue copy it first: while there is no connection,
  /// and always if other threads read it.
  var isReady: Bool { get }
  var reachability: Reachability { get }
  /// Monotonic nanoseconds at which `resume` has something to do although no completion comes; nil: never.
  var nextDeadline: Int64? { get }

  /// Begins to find out whether the destination can be reached, if it can be known without sending rows. Called once.
  func probe(now: Int64)
  /// Begins to send. The shipment's memory stays until `takeOutcome` has told what became of it; no other is sent before.
  func send(_ shipment: Shipment, now: Int64)
  /// A completion of one of its operations.
  func handle(_ completion: consuming Completion)
  /// Does what has become due. Called once a turn.
  func resume(now: Int64)
  /// What has become known since the last call.
  func takeOutcome() -> Outcome?
  /// The shipment under way shall end early: its outcome comes soon, most likely a failure.
  func cancel()
  /// Nothing more comes: what was taken and not settled is finished.
  func flush()
  /// Opens anew what its name no longer leads to.
  func reopen()
  /// The port is torn down: lets go of everything.
  ///
  /// - Parameter isStuck: the kernel has not let go of all operations (`Port.tearDown`): what they may read or write is never given
  ///   back. The shipment is not the outlet's to keep.
  func close(isStuck: Bool)
}

extension Outlet {
  func flush() {}
  func reopen() {}
}
