/// What was granted, or, if it was refused, what was asked for.
public struct AdmissionResult: Sendable, Equatable {
  /// The loop of every pipeline, by name. Loops are numbered from 0; numbers need not be consecutive.
  public var assignment: [String: Int] = [:]
  /// The loops in use, by number.
  public var loops: [LoopGrant] = []
  public var threads = ThreadGrant()
  public var library = LibraryGrant()
  public var memory = MemoryGrant()
  public var descriptors = DescriptorGrant()
  public var lockedMemory = LockedMemoryGrant()
  /// Errors and warnings.
  public var findings: [AdmissionFinding] = []
  /// What each pipeline asked for, in the order of the configuration.
  public var demands: [Demand] = []

  /// It does not fit: nothing must be started.
  public var isRefused: Bool { findings.contains { $0.severity == .error } }

  /// The errors in one line each, for a log or a verdict.
  public var refusals: [String] { findings.filter { $0.severity == .error }.map(\.message) }
}

/// One event loop: who is on it and what its kernel workers are limited to.
public struct LoopGrant: Sendable, Equatable {
  public var number: Int
  /// In the order of the configuration.
  public var pipelines: [String]
  /// The limit of io-wq's bounded workers: 1 if a pipeline has file output, else 0.
  public var fileWorkers: Int

  /// `loop0`: the thread's name.
  public var name: String { "loop\(number)" }
}

/// The kernel workers that a loop has.
public struct LoopWorkers: Sendable, Equatable {
  public var file = false

  public init(file: Bool = false) { self.file = file }
}

/// Threads of the process by kind.
public struct ThreadGrant: Sendable, Equatable {
  /// `resources.threads`; nil: auto.
  public var budget: Int?
  public var main = 1
  public var loops = 0
  public var fileWorkers = 0
  public var readers = 0
  /// Kernel workers that a loop had a use for once and keeps until it ends (io-wq in the kernel never ends the last one).
  public var idleWorkers = 0
  /// Threads of client libraries, which are not part of `total`.
  public var library = 0
  /// `resources.library_threads`.
  public var libraryBudget = 0

  public var total: Int { main + loops + fileWorkers + readers + idleWorkers }
  /// Each kind as status and metrics call it, and how many of it.
  public var byKind: [(kind: String, count: Int)] {
    [
      ("main", main), ("loop", loops), ("file_worker", fileWorkers), ("reader", readers), ("idle_worker", idleWorkers),
      ("library", library),
    ]
  }
}

/// Bytes of `resources.memory` by use.
public struct MemoryGrant: Sendable, Equatable {
  /// `resources.memory`.
  public var budget = 0
  /// Pools of all pipelines.
  public var pools = 0
  /// What queues have for themselves.
  public var queueReserve = 0

  public var total: Int { pools + queueReserve }
  /// What is left, for any queue that needs more than its reserve.
  public var shared: Int { max(0, budget - total) }
}

/// Descriptors by use.
public struct DescriptorGrant: Sendable, Equatable {
  /// RLIMIT_NOFILE.
  public var limit = 0
  /// Those of the process, its loops and its clients of libraries.
  public var process = 0
  /// Those of all pipelines.
  public var pipelines = 0

  public var total: Int { process + pipelines }
}

/// Memory that rings may lock.
public struct LockedMemoryGrant: Sendable, Equatable {
  /// RLIMIT_MEMLOCK; nil: no limit counts.
  public var limit: Int?
  public var total = 0
}

/// Something that admission found.
public struct AdmissionFinding: Sendable, Equatable {
  public var severity: Diagnostic.Severity
  /// The setting that decides, `global.resources.threads` for example; nil: the file as a whole.
  public var key: String?
  public var message: String
}
