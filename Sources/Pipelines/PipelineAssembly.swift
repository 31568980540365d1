import Config
import Glibc
import IO
import Logging
import Records
import Sinks

/// Builds pipelines from settings: plans, ports, pools, encoders, sinks. Runs on the thread that will drive them.
struct PipelineAssembly {
  let settings: Settings
  let options: RunOptions
  let host: HostIdentity
  let log: Logger

  /// Works out all that needs neither rights nor the kernel.
  func check() throws(StartError) {
    for plan in plans { _ = try makeEncodings(plan) }
  }

  /// The host's namespaces are those that the host's processes are in: where `paths.proc` shows a container's processes, a name
  /// such as `host` would be false.
  func checkRights(_ facts: HostFacts) throws(StartError) {
    guard facts.seesHostProcesses == false, !options.ownNamespaceOnly else { return }
    for pipeline in settings.pipelines where pipeline.namespaces.include.contains(where: { $0 == .host || $0 == .all })
    {
      throw .missingRight(
        "pipeline \(pipeline.name) selects the host's namespaces, but PID 1 under \(settings.global.paths.proc) is only this "
          + "container's; run with the host's PID namespace (docker --pid=host, hostPID: true), mount the host's /proc and name it "
          + "in global.paths.proc, or select namespaces by name or path")
    }
  }

  /// - Throws: the first thing that stands in the way. Nothing has been read or written then.
  func build(directory: NamespaceDirectory) throws(StartError) -> [Pipeline] {
    raiseLimits()
    var pipelines: [Pipeline] = []
    for plan in plans { pipelines.append(try build(plan, directory: directory)) }
    return pipelines
  }

  private var plans: [PipelinePlan] {
    settings.pipelines.map {
      PipelinePlan(
        $0, global: settings.global, hostname: host.hostname, pollLimit: options.pollLimit, asTable: options.asTable)
    }
  }

  // MARK: Parts

  private func build(_ plan: PipelinePlan, directory: NamespaceDirectory) throws(StartError) -> Pipeline {
    var log = log
    log[metadataKey: "pipeline"] = "\(plan.name)"
    let port = try open(plan, log)
    let encodings = try makeEncodings(plan)
    let sinks = try makeSinks(plan, encodings, port)
    do throws(SystemError) {
      let door = try NamespaceDoor()
      // Whoever asks for the own namespace only has no right to any other.
      let own = NamespaceSelection(include: [.inode(door.homeNode.inode)])
      return Pipeline(
        plan: plan, port: port, directory: directory,
        choice: NamespaceChoice(selection: options.ownNamespaceOnly ? own : plan.namespaces), door: door,
        encodings: encodings, sinks: sinks,
        batchPool: try BatchPool(count: plan.batches, byteCount: plan.batchMemory), log: log)
    } catch {
      throw .system("pipeline \(plan.name): \(error)")
    }
  }

  func makeDirectory() throws(StartError) -> NamespaceDirectory {
    let paths = settings.global.paths
    let discovery = settings.global.discovery
    var log = log
    // Who reads its own namespace misses nothing of the others.
    if options.ownNamespaceOnly { log.logLevel = .error }
    do throws(SystemError) {
      let discoverer = try NamespaceDiscoverer(
        paths: NamespacePaths(proc: paths.proc, netns: paths.netns), maxNamespaces: discovery.maxNamespaces)
      return NamespaceDirectory(
        discoverer: discoverer, door: try NamespaceDoor(), interval: discovery.interval.nanoseconds, log: log)
    } catch {
      throw .system("looking for network namespaces: \(error)")
    }
  }

  private func open(_ plan: PipelinePlan, _ log: Logger) throws(StartError) -> any Port {
    do throws(PortError) {
      let opened = try openPort(
        plan.mode, plan.portOptions)
      if let refusal = opened.refusal { log.notice("using plain system calls: \(refusal)") }
      if let ring = opened.port as? RingPort { limitWorkers(of: ring, log) }
      return opened.port
    } catch {
      switch error {
      case .system, .descriptorsExhausted: throw .system("pipeline \(plan.name): \(error)")
      default: throw .missingRight("pipeline \(plan.name): \(error)")
      }
    }
  }

  /// Rings need locked memory unless CAP_IPC_LOCK is there, dumps and files need descriptors.
  private func raiseLimits() {
    // It may not. A ring that does not fit, a file that cannot be opened says what is missing.
    try? ResourceLimits.raiseLockedMemory(to: 8 << 20)
    try? ResourceLimits.raiseOpenFiles()
  }

  /// The kernel may start threads for what it cannot do at once (buffered file writes): at most one of each of its two kinds, whatever
  /// the number of sinks.
  private func limitWorkers(of ring: RingPort, _ log: Logger) {
    do throws(SystemError) {
      try ring.limitWorkers(files: 1, others: 1)
    } catch {
      log.warning("the number of io_uring's kernel threads cannot be limited: \(error)")
    }
  }

  private func makeEncodings(_ plan: PipelinePlan) throws(StartError) -> [Encoding] {
    var encodings: [Encoding] = []
    for part in plan.encodings {
      let encoder: RecordEncoder
      do throws(UnknownColumn) {
        encoder = try RecordEncoder(
          format: part.format, columns: part.columns, attributes: plan.attributes, host: host, pipeline: plan.identity)
      } catch {
        throw .configuration("pipeline \(plan.name): \(error)")
      }
      if encoder.maximumRowBytes > plan.batchBytes {
        throw .configuration(
          "pipeline \(plan.name): batch.bytes is \(plan.batchBytes), but one row in format \(part.format.rawValue) can take "
            + "\(encoder.maximumRowBytes) bytes; raise batch.bytes")
      }
      encodings.append(
        Encoding(encoder: encoder, plan: plan, prefixOffset: encodings.last?.prefixRange.upperBound ?? 0))
    }
    return encodings
  }

  private func makeSinks(
    _ plan: PipelinePlan, _ encodings: [Encoding], _ port: any Port
  ) throws(StartError) -> [any Sink] {
    var sinks: [any Sink] = []
    for (index, part) in plan.sinks.enumerated() {
      let encoding = encodings[part.encoding]
      let output = SinkOutput(
        port: port, owner: Pipeline.Owner.sinks + UInt32(index), header: encoding.header, capacity: plan.batches)
      let sink = try makeSink(part, output)
      encoding.attach(sink)
      sinks.append(sink)
    }
    return sinks
  }

  /// Where sinks are listed.
  private func makeSink(_ part: PipelinePlan.SinkPlan, _ output: SinkOutput) throws(StartError) -> any Sink {
    switch part.kind {
    case .stdout: return StandardStreamSink(name: part.name, descriptor: STDOUT_FILENO, output)
    case .stderr: return StandardStreamSink(name: part.name, descriptor: STDERR_FILENO, output)
    case .blackhole: return BlackholeSink(name: part.name)
    case .file(let file):
      do throws(FileError) {
        return try FileSink(name: part.name, path: file.path, mode: file.mode, output)
      } catch {
        throw StartError(error, sink: part.name)
      }
    }
  }
}

extension StartError {
  init(_ error: FileError, sink: String) {
    if case .system(let cause) = error, cause.errno == EACCES || cause.errno == EPERM {
      self = .missingRight("sink \(sink): \(error)")
    } else {
      self = .system("sink \(sink): \(error)")
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
