internal import CCurl
import Glibc
import IO

/// How a client reaches its server.
public struct HTTPOptions: Sendable, Equatable {
  /// Nanoseconds: for connecting, TLS included; for a whole request; without a byte in either direction.
  public var connectTimeout: Int64 = 10_000_000_000
  public var timeout: Int64 = 60_000_000_000
  public var stallTimeout: Int64 = 30_000_000_000
  /// Paths of PEM files; empty: those of the system, and none to show.
  public var caFile = ""
  public var certificateFile = ""
  public var keyFile = ""
  public var verifies = true
  /// `User-Agent`.
  public var agent = "xtcpd"

  public init() {}
}

/// Asks one server, one request at a time, over connections that are kept: a multi handle of libcurl (libcurl-multi(3)) whose sockets
/// are polled by the port and whose timer is `nextDeadline`. It never blocks; names are looked up on a short thread of libcurl's.
///
/// It belongs to one thread. Nothing is followed elsewhere: no redirect, no proxy of the environment, no protocol but HTTP.
final class HTTPClient {
  private let library: CurlLibrary
  private let options: HTTPOptions
  private var multi: UnsafeMutableRawPointer?
  private var easy: UnsafeMutableRawPointer?
  private var headers: UnsafeMutablePointer<curl_slist>?
  private var errorText: UnsafeMutablePointer<CChar>
  var watches: SocketWatches
  /// When libcurl wants to be called although nothing happens, monotonic nanoseconds.
  var timerAt: Int64?
  var body = RequestBody()
  /// What has come of the answer so far.
  var answer = HTTPAnswer()
  /// Bytes of header lines.
  var headerBytes = 0
  private var isDone = false
  private(set) var isBusy = false
  /// The answer to `takeAnswer`.
  private var isAnswered = false

  init(_ options: HTTPOptions, port: any Port, owner: UInt32) throws(HTTPSetupError) {
    library = try CurlLibrary()
    self.options = options
    watches = SocketWatches(port: port, owner: owner)
    errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    guard let multi = library.functions.pointee.curl_multi_init(),
      let easy = library.functions.pointee.curl_easy_init()
    else { throw HTTPSetupError("libcurl has no memory for a client") }
    (self.multi, self.easy) = (multi, easy)
    ccurl_set_driver(
      library.functions, multi, CurlCallbacks.socket, CurlCallbacks.timer, Unmanaged.passUnretained(self).toOpaque())
    // One server: what is kept open is at most what one request after the other needs.
    ccurl_set_multi_long(library.functions, multi, CURLMOPT_MAXCONNECTS, 2)
  }

  deinit {
    close(isTornDown: false)
    errorText.deallocate()
  }

  // MARK: Asking

  /// Begins a request. Its body, and the memory of it, stays until `takeAnswer`.
  func start(_ request: HTTPRequest, now: Int64) {
    guard let multi, let easy, !isBusy else { return }
    answer.body.clear()
    answer = HTTPAnswer(body: answer.body)
    (headerBytes, isDone, isAnswered, isBusy) = (0, false, false, true)
    configure(request, easy)
    let code = library.functions.pointee.curl_multi_add_handle(multi, easy)
    guard code == CURLM_OK else { return end(failure: "libcurl: \(library.text(code))") }
    // The timer has been set to "at once".
    resume(now: now)
  }

