import Config
import Glibc
import IO
import Logging
import Records
import Sinks

/// Builds pipelines of plans: ports, pools, encoders, sinks. Used on the thread that will drive them, because a ring belongs to it.
struct PipelineBuilder: Sendable {
  let options: RunOptions
  let log: Logger
  let namespaces: NamespaceBoard
  /// `NamespaceScout.mountsPollable`. The main thread cannot watch it: its loop asks for no EPOLLPRI.
  let mountsPollable: Int32
  let memory: MemoryBudget
  let clients: ClientRegistry
  /// Makes the loop give its pipelines a turn; called from any thread.
  let wake: @Sendable () -> Void

  /// A pipeline that does nothing yet.
  ///
  /// - Parameter awaitsEstate: its sinks wait for what a predecessor's have not delivered.
  /// - Throws: the first thing that stands in the way. Nothing has been read or written then.
  func build(_ plan: PipelinePlan, board: PipelineBoard, awaitsEstate: Bool) throws(StartError) -> Pipeline {
    var log = log
    log[metadataKey: "pipeline"] = "\(plan.name)"
    try checkFilter(plan)
    let port = try open(plan, log)
    let encodings = try PipelineBuilder.makeEncodings(plan)
    let sinks = try makeSinks(plan, encodings, port, awaitsEstate: awaitsEstate)
    do throws(SystemError) {
      let door = try NamespaceDoor()
      let readers =
        plan.readers > 0
        ? try DumpReaders(count: plan.readers, owners: plan.dumps, name: "reader") : nil
      // Whoever asks for the own namespace only has no right to any other.
      let own = NamespaceSelection(include: [.inode(door.homeNode.inode)])
      return Pipeline(
        plan: plan, port: port, namespaces: namespaces,
        choice: NamespaceChoice(
          selection: options.ownNamespaceOnly ? own : plan.namespaces, others: plan.otherNamespaces),
        door: door, readers: readers,
        encodings: encodings, sinks: sinks,
        batchPool: try PipelineBuilder.makeBatchPool(plan), board: board, log: log)
    } catch {
      throw .system("pipeline \(plan.name): \(error)")
    }
  }

  /// What a running pipeline goes on with under other live settings.
  func buildAdjustment(of present: PipelinePlan?, _ plan: PipelinePlan) throws(StartError) -> Pipeline.Adjustment {
    if present?.selection.filter != plan.selection.filter { try checkFilter(plan) }
    let encodings = try PipelineBuilder.makeEncodings(plan)
    let isSame =
      present.map {
        $0.batchBytes == plan.batchBytes && $0.batches == plan.batches
          && (!plan.marksRows || $0.batchRows == plan.batchRows)
      } ?? false
    do throws(SystemError) {
      return Pipeline.Adjustment(
        plan: plan, encodings: encodings,
        batchPool: isSame ? nil : try PipelineBuilder.makeBatchPool(plan))
    } catch {
      throw .system("pipeline \(plan.name): \(error)")
    }
  }

  /// A filter that compares what the kernel does not tell does not do what it says.
  private func checkFilter(_ plan: PipelinePlan) throws(StartError) {
    do throws(SystemError) {
      try plan.lookup.check()
    } catch {
      throw .system("pipeline \(plan.name): filter.cgroup: \(error)")
    }
    guard let filter = plan.selection.filter, !Capabilities.current().contains(.netAdmin) else { return }
    let keys = [
      filter.keep.marks.isEmpty ? nil : "`filter.mark` keeps no socket",
      filter.drop.marks.isEmpty ? nil : "`filter.not.mark` drops none",
    ].compactMap { $0 }
    guard !keys.isEmpty else { return }
    log.warning(
      """
      pipeline \(plan.name): the kernel tells marks to CAP_NET_ADMIN alone, and it is missing: \
      \(keys.joined(separator: ", ")); give it to xtcpd (AmbientCapabilities= of the unit)
      """)
  }

  private static func makeBatchPool(_ plan: PipelinePlan) throws(SystemError) -> BatchPool {
    try BatchPool(
      count: plan.batches, byteCount: plan.batchBytes, marks: plan.marksRows ? plan.batchRows : 0)
  }

  /// The encoders of a plan; made by `check` too, since a column or a limit may be wrong.
  static func makeEncodings(_ plan: PipelinePlan) throws(StartError) -> [Encoding] {
    let openBatches = OpenBatches(encodings: plan.encodings.count)
    var encodings: [Encoding] = []
    for (index, part) in plan.encodings.enumerated() {
      let encoder: RecordEncoder
      do throws(UnknownColumn) {
        encoder = try RecordEncoder(
          format: part.format, columns: part.columns, attributes: plan.attributes, host: plan.host,
          pipeline: plan.identity)
      } catch {
        throw .configuration("pipeline \(plan.name): \(error)")
      }
      let needed = RecordEncoder.batchHeadroom + encoder.maximumRowBytes + RecordEncoder.batchTailroom
      if needed > plan.batchBytes {
        throw .configuration(
          "pipeline \(plan.name): batch.bytes is \(plan.batchBytes), but one row in format \(part.format.rawValue) can take "
            + "\(needed) bytes; raise batch.bytes")
      }
      encodings.append(
        Encoding(
          encoder: encoder, plan: plan, marksRows: plan.marksRows(inEncoding: index),
          prefixOffset: encodings.last?.prefixRange.upperBound ?? 0,
          openBatches: openBatches))
    }
    return encodings
  }

  // MARK: Parts

  private func open(_ plan: PipelinePlan, _ log: Logger) throws(StartError) -> any Port {
    do throws(PortError) {
      let opened = try openPort(plan.mode, plan.portOptions)
      if let refusal = opened.refusal { log.notice("using plain system calls: \(refusal)") }
      return opened.port
    } catch {
      switch error {
      case .system, .descriptorsExhausted: throw .system("pipeline \(plan.name): \(error)")
      default: throw .missingRight("pipeline \(plan.name): \(error)")
      }
    }
  }
}

extension HostIdentity {
  /// This host as its rows name it.
  init(_ global: GlobalSettings, _ facts: HostFacts, version: String) {
    self.init(
      hostname: global.hostname ?? facts.hostname, location: global.location, bootID: facts.bootID,
      machineID: facts.machineID, daemonVersion: version, kernelRelease: facts.kernelRelease)
  }
}
