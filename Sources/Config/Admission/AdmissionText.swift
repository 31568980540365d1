// How sums are written for people: "4 = 1 main + 2 loops + 1 file worker".

extension AdmissionResult {
  /// `1 main + 2 loops + 1 file worker + 1 reader (web)`.
  var threadSum: String {
    var parts = ["\(threads.main) main", Self.counted(threads.loops, "loop")]
    if threads.fileWorkers > 0 { parts.append(Self.counted(threads.fileWorkers, "file worker")) }
    if threads.readers > 0 {
      let who = demands.filter { $0.readers > 0 }
      let shares = who.count == 1 ? who[0].pipeline : shares(\.readers) { "\($0)" }
      parts.append("\(Self.counted(threads.readers, "reader")) (\(shares))")
    }
    if threads.idleWorkers > 0 {
      parts.append("\(Self.counted(threads.idleWorkers, "idle worker")) that the kernel keeps until the loop ends")
    }
    return parts.joined(separator: " + ")
  }

  /// `60MiB pools (web 40MiB, host 20MiB) + 20MiB queue reserves`.
  var memorySum: String {
    "\(Units.rough(bytes: memory.pools)) pools (\(shares(\.footprint.pools, Units.rough(bytes:)))) + "
      + "\(Units.rough(bytes: memory.queueReserve)) queue reserves"
  }

  /// `76 process + 24 pipelines (web 14, host 10)`.
  var descriptorSum: String {
    "\(descriptors.process) process + \(descriptors.pipelines) pipelines "
      + "(\(shares(\.footprint.descriptors) { "\($0)" }))"
  }

  /// What each pipeline has of a sum, the greatest first; beyond eight only how many more.
  func shares(_ amount: (Demand) -> Int, _ text: (Int) -> String) -> String {
    let sorted = demands.enumerated().filter { amount($0.element) > 0 }
      .sorted { (amount($1.element), $0.offset) < (amount($0.element), $1.offset) }.map(\.element)
    var parts = sorted.prefix(8).map { "\($0.pipeline) \(text(amount($0)))" }
    if sorted.count > 8 {
      let rest = sorted.dropFirst(8)
      parts.append("\(rest.count) more \(text(rest.reduce(0) { $0 + amount($1) }))")
    }
    return parts.joined(separator: ", ")
  }

  /// What `xtcpd check` prints: every sum, and which pipeline is on which loop.
  public var arithmetic: [String] {
    let budget = threads.budget.map { ", budget \($0)" } ?? ""
    let limit = lockedMemory.limit.map { "limit \(Units.text(bytes: $0))" } ?? "no limit"
    return [
      "threads: \(threads.total) = \(threadSum)\(budget)",
      "library threads: \(threads.library)\(library.parts.isEmpty ? "" : " = \(library.sum)"), "
        + "budget \(threads.libraryBudget)",
      "memory: \(Units.rough(bytes: memory.total)) = \(memorySum), budget \(Units.text(bytes: memory.budget)); "
        + "\(Units.rough(bytes: memory.shared)) are shared by queues",
      "descriptors: \(descriptors.total) = \(descriptorSum), limit \(descriptors.limit)",
      "locked memory: \(Units.rough(bytes: lockedMemory.total)), \(limit)",
    ] + loops.map { "\($0.name): \($0.pipelines.joined(separator: ", "))" }
  }

  private static func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}

extension Units {
  /// A size for people: exact if a unit divides it, else with one digit after the point.
  static func rough(bytes: Int) -> String {
    guard bytes > 0, let fit = sizes.first(where: { Int64(bytes) >= $0.bytes }), Int64(bytes) % fit.bytes != 0 else {
      return text(bytes: bytes)
    }
    let tenths = (Int64(bytes) * 10 + fit.bytes / 2) / fit.bytes
    return tenths % 10 == 0 ? "\(tenths / 10)\(fit.unit)" : "\(tenths / 10).\(tenths % 10)\(fit.unit)"
  }
}

extension Outcome {
  /// This outcome with what admission found, each at the setting that decides, if that stands in the file.
  public func adding(_ admission: AdmissionResult) -> Outcome {
    var outcome = self
    outcome.diagnostics += admission.findings.map { finding in
      Diagnostic(
        severity: finding.severity, place: finding.key.flatMap { places[$0] } ?? whole, message: finding.message,
        suggestion: nil, notes: [])
    }
    if admission.isRefused { outcome.settings = nil }
    return outcome
  }
}
