import Config
import IO
import Records

extension DemandModel {
  /// What pipelines of this build take, from the sizes by which their pools and ports are made.
  public static let pipelines = DemandModel(
    // 3 standard streams, 8 of the main thread (its poller, signals, wake-ups, the watch on mounts), 4 of listeners, 16 clients
    // of the control socket, 16 of the metrics server, 16 for what is open for a moment (configuration files, /proc, /run/netns).
    processDescriptors: 3 + 8 + 4 + 16 + 16 + 16 + 1,
    // Its poller, its wake-up, its own namespace, a namespace that is being entered.
    loopDescriptors: 4
  ) { settings, mayUseRing in
    PipelineFootprint(PipelinePlan(settings, host: HostIdentity(), RunOptions(version: "")), mayUseRing: mayUseRing)
  }
}

extension PipelineFootprint {
  init(_ plan: PipelinePlan, mayUseRing: Bool) {
    let port = PortFootprint(mayUseRing ? plan.mode : .syscall, plan.portOptions)
    let marks = plan.marksRows ? plan.batchRows * MemoryLayout<RowMark>.stride : 0
    let batches = plan.batches * Self.pages(Self.pages(plan.batchBytes) + marks)
    self.init(
      pools: port.memory + batches + Self.dumps(plan) + DumpReaders.memory(count: plan.readers)
        + KnownSockets.memory(connections: plan.knownSockets),
      lockedMemory: port.lockedMemory,
      // Its way home from other namespaces, a netlink socket a dump, the readers' wake-up, and what its sinks open.
      descriptors: port.descriptors + 1 + plan.dumps + (plan.readers > 0 ? 1 : 0)
        + plan.sinks.reduce(0) { $0 + $1.descriptors })
  }

  /// What `Pipeline` allocates for each dump in flight and for datagrams that wait to be encoded.
  static func dumps(_ plan: PipelinePlan) -> Int {
    let allocation = 16
    let memory =
      plan.requestBytes + 8 * plan.lookup.count + plan.prefixBytes
      + MemoryLayout<DumpMemory>.stride
      + 3 * allocation
    // The pool `dumps` has 8 bytes a slot beside the element, the table of dumps in flight 9.
    return plan.dumps * (memory + 8 + MemoryLayout<Dump>.stride + 9)
      + (plan.receiveBuffers + plan.readers * DumpReaders.buffersPerReader) * MemoryLayout<ReceivedDatagram>.stride
  }

  private static func pages(_ bytes: Int) -> Int { (bytes + 4095) / 4096 * 4096 }
}

extension PipelinePlan {
  /// The sizes of its port's pools.
  var portOptions: PortOptions {
    var options = PortOptions(receiveBuffers: receiveBuffers, operations: operations)
    options.datagrams = sinks.reduce(0) { $0 + datagrams(of: $1.kind.traits) }
    return options
  }

  /// How many a full batch makes, so that one submission takes them: rows fill two thirds of a datagram or more unless they are
  /// nearly as long as one.
  private func datagrams(of sink: SinkTraits) -> Int {
    sink.datagramBytes == 0 ? 0 : 3 * batchBytes / (2 * sink.datagramBytes) + 1
  }

  /// The longest request of a dump.
  var requestBytes: Int { max(DumpRequest.mostBytes(kernelFilter), KnownRead.requestBytes) }

  /// What the constant part of the rows takes in a dump's memory, for all encodings. Unknown columns, which are reported
  /// elsewhere, take nothing.
  var prefixBytes: Int {
    encodings.reduce(0) { end, part in
      guard
        let encoder = try? RecordEncoder(
          format: part.format, columns: part.columns, attributes: attributes, host: HostIdentity(), pipeline: identity)
      else { return end }
      return Encoding(encoder: encoder, plan: self, prefixOffset: end, openBatches: OpenBatches(encodings: 1))
        .prefixRange.upperBound
    }
  }
}
