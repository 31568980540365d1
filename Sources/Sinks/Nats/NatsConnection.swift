internal import CNats
import Glibc
import IO
import Synchronization

/// One connection of cnats, used on one thread: everything here may block, for no longer than the timeout of the settings.
final class NatsConnection {
  private let library: NatsLibrary
  private let settings: NatsSettings
  private let state: NatsState
  private let handle: OpaquePointer
  /// Made when a message wants to be acknowledged for the first time.
  private var stream: OpaquePointer?

  /// Connects, and from then on again whenever the connection breaks.
  init(_ library: NatsLibrary, _ settings: NatsSettings, _ state: NatsState) throws(ClientError) {
    self.library = library
    self.settings = settings
    self.state = state
    let options = try Self.makeOptions(library, settings, state)
    defer { library.functions.pointee.natsOptions_Destroy(options) }
    var handle: OpaquePointer?
    let status = library.functions.pointee.natsConnection_Connect(&handle, options)
    guard status == NATS_OK, let handle else {
      throw ClientError("nats \(settings.name): \(library.lastError(status))", isLocal: false)
    }
    self.handle = handle
    state.isConnected = true
  }

  deinit {
    if let stream { library.functions.pointee.jsCtx_Destroy(stream) }
    library.functions.pointee.natsConnection_Destroy(handle)
    state.isConnected = false
  }

  /// Finds out whether the library takes the settings; connects to nothing.
  static func check(_ library: NatsLibrary, _ settings: NatsSettings) throws(ClientError) {
    library.functions.pointee.natsOptions_Destroy(try makeOptions(library, settings, nil))
  }

  // MARK: Settings

  private static func makeOptions(
    _ library: NatsLibrary, _ settings: NatsSettings, _ state: NatsState?
  ) throws(ClientError) -> OpaquePointer {
    let functions = library.functions.pointee
    var made: OpaquePointer?
    guard functions.natsOptions_Create(&made) == NATS_OK, let options = made else {
      throw ClientError("nats: out of memory")
    }
    do throws(ClientError) {
      var servers = settings.servers.map { UnsafePointer(strdup($0)) }
      defer { for server in servers { free(UnsafeMutablePointer(mutating: server)) } }
      try check(library, "servers", functions.natsOptions_SetServers(options, &servers, Int32(servers.count)))
      try check(library, "name", functions.natsOptions_SetName(options, "xtcpd"))
      try check(library, "timeout", functions.natsOptions_SetTimeout(options, settings.timeout))
      // A server that is silent for 40 seconds has gone.
      try check(library, "ping", functions.natsOptions_SetPingInterval(options, 20_000))
      try check(library, "reconnect", functions.natsOptions_SetMaxReconnect(options, -1))
      try check(library, "reconnect", functions.natsOptions_SetReconnectWait(options, 500))
      try setUser(library, settings, options)
      if let tls = settings.tls { try setTLS(library, tls, options) }
      if let state { try setCallbacks(library, options, state) }
    } catch {
      functions.natsOptions_Destroy(options)
      throw error
    }
    return options
  }

  private static func check(_ library: NatsLibrary, _ what: String, _ status: natsStatus) throws(ClientError) {
    if status != NATS_OK { throw ClientError("nats: \(what): \(library.lastError(status))") }
  }

  private static func setUser(
    _ library: NatsLibrary, _ settings: NatsSettings, _ options: OpaquePointer
  ) throws(ClientError) {
    let functions = library.functions.pointee
    if let user = settings.user {
      try check(library, "user", functions.natsOptions_SetUserInfo(options, user.name, user.password))
    }
    if let token = settings.token { try check(library, "token", functions.natsOptions_SetToken(options, token)) }
    if let file = settings.credentials {
      guard access(file, R_OK) == 0 else {
        throw ClientError("nats: credentials_file: \(SystemError("open", errno: errno, context: file))")
      }
      try check(
        library, "credentials_file", functions.natsOptions_SetUserCredentialsFromFiles(options, file, nil))
    }
  }

