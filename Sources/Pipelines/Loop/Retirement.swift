import IO

/// Something that was built beside what runs.
enum Prepared {
  case pipeline(Pipeline)
  case adjustment(AdjustmentBox)
}

/// Holds what cannot be copied in a dictionary.
final class AdjustmentBox {
  let plan: PipelinePlan
  private var content: Pipeline.Adjustment?

  init(_ content: consuming Pipeline.Adjustment) {
    plan = content.plan
    self.content = consume content
  }

  func take() -> Pipeline.Adjustment? { content.take() }
}

/// An adjustment that waits for a poll boundary.
struct PendingAdjustment {
  let ticket: Ticket
  let pipeline: Pipeline
  let parts: AdjustmentBox
  /// Monotonic nanoseconds: a poll that runs for longer is interrupted; what then still is no boundary is not waited for.
  var interruptAt: Int64
  var isInterrupted = false
}

/// A pipeline that goes: it ends its poll, delivers or hands over what it has, and lets go.
struct Retirement {
  enum Heir {
    /// None: everything is delivered, or dropped by name when time is up.
    case none(Ticket)
    /// Built beside, starts when the old one's poll is over.
    case pipeline(Ticket, Pipeline)
    /// One that is not there yet: what the plan's sinks go on with is kept for it.
    case later(Ticket, PipelinePlan?)
  }

  enum Phase {
    /// The poll that runs ends by itself, or is interrupted when its time has come.
    case polling
    /// What was read is encoded and handed to the sinks; nothing more comes.
    case quieting
    /// Who follows may run. Writes in flight end, queues are handed over, the rest is delivered.
    case lettingGo
  }

  let pipeline: Pipeline
  var heir: Heir
  var phase = Phase.polling
  /// Monotonic nanoseconds: when the present phase is cut short.
  var deadline: Int64

  var isBusy: Bool { pipeline.isDue || pipeline.port.hasPending }
}
