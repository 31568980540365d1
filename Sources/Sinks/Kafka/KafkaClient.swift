internal import CRdkafka
import Glibc
import IO
import Synchronization

/// A producer that sinks of several pipelines share.
///
/// Threads: one of librdkafka's own and one a broker, the one for brokers unknown included; none for callbacks. What it brings
/// (delivery reports, errors) waits in its queue, of which a thread of the library tells the first member; that one's loop takes it
/// in `serve`.
final class KafkaClient: SharedClient {
  let settings: KafkaSettings
  let library: KafkaLibrary
  private let events: KafkaEvents
  private nonisolated(unsafe) let handle: OpaquePointer
  /// Callers that use the handle now; once it is closing nobody begins to.
  private let users = Atomic<Int>(0)
  private let isClosing = Atomic<Bool>(false)
  private let ending = Mutex<ClientCondition>(.working)

  /// How long after too many threads were started it waits to learn how many there are in all.
  private static let countingTime: Int64 = 200_000_000

  init(_ settings: KafkaSettings, _ threads: LibraryThreads) throws(ClientError) {
    self.settings = settings
    library = try KafkaLibrary.load()
    events = KafkaEvents(ClientThreads(threads))
    handle = try Self.makeHandle(library, settings, events)
    let queue = library.functions.pointee.rd_kafka_queue_get_main(handle)
    library.functions.pointee.rd_kafka_queue_cb_event_enable(
      queue, { _, opaque in KafkaEvents.of(opaque)?.wakeServer() }, Unmanaged.passUnretained(events).toOpaque())
    library.functions.pointee.rd_kafka_queue_destroy(queue)
  }

  private static func makeHandle(
    _ library: KafkaLibrary, _ settings: KafkaSettings, _ events: KafkaEvents
  ) throws(ClientError) -> OpaquePointer {
    let functions = library.functions.pointee
    guard let configuration = functions.rd_kafka_conf_new() else { throw ClientError("kafka: out of memory") }
    do throws(ClientError) {
      for (name, value) in settings.properties { try set(functions, configuration, name, value, isSecret: false) }
      for (name, value) in settings.secrets { try set(functions, configuration, name, value, isSecret: true) }
    } catch {
      functions.rd_kafka_conf_destroy(configuration)
      throw error
    }
    // Given back when the handle has been destroyed: until then the library may call.
    let opaque = Unmanaged.passRetained(events)
    functions.rd_kafka_conf_set_opaque(configuration, opaque.toOpaque())
    functions.rd_kafka_conf_set_dr_msg_cb(configuration) { _, message, _ in
      if let message { KafkaMessages.report(message.pointee) }
    }
    functions.rd_kafka_conf_set_error_cb(configuration) { _, code, reason, opaque in
      KafkaEvents.of(opaque)?.failed(rd_kafka_resp_err_t(code), reason.map(String.init(cString:)) ?? "")
    }
    // Its log lines are not ours to print; what matters comes as an error.
    functions.rd_kafka_conf_set_log_cb(configuration) { _, _, _, _ in }
    _ = functions.rd_kafka_conf_interceptor_add_on_new(configuration, "xtcpd", countThreads, opaque.toOpaque())
    var text = [CChar](repeating: 0, count: 512)
    guard let handle = functions.rd_kafka_new(RD_KAFKA_PRODUCER, configuration, &text, text.count) else {
      functions.rd_kafka_conf_destroy(configuration)
      opaque.release()
      throw ClientError("kafka \(settings.servers): \(Self.string(text))")
    }
    return handle
  }

  private static func set(
    _ functions: crdkafka, _ configuration: OpaquePointer, _ name: String, _ value: String, isSecret: Bool
  ) throws(ClientError) {
    var text = [CChar](repeating: 0, count: 512)
    let result = functions.rd_kafka_conf_set(configuration, name, value, &text, text.count)
    guard result == RD_KAFKA_CONF_OK else {
      throw ClientError("kafka: \(name): \(isSecret ? "the value is refused" : string(text))")
    }
  }