  private static func setTLS(
    _ library: NatsLibrary, _ tls: NatsSettings.TLS, _ options: OpaquePointer
  ) throws(ClientError) {
    let functions = library.functions.pointee
    try check(library, "tls", functions.natsOptions_SetSecure(options, true))
    if let file = tls.caFile {
      try check(library, "tls.ca_file \(file)", functions.natsOptions_LoadCATrustedCertificates(options, file))
    }
    if let own = tls.certificate {
      try check(
        library, "tls.cert_file \(own.file)", functions.natsOptions_LoadCertificatesChain(options, own.file, own.key))
    }
    if let name = tls.serverName {
      try check(library, "tls.server_name", functions.natsOptions_SetExpectedHostname(options, name))
    } else {
      try check(library, "tls.verify", functions.natsOptions_SkipServerVerification(options, true))
    }
  }

  /// They are called on a thread of the library. The state outlives the connection.
  private static func setCallbacks(
    _ library: NatsLibrary, _ options: OpaquePointer, _ state: NatsState
  ) throws(ClientError) {
    let functions = library.functions.pointee
    let closure = Unmanaged.passUnretained(state).toOpaque()
    try check(
      library, "callback",
      functions.natsOptions_SetDisconnectedCB(options, { _, closure in NatsState.of(closure)?.lost() }, closure))
    try check(
      library, "callback",
      functions.natsOptions_SetReconnectedCB(
        options, { _, closure in NatsState.of(closure)?.isConnected = true }, closure))
    try check(
      library, "callback",
      functions.natsOptions_SetClosedCB(options, { _, closure in NatsState.of(closure)?.lost() }, closure))
    // Without one the library prints errors itself; they are found out by the calls.
    try check(library, "callback", functions.natsOptions_SetErrorHandler(options, { _, _, _, _ in }, nil))
  }

  // MARK: Publishing

  var isConnected: Bool { library.functions.pointee.natsConnection_Status(handle) == NATS_CONN_STATUS_CONNECTED }
  /// It connects no more by itself, as after a refused password.
  var isClosed: Bool { library.functions.pointee.natsConnection_Status(handle) == NATS_CONN_STATUS_CLOSED }

  /// Bytes of rows that fit in a message of this server, with headers beside them.
  var largestBody: Int {
    max(1, Int(library.functions.pointee.natsConnection_GetMaxPayload(handle)) - Self.headerRoom)
  }

  /// What a message has besides its rows, at most.
  private static let headerRoom = 2 << 10

  /// Publishes what has not arrived of a job.
  func publish(_ job: NatsJob) -> NatsJob.Outcome {
    if !job.isLimitKnown {
      job.limit = min(job.limit, largestBody)
      job.isLimitKnown = true
    }
    if !job.isAcknowledged { (job.settled, job.refusedRows, job.bytes) = (0, 0, 0) }
    var cutter = job.cutter()
    var index = 0
    while let message = cutter.next() {
      defer { index += 1 }
      guard index >= job.settled else { continue }
      if job.isCancelled { return failed(job, "called off") }
      if message.isTooLarge {
        job.refusedRows += message.rows.count
      } else if let problem = publish(message, index, job) {
        return problem
      }
      job.settled = index + 1
    }
    return job.isAcknowledged ? .arrived : confirm(job)
  }

  private func publish(_ message: BatchMessages.Message, _ index: Int, _ job: NatsJob) -> NatsJob.Outcome? {
    let functions = library.functions.pointee
    guard let made = make(message, index, job) else { return failed(job, "out of memory") }
    defer { functions.natsMsg_Destroy(made) }
    let status: natsStatus
    var code: Int32 = 0
    if job.isAcknowledged {
      guard let stream = openStream() else { return failed(job, "JetStream cannot be used") }
      status = cnats_publish_acknowledged(
        library.functions, stream, made, "\(job.batch.facts.id)-\(index)", settings.timeout, &code)
    } else {
      status = functions.natsConnection_PublishMsg(handle, made)
    }
    switch status {
    case NATS_OK:
      if job.isAcknowledged { job.arrivedRows += message.rows.count }
      job.bytes += message.byteCount
      return nil
    case NATS_MAX_PAYLOAD,
      NATS_ERR where code == Int32(JSStreamMessageExceedsMaximumErr.rawValue):
      job.refusedRows += message.rows.count
      return nil
    case NATS_NO_RESPONDERS: return failed(job, "no stream takes subject \(job.subject)")
    default: return failed(job, library.lastError(status))
    }
  }

