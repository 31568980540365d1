import IO

/// Names what was prepared beside what runs until it is started or discarded.
typealias Ticket = Int

/// What the supervisor asks of a loop. A loop performs commands in the order in which they came, between two turns.
enum LoopCommand: Sendable {
  /// Build a pipeline beside what runs: ring, pools, encoders, sinks. It does nothing yet. Answered by `prepared`, once all
  /// destinations are there that are required (`healthcheck: require`).
  ///
  /// `isHeir`: its sinks wait for what those of a pipeline of the same name have not delivered.
  case prepare(Ticket, PipelinePlan, PipelineBoard, isHeir: Bool)
  /// Build what a running pipeline needs for other live settings. Answered by `prepared`.
  case prepareAdjustment(Ticket, PipelinePlan)
  /// Let go of what was prepared.
  case discard(Ticket)
  /// Start a prepared pipeline, with what is left of one that had its name. Answered by `switched`.
  case start(Ticket, Parcel?)
  /// Build a pipeline with what is left of one that had its name, and start it. Answered by `prepared`.
  ///
  /// `isChecked`: destinations that are required have to be there; what ran before is built again without regard to them.
  case build(Ticket, PipelinePlan, PipelineBoard, Parcel, isChecked: Bool)
  /// At the next poll boundary, go on with the adjustment that was prepared. Answered by `switched`.
  case adjust(Ticket, pipeline: String)
  /// At the next poll boundary, go on with the pipeline that was prepared; what the old one's sinks have not delivered goes to
  /// the new one's of the same name. Answered by `switched`, then `drained`.
  case replace(Ticket, pipeline: String)
  /// At the next poll boundary, let go of everything; what sinks have not delivered is kept for those of the plan that go on with
  /// it, the rest delivered. Answered by `parted`, then `drained`.
  case vacate(Ticket, pipeline: String, for: PipelinePlan?)
  /// Poll no more, deliver what there is, let go. Answered by `switched`, then `drained`.
  case remove(Ticket, pipeline: String)
  /// How many kernel workers (io-wq) the loop's rings may start for buffered writes to files.
  case limitWorkers(files: Int)
  /// How long whatever goes may take to deliver what it has, in nanoseconds.
  case drainWithin(Int64)
  /// Run on these CPUs only; none: on all that the process may use.
  case runOn(cpus: [Int])
  /// Poll a pipeline now, or as soon as the poll that runs is over. Answered by `polled`.
  case poll(pipeline: String, request: Int)
  /// Open files again whose path names another one.
  case reopenFiles
  /// Deliver what there is and end. A second one does not wait.
  case stop
}

extension LoopCommand {
  /// The pipeline that goes, which `LoopEvent.drained` answers when it has let go of everything.
  var leaving: String? {
    switch self {
    case .replace(_, let pipeline), .vacate(_, let pipeline, _), .remove(_, let pipeline): pipeline
    default: nil
    }
  }
}

/// What a loop tells the supervisor.
enum LoopEvent: Sendable {
  case prepared(Ticket, StartError?)
  /// The step is done: what was asked for runs, or polls no more.
  case switched(Ticket)
  /// A pipeline has gone; what is left of it.
  case parted(Ticket, Parcel)
  /// What was replaced or removed has let go of everything.
  case drained(pipeline: String, PipelineTotals)
  case polled(request: Int, PollOutcome?)
  /// A pipeline has come to its poll limit and delivered everything.
  case finished(pipeline: String)
  /// The thread is over; with an error, it could not go on.
  case ended(loop: Int, SystemError?)
}

/// What one poll came to.
public struct PollOutcome: Sendable, Equatable {
  public enum Result: String, Sendable { case complete, partial, failed }

  public var result: Result
  public var sequence: UInt64
  /// Nanoseconds.
  public var duration: Int64
  public var namespaces: Int
  /// Sockets that the kernel reported, and the rows made of them.
  public var reported: UInt64
  public var encoded: UInt64
}