  private static func string(_ text: [CChar]) -> String {
    String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  // MARK: Members

  func add(_ member: ClientMember) { events.members.withLock { $0.add(member) } }

  func remove(_ member: ClientMember) -> Bool {
    let (successor, isEmpty) = events.members.withLock { $0.remove(member) }
    successor?.wake()
    return isEmpty
  }

  /// Takes what the client brings, if that is this member's task.
  ///
  /// Returns when it wants to be served again although nothing comes.
  func serve(_ member: ClientMember, now: Int64) -> Int64? {
    guard events.members.withLock({ $0.first === member }) else { return nil }
    _ = use { library.functions.pointee.rd_kafka_poll($0, 0) }
    guard let since = events.threads.overdrawnAt, condition == .working else { return nil }
    if now < since + Self.countingTime { return since + Self.countingTime }
    stopForThreads()
    return nil
  }

  private func stopForThreads() {
    let needed = events.threads.running
    let sinks = events.members.withLock { $0.sinks }.joined(separator: ", ")
    let why =
      "kafka client of sink(s) \(sinks): the cluster has \(max(0, needed - 2)) brokers, which needs \(needed) library threads "
      + "of which \(events.threads.left) are left; raise resources.library_threads"
    end(.overdrawn(needed: needed, why))
    close()
  }

  private func end(_ condition: ClientCondition) { ending.withLock { if $0 == .working { $0 = condition } } }

  // MARK: State

  var condition: ClientCondition {
    if let fatal = events.fatal { end(.broken("kafka \(settings.servers): \(fatal)")) }
    return ending.withLock { $0 }
  }

  /// Why no broker can be reached, or why the client was stopped; nil: nothing is wrong.
  var trouble: String? {
    switch condition {
    case .working: events.unreachable.map { "kafka \(settings.servers): \($0)" }
    case .broken(let why), .overdrawn(_, let why): why
    }
  }

  /// What was last heard of a broker that does not work.
  var lastError: String? { events.lastError }

  /// A broker has answered.
  var isReachable: Bool { use { library.functions.pointee.rd_kafka_controllerid($0, 0) >= 0 } ?? false }

  /// Something has arrived.
  func succeeded() { events.succeeded() }

  /// Threads that the library has started for it and that run.
  var threadCount: Int { events.threads.running }

  /// Uses the handle; nil if there is none any more.
  func use<Result>(_ body: (OpaquePointer) -> Result) -> Result? {
    users.add(1, ordering: .sequentiallyConsistent)
    defer { users.subtract(1, ordering: .sequentiallyConsistent) }
    guard !isClosing.load(ordering: .sequentiallyConsistent) else { return nil }
    return body(handle)
  }

  // MARK: Closing

  /// Ends on a thread of its own: rd_kafka_destroy(3) waits for threads that may be asking a name server. What is under way comes
  /// back as failed.
  func close() {
    guard isClosing.exchange(true, ordering: .sequentiallyConsistent) == false else { return }
    do throws(SystemError) {
      _ = try WorkerThread(name: "kafka-close") { [self] in destroy() }
    } catch {
      // No thread for it: the client stays for the life of the process, idle.
    }
  }

  private func destroy() {
    while users.load(ordering: .sequentiallyConsistent) > 0 { usleep(1_000) }
    let functions = library.functions.pointee
    _ = functions.rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
    _ = functions.rd_kafka_flush(handle, 2_000)
    functions.rd_kafka_destroy(handle)
    Unmanaged.passUnretained(events).release()
  }
}

/// What the library's threads and callbacks tell, and to whom.
final class KafkaEvents: Sendable {
  struct Trouble {
    var lastError: String?
    /// No broker can be reached.
    var unreachable: String?
    /// The producer cannot go on.
    var fatal: String?
  }

  let threads: ClientThreads
  let members = Mutex<ClientMembers>(ClientMembers())
  private let trouble = Mutex<Trouble>(Trouble())

  init(_ threads: ClientThreads) { self.threads = threads }

  static func of(_ opaque: UnsafeMutableRawPointer?) -> KafkaEvents? {
    opaque.map { Unmanaged<KafkaEvents>.fromOpaque($0).takeUnretainedValue() }
  }

  var lastError: String? { trouble.withLock { $0.lastError } }
  var unreachable: String? { trouble.withLock { $0.unreachable } }
  var fatal: String? { trouble.withLock { $0.fatal } }

  func wakeServer() { members.withLock { $0.first }?.wake() }

  func succeeded() {
    trouble.withLock { trouble in
      guard trouble.lastError != nil || trouble.unreachable != nil else { return }
      (trouble.lastError, trouble.unreachable) = (nil, nil)
    }
  }

  func failed(_ code: rd_kafka_resp_err_t, _ reason: String) {
    trouble.withLock { trouble in
      switch code {
      case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN: trouble.unreachable = trouble.lastError ?? reason
      case RD_KAFKA_RESP_ERR__FATAL: trouble.fatal = reason
      default: trouble.lastError = reason
      }
    }
  }

  func threadStarted() { if threads.started(now: MonotonicTime.now().nanoseconds) { wakeServer() } }
  func threadEnded() { threads.ended() }
}

/// Has every thread of a new client counted (rd_kafka_interceptor_f_on_new_t).
private func countThreads(
  _ handle: OpaquePointer?, _ configuration: OpaquePointer?, _ opaque: UnsafeMutableRawPointer?,
  _ error: UnsafeMutablePointer<CChar>?, _ size: Int
) -> rd_kafka_resp_err_t {
  var text = [CChar](repeating: 0, count: 256)
  guard let functions = crdkafka_load(&text, text.count) else { return RD_KAFKA_RESP_ERR__FAIL }
  _ = functions.pointee.rd_kafka_interceptor_add_on_thread_start(
    handle, "xtcpd",
    { _, _, _, opaque in
      KafkaEvents.of(opaque)?.threadStarted()
      return RD_KAFKA_RESP_ERR_NO_ERROR
    }, opaque)
  _ = functions.pointee.rd_kafka_interceptor_add_on_thread_exit(
    handle, "xtcpd",
    { _, _, _, opaque in
      KafkaEvents.of(opaque)?.threadEnded()
      return RD_KAFKA_RESP_ERR_NO_ERROR
    }, opaque)
  return RD_KAFKA_RESP_ERR_NO_ERROR
}
