/// What a machine offers to admission: plain numbers, whoever gathered them.
public struct HostCapacity: Sendable, Equatable {
  /// Cores that loops may use: what affinity and cgroup allow, at least 1.
  public var cores: Int
  /// Descriptors the process may have (RLIMIT_NOFILE).
  public var openFiles: Int
  /// Bytes that rings may lock (RLIMIT_MEMLOCK); nil: no limit counts.
  public var lockedMemory: Int?
  /// Whether the kernel permits rings; nil: not known, and rings are counted wherever a pipeline may use one.
  public var ioUring: Bool?

  public init(cores: Int, openFiles: Int, lockedMemory: Int? = nil, ioUring: Bool? = nil) {
    self.cores = max(1, cores)
    self.openFiles = max(0, openFiles)
    self.lockedMemory = lockedMemory
    self.ioUring = ioUring
  }

  /// Why a text does not describe a capacity; for people.
  public struct Mistake: Error, Equatable, CustomStringConvertible {
    public var description: String
  }

  /// This capacity with what `text` says of another machine: `cpus=8,nofile=65536,memlock=8MiB,io_uring=no`, each
  /// optional, `memlock=unlimited` for none.
  public func overridden(by text: String) throws(Mistake) -> HostCapacity {
    var capacity = self
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard pair.count == 2 else {
        throw Mistake(description: "`\(part)` is not KEY=VALUE; write it like cpus=8,nofile=65536,memlock=8MiB")
      }
      try capacity.set(pair[0], pair[1])
    }
    return capacity
  }

  private mutating func set(_ key: String, _ value: String) throws(Mistake) {
    switch key {
    case "cpus": cores = try Self.count(key, value, 1...8192)
    case "nofile": openFiles = try Self.count(key, value, 1...1 << 30)
    case "memlock": lockedMemory = value == "unlimited" ? nil : try Self.size(value)
    case "io_uring":
      switch value {
      case "yes": ioUring = true
      case "no": ioUring = false
      default: throw Mistake(description: "io_uring must be yes or no, not `\(value)`")
      }
    default:
      throw Mistake(description: "unknown key `\(key)`; the keys are cpus, nofile, memlock, io_uring")
    }
  }

  private static func count(_ key: String, _ text: String, _ range: ClosedRange<Int>) throws(Mistake) -> Int {
    guard let number = Int(text), range.contains(number) else {
      throw Mistake(
        description: "\(key) must be a whole number from \(range.lowerBound) to \(range.upperBound), not `\(text)`")
    }
    return number
  }

  private static func size(_ text: String) throws(Mistake) -> Int {
    do throws(Units.Mistake) {
      return try Units.size(text)
    } catch {
      throw Mistake(description: "memlock: `\(text)` \(error.reason)")
    }
  }
}
