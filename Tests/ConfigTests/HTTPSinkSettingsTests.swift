import Testing

@testable import Config

@Suite struct HTTPSinkSettingsTests {
  @Test(arguments: [
    "http://a", "https://a.example:8443/rows?x=y", "http://127.0.0.1:80", "https://[::1]:443/", "http://a?b",
  ])
  func urlsThatAreSound(_ url: String) { #expect(HTTPURL.isSound(url)) }

  @Test(arguments: [
    "", "a", "ftp://a", "http://", "http://u:p@a/", "http://a/#f", "http://a b", "http://a:0", "http://a:99999",
    "http://[::g]/", "http://a\\@b/", "HTTP://a", "http://a/\u{e9}", "file:///etc/passwd",
  ])
  func urlsThatAreNot(_ url: String) { #expect(!HTTPURL.isSound(url)) }

  @Test func namesOfHeaders() {
    #expect(HTTPHeader.isName("X-A.b_1"))
    for name in ["", "a b", "a:", "a\r", "ü", String(repeating: "a", count: 129)] { #expect(!HTTPHeader.isName(name)) }
    #expect(HTTPHeader.isReserved("Content-length") && !HTTPHeader.isReserved("Content-Type"))
  }

  /// What is said of a sink with these settings, without the place.
  private func problems(_ sink: String) -> [String] {
    diagnose("version: 1\npipelines: { p: { sinks: { o: { \(sink) } } } }\n").map {
      String($0.split(separator: ":", maxSplits: 2)[2].dropFirst())
    }
  }

  @Test func whatIsWrongIsSaid() {
    let http = "type: http, url: \"https://a\""
    #expect(problems(http).isEmpty)
    #expect(problems("type: http")[0].contains("needs `url`"))
    #expect(problems("type: http, url: \"ftp://a\"")[0].contains("a URL such as"))
    #expect(problems("\(http), headers: { Host: b }")[0].contains("`Host` is set for each request"))
    #expect(problems("\(http), headers: { \"a b\": c }")[0].contains("is no name of a header"))
    #expect(problems("\(http), headers: { a: \"b\\nc\" }")[0].contains("control character"))
    #expect(problems("\(http), bearer_token: t, password: p")[0].contains("stands in place of"))
    #expect(problems("type: http, url: \"http://a\", tls: { ca_file: /x }")[0].contains("`tls` is for https"))
    #expect(problems("\(http), tls: { key_file: /x }")[0].contains("needs `tls.cert_file`"))
    #expect(problems("\(http), format: parquet")[0].contains("does not write parquet"))
  }

  @Test func whatIsWrongWithClickHouseIsSaid() {
    let sink = "type: clickhouse, url: \"http://a:8123\""
    #expect(problems(sink).isEmpty)
    #expect(problems("\(sink), format: csv")[0].contains("use one of protobuf_list, jsonl"))
    #expect(problems("\(sink), settings: { wait_for_async_insert: \"0\" }")[0].contains("said by the sink itself"))
    #expect(problems("\(sink), settings: { \"a=b\": \"0\" }")[0].contains("is no name of a setting"))
    #expect(problems("\(sink), batch: { bytes: 128MiB }")[0].contains("more than `queue.bytes` (64MiB)"))
  }

  @Test func whatIsWrongWithS3IsSaid() {
    let sink = "type: s3, region: r, bucket: bucket, access_key: a, secret_key: b"
    #expect(problems(sink).isEmpty)
    #expect(problems("type: s3, region: r, bucket: bucket, access_key: a")[0].contains("needs `secret_key`"))
    #expect(problems("\(sink), endpoint: \"http://a/b\"")[0].contains("without a path"))
    #expect(problems("\(sink), prefix: \"{day}\"")[0].contains("not known"))
    #expect(problems("\(sink), format: parquet, compression: zstd")[0].contains("compressed with zstd as they are"))
    #expect(problems("type: s3, region: \"a/b\", bucket: bucket, access_key: a, secret_key: b")[0].contains("a name"))
  }

  @Test func typesHaveDefaultsOfTheirOwn() throws {
    let text = "version: 1\npipelines: { p: { sinks: { o: { type: clickhouse, url: \"http://a\" } } } }\n"
    let sink = try #require(read(text).settings?.pipelines.first?.sinks.first)
    #expect(sink.format == .protobufList && sink.queue.bytes == 64 << 20 && sink.gather.bytes == 8 << 20)
    #expect(sink.gather.maxAge == .seconds(30))
  }
}
