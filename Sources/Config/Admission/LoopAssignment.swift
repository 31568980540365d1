/// Puts pipelines on event loops: a pure function, so that the same input always gives the same loops.
///
/// A loop is known by its number, which it keeps for life; numbers need not be consecutive. Who is on a loop stays there: a
/// pipeline is moved only if it is made anew all the same, if there may not be so many loops (or loops with a file worker) any
/// more, or if somebody changed what may be used (`spreads`).
struct LoopAssignment {
  /// One pipeline to be put somewhere.
  struct Member {
    let name: String
    let needsFileWorker: Bool
    /// Where it is; nil: nowhere yet.
    var loop: Int?
    /// It is made anew anyhow, so that moving it costs nothing.
    var isFree = false
  }

  /// How many loops there are, and how many of them may have file output.
  struct Shape: Equatable {
    var loops: Int
    var fileLoops: Int
    var threads: Int { loops + fileLoops }
  }

  /// In the order of the configuration.
  let members: [Member]
  /// As many loops as may be: cores, or `resources.loops`.
  let limit: Int
  /// `limit` was asked for: not fewer either, unless there are fewer pipelines.
  let isExact: Bool
  /// Threads for loops and file workers together; nil: as many as are useful.
  let threads: Int?
  /// Loads are evened out, though that moves pipelines.
  var spreads = false

  private var writers: Int { members.count(where: \.needsFileWorker) }
  private var mostLoops: Int { max(1, min(limit, members.count)) }
  private var fewestLoops: Int { isExact ? mostLoops : 1 }

  /// The fewest file workers for so many loops: without a pipeline that writes no file, a loop has one.
  private func fewestFileLoops(_ loops: Int) -> Int {
    max(writers > 0 ? 1 : 0, loops - (members.count - writers))
  }

  /// What is asked for at the very least.
  var smallest: Shape { Shape(loops: fewestLoops, fileLoops: fewestFileLoops(fewestLoops)) }
  /// What could be used at the very most.
  var largest: Shape { Shape(loops: mostLoops, fileLoops: min(mostLoops, writers)) }

  /// The most loops that the threads allow, and of those the most with file output.
  private func shape(atLeast minimum: Shape) -> Shape? {
    for loops in stride(from: mostLoops, through: max(fewestLoops, minimum.loops), by: -1) {
      let fewest = max(fewestFileLoops(loops), minimum.fileLoops)
      for fileLoops in stride(from: min(loops, writers), through: fewest, by: -1) {
        let shape = Shape(loops: loops, fileLoops: fileLoops)
        if shape.threads <= threads ?? .max { return shape }
      }
    }
    return nil
  }

  /// The loop of every pipeline, by name; nil if not even the smallest shape fits.
  func assign() -> [String: Int]? {
    let settled = members.filter { $0.loop != nil && !$0.isFree }
    let present = Shape(
      loops: Set(settled.compactMap(\.loop)).count,
      fileLoops: Set(settled.filter(\.needsFileWorker).compactMap(\.loop)).count)
    guard let shape = shape(atLeast: present) ?? shape(atLeast: Shape(loops: 1, fileLoops: 0)) else { return nil }
    var table = Table(shape: shape)
    settle(settled, &table)
    // Those that are made anew stay if they may; then those that are bound to few loops, then the rest.
    for member in members where member.isFree {
      if let loop = member.loop, table.mayHold(loop, member) { table.put(member, loop) }
    }
    for writes in [true, false] {
      for member in members where member.needsFileWorker == writes && table.loops[member.name] == nil {
        table.put(member, table.leastLoaded(for: member))
      }
    }
    if spreads { even(&table) }
    return table.loops
  }

  /// Leaves everybody where he is, but for loops that are too many: those with the fewest pipelines go.
  private func settle(_ settled: [Member], _ table: inout Table) {
    let byLoop = Dictionary(grouping: settled) { $0.loop ?? 0 }
    let kept = Self.fullest(byLoop.mapValues(\.count), table.shape.loops)
    let writers = byLoop.filter { kept.contains($0.key) }.mapValues { $0.count(where: \.needsFileWorker) }
    let withFiles = Self.fullest(writers.filter { $0.value > 0 }, table.shape.fileLoops)
    for member in settled {
      guard let loop = member.loop, kept.contains(loop) else { continue }
      if !member.needsFileWorker || withFiles.contains(loop) { table.put(member, loop) }
    }
  }

  /// The loops with the most pipelines; of equal ones those with the lowest numbers.
  private static func fullest(_ counts: [Int: Int], _ number: Int) -> Set<Int> {
    Set(counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(number).map(\.key))
  }

  /// Moves pipelines from the fullest loop to the emptiest until they differ by one at most, or nobody may move.
  private func even(_ table: inout Table) {
    // Each move brings two loads nearer to each other; the bound is for the proof, not for the loop.
    for _ in 0..<(members.count * max(1, limit)) {
      guard let fullest = table.counts.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }) else { return }
      let movable = members.last { member in
        guard table.loops[member.name] == fullest.key else { return false }
        return table.load(table.leastLoaded(for: member)) + 1 < fullest.value
      }
      guard let movable else { return }
      let target = table.leastLoaded(for: movable)
      table.remove(movable)
      table.put(movable, target)
    }
  }

  /// Who is where so far.
  private struct Table {
    let shape: Shape
    private(set) var loops: [String: Int] = [:]
    /// Pipelines of each loop in use.
    private(set) var counts: [Int: Int] = [:]
    private var writers: [Int: Int] = [:]

    init(shape: Shape) { self.shape = shape }

    func load(_ loop: Int) -> Int { counts[loop] ?? 0 }

    mutating func put(_ member: Member, _ loop: Int) {
      loops[member.name] = loop
      counts[loop, default: 0] += 1
      if member.needsFileWorker { writers[loop, default: 0] += 1 }
    }

    mutating func remove(_ member: Member) {
      guard let loop = loops.removeValue(forKey: member.name) else { return }
      counts[loop] = load(loop) > 1 ? load(loop) - 1 : nil
      if member.needsFileWorker { writers[loop] = (writers[loop] ?? 0) > 1 ? (writers[loop] ?? 0) - 1 : nil }
    }

    func mayHold(_ loop: Int, _ member: Member) -> Bool {
      if counts[loop] == nil, counts.count >= shape.loops { return false }
      return !member.needsFileWorker || writers[loop] != nil || writers.count < shape.fileLoops
    }

    /// The loop with the fewest pipelines that may hold it, a new one included; of equal ones the one with the lowest number.
    func leastLoaded(for member: Member) -> Int {
      let unused = (0...counts.count).first { counts[$0] == nil } ?? 0
      let candidates = (counts.keys.sorted() + [unused]).filter { mayHold($0, member) }
      return candidates.min { (load($0), $0) < (load($1), $1) } ?? unused
    }
  }
}