  /// The rows that were published, core NATS: the server has read them once it answers what came after them.
  private func confirm(_ job: NatsJob) -> NatsJob.Outcome {
    let status = library.functions.pointee.natsConnection_FlushTimeout(handle, settings.timeout)
    guard status == NATS_OK else { return failed(job, library.lastError(status)) }
    var text: UnsafePointer<CChar>?
    if library.functions.pointee.natsConnection_GetLastError(handle, &text) == NATS_NOT_PERMITTED, let text {
      let words = String(cString: text)
      if words.contains("\"\(job.subject)\"") { return failed(job, words) }
    }
    job.arrivedRows = job.batch.rows - job.refusedRows
    return .arrived
  }

  private func failed(_ job: NatsJob, _ why: String) -> NatsJob.Outcome {
    .failed("nats \(settings.name): subject \(job.subject): \(why)")
  }

  private func openStream() -> OpaquePointer? {
    if stream == nil { _ = library.functions.pointee.natsConnection_JetStream(&stream, handle, nil) }
    return stream
  }

  /// A message of the library's, which copies the rows.
  private func make(_ message: BatchMessages.Message, _ index: Int, _ job: NatsJob) -> OpaquePointer? {
    let functions = library.functions.pointee
    let bytes = UnsafeRawBufferPointer(rebasing: job.batch.bytes[message.bytes])
    var made: OpaquePointer?
    var status = NATS_OK
    if let length = message.lengthPrefix {
      let whole = [UInt8](unsafeUninitializedCapacity: message.byteCount) { memory, count in
        let memory = UnsafeMutableRawBufferPointer(memory)
        let prefix = Uvarint.size(length)
        if let base = memory.baseAddress { Uvarint.put(length, at: base) }
        UnsafeMutableRawBufferPointer(rebasing: memory[prefix..<(prefix + bytes.count)]).copyMemory(from: bytes)
        count = prefix + bytes.count
      }
      status = whole.withUnsafeBytes { create(&made, job.subject, $0) }
    } else {
      status = create(&made, job.subject, bytes)
    }
    guard status == NATS_OK, let made else { return nil }
    for (name, value) in job.headers { _ = functions.natsMsgHeader_Set(made, name, value) }
    if message.rows.count < job.batch.rows { _ = functions.natsMsgHeader_Set(made, "part", String(index)) }
    return made
  }

  private func create(
    _ made: inout OpaquePointer?, _ subject: String, _ bytes: UnsafeRawBufferPointer
  ) -> natsStatus {
    library.functions.pointee.natsMsg_Create(
      &made, subject, nil, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count))
  }
}

/// What the library's callbacks tell.
final class NatsState: Sendable {
  private let connected = Atomic<Bool>(false)
  private let wasConnected = Atomic<Bool>(false)
  private let text = Mutex<String?>(nil)

  static func of(_ closure: UnsafeMutableRawPointer?) -> NatsState? {
    closure.map { Unmanaged<NatsState>.fromOpaque($0).takeUnretainedValue() }
  }

  var isConnected: Bool {
    get { connected.load(ordering: .relaxed) }
    set {
      connected.store(newValue, ordering: .relaxed)
      if newValue { trouble = nil }
    }
  }

  /// The connection broke, or was closed.
  func lost() {
    connected.store(false, ordering: .relaxed)
    text.withLock { if $0 == nil { $0 = "the connection is lost" } }
  }

  /// Why there is no connection.
  var trouble: String? {
    get { text.withLock { $0 } }
    set { text.withLock { $0 = newValue } }
  }
}
