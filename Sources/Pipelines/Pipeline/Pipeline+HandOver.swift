import IO
import Sinks

/// What a pipeline of the same name goes on with: its counters, its place in time, the numbers of its polls.
struct Legacy: Sendable {
  var counters: PipelineCounters
  var schedule: PollSchedule
  var pollDurations: DurationHistogram
  var pollSequence: UInt64
  var lastPoll: Int64
  var lastCompletePoll: Int64
  var complaints: Complaints
  /// By sink of the old plan: rows that had been encoded before it was there.
  var encodedBefore: [UInt64]
  var plan: PipelinePlan
}

/// All that is left of a pipeline that has gone before the one that follows it is there.
///
/// Sent from one loop to another; only one of them has it at a time.
final class Parcel: @unchecked Sendable {
  let legacy: Legacy
  /// By sink of the old plan; nil: nothing was left, or it was taken.
  private var estates: [SinkEstate?]
  /// By sink of the old plan: what was counted that is in no estate.
  let counted: [SinkTally]

  init(legacy: Legacy, estates: [SinkEstate?], counted: [SinkTally] = []) {
    self.legacy = legacy
    self.estates = estates
    self.counted = counted
  }

  func takeEstate(_ index: Int) -> SinkEstate? {
    defer { estates[index] = nil }
    return estates[index]
  }

  /// Nobody takes what is left: it is dropped, by name.
  ///
  /// - Parameter board: of the pipeline that has gone, where the last counts are told.
  func abandon(_ board: PipelineBoard? = nil) {
    for (index, estate) in estates.enumerated() {
      guard let estate else { continue }
      var tally = estate.abandon()
      if counted.indices.contains(index) { tally += counted[index] }
      board?.update { if $0.totals.sinks.indices.contains(index) { $0.totals.sinks[index].tally = tally } }
    }
    estates = estates.map { _ in nil }
  }
}

/// Hand-over: what a pipeline that goes leaves to the one that follows.
extension Pipeline {
  var legacy: Legacy {
    Legacy(
      counters: counters, schedule: schedule, pollDurations: board.read().pollDurations, pollSequence: poll.sequence,
      lastPoll: lastPoll, lastCompletePoll: lastCompletePoll, complaints: complaints, encodedBefore: encodedBefore,
      plan: plan)
  }

  /// Goes on where another pipeline has ended.
  func takeOver(_ legacy: Legacy) {
    counters = legacy.counters
    board.update { $0.pollDurations = legacy.pollDurations }
    (lastPoll, lastCompletePoll) = (legacy.lastPoll, legacy.lastCompletePoll)
    complaints = legacy.complaints
    poll.sequence = legacy.pollSequence
    schedule = legacy.schedule.changed(
      interval: plan.interval, alignment: plan.alignment, monotonic: MonotonicTime.now().nanoseconds,
      wall: wallClockNanoseconds())
    for index in sinks.indices {
      let old = legacy.plan.predecessor(of: index, in: plan)
      encodedBefore[index] = old.map { legacy.encodedBefore[$0] } ?? counters.rows.encoded
      if old == nil { sinks[index].inherit(nil) }
    }
    isDue = true
  }

  /// The poll is over and the last batches are with the sinks: those whose work a pipeline of another plan goes on with let go of
  /// it, the others deliver it.
  func beginRelease(to successor: PipelinePlan) {
    for encoding in encodings { encoding.ship() }
    for (index, sink) in sinks.enumerated() where plan.heir(of: index, in: successor) != nil { sink.beginRelease() }
  }

  /// Takes over what the predecessor's sinks have let go of by now.
  func inherit(from old: Pipeline) {
    for index in sinks.indices where sinks[index].awaitsEstate {
      guard let position = old.plan.predecessor(of: index, in: plan), old.sinks[position].isReleased else { continue }
      sinks[index].inherit(old.sinks[position].takeEstate())
      isDue = true
    }
  }

  /// Takes over what is left of one that has gone.
  func inherit(from parcel: Parcel) {
    takeOver(parcel.legacy)
    for index in sinks.indices {
      guard let position = parcel.legacy.plan.predecessor(of: index, in: plan) else { continue }
      if parcel.counted.indices.contains(position) { countedBefore[index] += parcel.counted[position] }
      sinks[index].inherit(parcel.takeEstate(position))
    }
    parcel.abandon()
    publish(now: MonotonicTime.now().nanoseconds)
  }

  /// Everything of the predecessor is over: what it still counts is counted here from now on.
  func outlive(_ old: Pipeline) {
    for index in sinks.indices {
      guard let position = old.plan.predecessor(of: index, in: plan) else { continue }
      countedBefore[index] += old.tally(ofSink: position)
    }
    predecessor = nil
  }

  /// Everything that was to be handed over can be taken, and everything else is delivered.
  ///
  /// - Parameter isCut: there is no more time; what is still being written is left to the kernel.
  func hasLetGo(isCut: Bool) -> Bool {
    guard isCut else { return sinks.allSatisfy { $0.isReleasing ? $0.isReleased : $0.isIdle } }
    for sink in sinks where sink.isReleasing && !sink.isReleased { sink.forceRelease() }
    return true
  }

  /// What it has done, with all that its sinks count now.
  var totals: PipelineTotals {
    var totals = board.read().totals
    totals.counters = counters
    for index in totals.sinks.indices where sinks.indices.contains(index) {
      totals.sinks[index].tally = tally(ofSink: index)
    }
    return totals
  }

  /// Lets go of everything; what its sinks have let go of is kept for a pipeline that is not there yet.
  func pack() -> Parcel {
    for sink in sinks where sink.isReleasing && !sink.isReleased { sink.forceRelease() }
    let estates = sinks.map { $0.isReleased ? $0.takeEstate() : nil }
    isSilent = true
    close()
    return Parcel(legacy: legacy, estates: estates, counted: sinks.indices.map { tally(ofSink: $0) })
  }
}

extension PipelinePlan {
  /// The sink of this plan whose work a sink of a later plan goes on with: same name, same bytes.
  func predecessor(of index: Int, in later: PipelinePlan) -> Int? {
    let part = later.sinks[index]
    return sinks.firstIndex { $0.name == part.name && encodings[$0.encoding] == later.encodings[part.encoding] }
  }

  /// The sink of a later plan that goes on with the work of one of this plan.
  func heir(of index: Int, in later: PipelinePlan) -> Int? {
    later.sinks.indices.first { predecessor(of: $0, in: later) == index }
  }
}