  private func configure(_ request: HTTPRequest, _ easy: UnsafeMutableRawPointer) {
    library.functions.pointee.curl_easy_reset(easy)
    freeHeaders()
    errorText.pointee = 0
    set(CURLOPT_ERRORBUFFER, pointer: UnsafeMutableRawPointer(errorText))
    set(CURLOPT_URL, request.url)
    set(CURLOPT_PROTOCOLS_STR, "http,https")
    set(CURLOPT_NOSIGNAL, 1)
    set(CURLOPT_QUICK_EXIT, 1)
    set(CURLOPT_FOLLOWLOCATION, 0)
    set(CURLOPT_PATH_AS_IS, 1)
    set(CURLOPT_PROXY, "")
    set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    set(CURLOPT_USERAGENT, options.agent)
    set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connectTimeout))
    set(CURLOPT_TIMEOUT_MS, milliseconds(options.timeout))
    set(CURLOPT_LOW_SPEED_LIMIT, 1)
    set(CURLOPT_LOW_SPEED_TIME, max(1, Int(options.stallTimeout / 1_000_000_000)))
    secure()
    let context = Unmanaged.passUnretained(self).toOpaque()
    set(CURLOPT_WRITEFUNCTION, CurlCallbacks.write, CURLOPT_WRITEDATA, context)
    set(CURLOPT_HEADERFUNCTION, CurlCallbacks.header, CURLOPT_HEADERDATA, context)
    switch request.kind {
    case .get: set(CURLOPT_HTTPGET, 1)
    case .connect: set(CURLOPT_CONNECT_ONLY, 1)
    case .upload(let method): upload(method, easy, context)
    }
    identify(request.login)
    for header in request.headers { add(header) }
    if case .aws = request.login {
      // libcurl 7.88 would sign a header that it takes out.
      set(CURLOPT_EXPECT_100_TIMEOUT_MS, 1000)
    } else {
      // No waiting for "100 Continue".
      add("Expect:")
    }
    set(CURLOPT_HTTPHEADER, pointer: headers.map(UnsafeMutableRawPointer.init))
  }

  private func secure() {
    set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    set(CURLOPT_SSL_VERIFYPEER, options.verifies ? 1 : 0)
    set(CURLOPT_SSL_VERIFYHOST, options.verifies ? 2 : 0)
    if !options.caFile.isEmpty {
      set(CURLOPT_CAINFO, options.caFile)
      // Those alone.
      set(CURLOPT_CAPATH, nil)
    }
    if !options.certificateFile.isEmpty {
      set(CURLOPT_SSLCERT, options.certificateFile)
      set(CURLOPT_SSLKEY, options.keyFile.isEmpty ? options.certificateFile : options.keyFile)
    }
  }

  private func upload(_ method: String, _ easy: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer) {
    body.rewind()
    set(CURLOPT_UPLOAD, 1)
    set(CURLOPT_CUSTOMREQUEST, method)
    ccurl_set_offset(library.functions, easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(body.byteCount))
    set(CURLOPT_READFUNCTION, CurlCallbacks.read, CURLOPT_READDATA, context)
    ccurl_set_seek_function(library.functions, easy, CurlCallbacks.seek)
    set(CURLOPT_SEEKDATA, pointer: context)
  }

  private func identify(_ login: HTTPLogin) {
    switch login {
    case .none: break
    case .basic(let user, let password):
      // libcurl's CURLAUTH_BASIC and so on are macros with casts, which Swift does not import: curl.h.
      set(CURLOPT_HTTPAUTH, 1 << 0)
      set(CURLOPT_USERNAME, user)
      set(CURLOPT_PASSWORD, password)
    case .bearer(let token):
      set(CURLOPT_HTTPAUTH, 1 << 6)
      set(CURLOPT_XOAUTH2_BEARER, token)
    case .aws(let credentials, let region):
      set(CURLOPT_AWS_SIGV4, "aws:amz:\(region):s3")
      set(CURLOPT_USERNAME, credentials.accessKey)
      set(CURLOPT_PASSWORD, credentials.secretKey)
    }
  }

  // MARK: Driving

  /// When `resume` has something to do; monotonic nanoseconds.
  var nextDeadline: Int64? {
    // Polls that the port had no room for are tried again soon.
    watches.isWaiting ? min(timerAt ?? .max, MonotonicTime.now().nanoseconds + 5_000_000) : timerAt
  }

  func resume(now: Int64) {
    if watches.isWaiting { watches.arm() }
    // What is due at once is done at once; should libcurl go on and on, the loop has its turn.
    for _ in 0..<8 {
      guard let due = timerAt, due <= max(now, MonotonicTime.now().nanoseconds), isBusy else { break }
      timerAt = nil
      act(-1, 0)
    }
  }

  /// A completion of one of its polls.
  func handle(_ completion: consuming Completion) {
    let ended = watches.ended(completion.token, completion.result)
    if let ended { act(ended.socket, ended.ready) }
    watches.arm()
  }

  /// - Parameter socket: -1 (CURL_SOCKET_TIMEOUT): its time has come.
  private func act(_ socket: Int32, _ ready: Int32) {
    guard let multi else { return }
    var running: Int32 = 0
    let code = library.functions.pointee.curl_multi_socket_action(multi, socket, ready, &running)
    guard isBusy else { return }
    if code != CURLM_OK { return end(failure: "libcurl: \(library.text(code))") }
    var result = CURLE_OK
    while ccurl_next_done(library.functions, multi, &result) { finish(result) }
  }

  private func finish(_ result: CURLcode) {
    guard let easy, isBusy else { return }
    answer.status = ccurl_get_long(library.functions, easy, CURLINFO_RESPONSE_CODE)
    if result == CURLE_OK { return end(failure: nil) }
    answer.isUnreached = ccurl_get_long(library.functions, easy, CURLINFO_REQUEST_SIZE) == 0
    var detail = String(cString: errorText)
    if detail.isEmpty { detail = library.text(result) }
    // Why, which the text leaves out.
    let cause = result == CURLE_COULDNT_CONNECT ? ccurl_get_long(library.functions, easy, CURLINFO_OS_ERRNO) : 0
    if cause > 0, let text = strerror(Int32(cause)) { detail += " (\(String(cString: text)))" }
    end(failure: detail)
  }

  private func end(failure: String?) {
    if let multi, let easy { _ = library.functions.pointee.curl_multi_remove_handle(multi, easy) }
    if let failure { answer.failure = failure }
    isBusy = false
    isAnswered = true
  }

  /// What became of the request, once.
  func takeAnswer() -> HTTPAnswer? {
    guard isAnswered else { return nil }
    isAnswered = false
    return answer
  }

  /// Ends the request under way with its connection.
  func cancel() {
    guard isBusy else { return }
    answer.isUnreached = false
    end(failure: "cancelled")
  }

  /// No completion comes any more of what is over.
  var isQuiet: Bool { watches.isQuiet }

  /// Lets go of everything.
  ///
  /// - Parameter isTornDown: the port has been torn down.
  func close(isTornDown: Bool) {
    // libcurl calls back while it closes its sockets.
    watches.close(isTornDown: isTornDown)
    if let multi {
      if isBusy, let easy { _ = library.functions.pointee.curl_multi_remove_handle(multi, easy) }
      _ = library.functions.pointee.curl_multi_cleanup(multi)
    }
    if let easy { library.functions.pointee.curl_easy_cleanup(easy) }
    (multi, easy, timerAt, isBusy, isAnswered) = (nil, nil, nil, false, false)
    freeHeaders()
  }
}

// MARK: Options

extension HTTPClient {
  private func set(_ option: CURLoption, _ value: Int) {
    if let easy { ccurl_set_long(library.functions, easy, option, value) }
  }

  private func set(_ option: CURLoption, _ value: String?) {
    if let easy { ccurl_set_text(library.functions, easy, option, value) }
  }

  private func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer?) {
    if let easy { ccurl_set_pointer(library.functions, easy, option, pointer) }
  }

  private func set(
    _ option: CURLoption, _ function: ccurl_data_function, _ contextOption: CURLoption,
    _ context: UnsafeMutableRawPointer
  ) {
    if let easy { ccurl_set_data_function(library.functions, easy, option, function) }
    set(contextOption, pointer: context)
  }

  private func add(_ header: String) {
    if let list = library.functions.pointee.curl_slist_append(headers, header) { headers = list }
  }

  private func freeHeaders() {
    if let headers { library.functions.pointee.curl_slist_free_all(headers) }
    headers = nil
  }

  private func milliseconds(_ nanoseconds: Int64) -> Int { max(1, Int(nanoseconds / 1_000_000)) }
}
