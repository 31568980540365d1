import Glibc
import Synchronization

/// A sink that uses a client, whichever loop it is on.
final class ClientMember: Sendable {
  /// The sink's name, for messages.
  let sink: String
  /// Makes the sink's loop call `Sink.resume` soon; called from any thread.
  let wake: @Sendable () -> Void

  init(sink: String, wake: @escaping @Sendable () -> Void) {
    self.sink = sink
    self.wake = wake
  }
}

/// Whether a client can be used.
enum ClientCondition: Equatable {
  case working
  /// It has failed for good; another one may do better.
  case broken(String)
  /// It was stopped because it needs so many threads.
  case overdrawn(needed: Int, String)
}

/// A client of a library that sinks of several pipelines share. Its threads are the library's.
protocol SharedClient: AnyObject, Sendable {
  var condition: ClientCondition { get }
  func add(_ member: ClientMember)
  /// True if it was the last one.
  func remove(_ member: ClientMember) -> Bool
  /// Lets go of everything without waiting for it. Called once there is no member, or when it is broken; a second time does nothing.
  func close()
}

/// Why there is no client: a sentence for people.
public struct ClientError: Error, CustomStringConvertible {
  public let description: String
  /// The library is not there or refuses the settings, which a later attempt does not mend.
  public let isLocal: Bool

  init(_ description: String, isLocal: Bool = true) {
    self.description = description
    self.isLocal = isLocal
  }
}

/// The clients of the process: one for each set of connection settings, for as long as a sink uses it.
///
/// A sink joins when it is made and leaves when it goes. Since a reload makes what is new before what was goes, a client whose
/// settings stay is the same one before and after.
public final class ClientRegistry: Sendable {
  public let threads: LibraryThreads
  private let clients = Mutex<[String: any SharedClient]>([:])

  public init(libraryThreads: Int) { threads = LibraryThreads(limit: libraryThreads) }

  /// Clients in use.
  public var count: Int { clients.withLock { $0.count } }

  /// The client of a name, made if there is none that works.
  ///
  /// - Parameters:
  ///   - key: names the library and all connection settings. Holds secrets: never shown.
  ///   - make: called with the registry locked; it must not wait for a peer.
  func join<Client: SharedClient>(
    _ key: String, _ member: ClientMember, make: () throws(ClientError) -> Client
  ) throws(ClientError) -> Client {
    let result: Result<Client, ClientError> = clients.withLock { clients in
      if let present = clients[key] as? Client {
        switch present.condition {
        case .working:
          present.add(member)
          return .success(present)
        case .overdrawn(let needed, let why) where threads.limit - threads.running < needed:
          return .failure(ClientError(why, isLocal: false))
        case .broken, .overdrawn: present.close()
        }
      }
      do throws(ClientError) {
        let client = try make()
        client.add(member)
        clients[key] = client
        return .success(client)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// Waits for the threads of clients that nobody uses any more, at the end of the process: a library must not be unloaded under
  /// them. Not for longer than that: one may be waiting for a name server.
  ///
  /// - Parameter milliseconds: at most.
  public func waitUntilClosed(milliseconds: Int) {
    for _ in 0..<milliseconds where threads.ofClients > 0 { usleep(1_000) }
  }

  /// The member uses the client no longer; the last one closes it.
  func leave(_ key: String, _ client: some SharedClient, _ member: ClientMember) {
    let isLast = clients.withLock { clients in
      guard client.remove(member) else { return false }
      if clients[key] === client { clients[key] = nil }
      return true
    }
    if isLast { client.close() }
  }
}

/// Who uses a client, in the order in which they came. The first one serves it: takes what it brings for all of them.
struct ClientMembers {
  private var members: [ClientMember] = []

  var first: ClientMember? { members.first }
  /// The names of the sinks, each once.
  var sinks: [String] { members.reduce(into: []) { if !$0.contains($1.sink) { $0.append($1.sink) } } }

  mutating func add(_ member: ClientMember) {
    if !members.contains(where: { $0 === member }) { members.append(member) }
  }

  /// The one that serves from now on, if that has changed, and whether nobody is left.
  mutating func remove(_ member: ClientMember) -> (successor: ClientMember?, isEmpty: Bool) {
    let served = members.first === member
    members.removeAll { $0 === member }
    return (served ? members.first : nil, members.isEmpty)
  }
}
