/// What client libraries take: a client for each set of connection settings, whatever the number of its sinks.
public struct LibraryGrant: Sendable, Equatable {
  /// The clients of one library.
  public struct Part: Sendable, Equatable {
    public var library: String
    public var clients = 0
    /// Those of the clients, at least: a cluster may turn out to have more brokers than are configured.
    public var clientThreads = 0
    /// Those that the library starts beside, once.
    public var sharedThreads = 0
    public var descriptors = 0

    public var threads: Int { clientThreads + sharedThreads }
  }

  /// In the order in which the configuration names them.
  public var parts: [Part] = []

  public var threads: Int { parts.reduce(0) { $0 + $1.threads } }
  public var descriptors: Int { parts.reduce(0) { $0 + $1.descriptors } }

  public init() {}

  init(of pipelines: [PipelineSettings]) {
    var clients: Set<String> = []
    for demand in pipelines.flatMap(\.sinks).compactMap(\.libraryDemand) {
      let index = parts.firstIndex { $0.library == demand.library } ?? parts.count
      if index == parts.count { parts.append(Part(library: demand.library)) }
      parts[index].sharedThreads = max(parts[index].sharedThreads, demand.sharedThreads)
      guard clients.insert(demand.client).inserted else { continue }
      parts[index].clients += 1
      parts[index].clientThreads += demand.threads
      parts[index].descriptors += demand.descriptors
    }
  }

  /// `12 librdkafka (4 clients) + 7 cnats (2 clients 4, shared 3)`.
  var sum: String {
    parts.map { part in
      let clients = "\(part.clients) client\(part.clients == 1 ? "" : "s")"
      switch (part.clientThreads, part.sharedThreads) {
      case (_, 0): return "\(part.threads) \(part.library) (\(clients))"
      case (0, _): return "\(part.threads) \(part.library) (shared)"
      case (let own, let shared): return "\(part.threads) \(part.library) (\(clients) \(own), shared \(shared))"
      }
    }.joined(separator: " + ")
  }
}
