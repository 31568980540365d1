/// The rules between settings of sinks that send requests.
enum HTTPRules {
  /// Reports every rule that is broken.
  ///
  /// - Parameter node: what any file says of the sink, for the marks.
  static func check(_ settings: SinkSettings, _ node: Node, _ reading: inout Reading) {
    switch settings.kind {
    case .http(let http):
      checkTLS(settings, http.url, "url", node, &reading)
      checkLogin(http, node, &reading)
    case .clickHouse(let clickHouse): checkTLS(settings, clickHouse.url, "url", node, &reading)
    case .s3(let s3):
      checkTLS(settings, s3.server, "endpoint", node, &reading)
      if settings.format == .parquet, s3.compression != .none, let mark = node.node(at: "compression")?.mark {
        reading.problems.error(
          mark, "`compression` is for the other formats: columns of parquet are compressed with zstd as they are")
      }
    default: return
    }
    if settings.gather.bytes > settings.queue.bytes, let mark = node.node(at: "batch.bytes")?.mark {
      reading.problems.warning(
        mark,
        "`batch.bytes` is more than `queue.bytes` (\(Units.text(bytes: settings.queue.bytes))): what is gathered goes "
          + "when the queue is full")
    }
  }

  /// Who asks is one of two.
  private static func checkLogin(_ http: HTTPSinkSettings, _ node: Node, _ reading: inout Reading) {
    guard !http.bearerToken.isEmpty, !http.username.isEmpty || !http.password.isEmpty,
      let mark = node.entry("bearer_token")?.keyMark
    else { return }
    reading.problems.error(mark, "`bearer_token` stands in place of `username` and `password`; remove one of them")
  }

  private static func checkTLS(
    _ settings: SinkSettings, _ url: String, _ key: String, _ node: Node, _ reading: inout Reading
  ) {
    if url.hasPrefix("http://"), let tls = node.entry("tls"), !tls.value.isNull {
      reading.problems.error(tls.keyMark, "`tls` is for https; the `\(key)` of this sink begins with http://")
    }
    if !settings.tls.keyFile.isEmpty, settings.tls.certificateFile.isEmpty,
      let mark = node.node(at: "tls.key_file")?.mark
    {
      reading.problems.error(mark, "`tls.key_file` needs `tls.cert_file`, the certificate that it is the key of")
    }
  }
}
