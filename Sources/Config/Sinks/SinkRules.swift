/// The rules that concern more than one setting of a sink.
enum SinkRules {
  /// Reports every rule that is broken.
  ///
  /// - Parameters:
  ///   - node: what any file says of the sink, for the marks.
  ///   - entry: names it and says where.
  static func check(
    _ settings: SinkSettings, _ type: SinkType, _ node: Node, _ entry: Node.Entry, _ reading: inout Reading
  ) {
    checkFormat(settings, type, node, entry, &reading)
    HTTPRules.check(settings, node, &reading)
    if case .file(let file) = settings.kind { checkFile(file, settings, node, &reading) }
    checkTLS(settings, node, &reading)
    if case .kafka(let kafka) = settings.kind { checkKafka(kafka, node, entry, &reading) }
    if case .nats(let nats) = settings.kind { checkNats(nats, settings.tls, node, entry, &reading) }
    if case .valkey(let valkey) = settings.kind { checkValkey(valkey, node, entry, &reading) }
  }

  /// Not every destination takes every format.
  private static func checkFormat(
    _ settings: SinkSettings, _ type: SinkType, _ node: Node, _ entry: Node.Entry, _ reading: inout Reading
  ) {
    guard !type.formats.contains(settings.format), node.entry("format")?.value.isUnresolved != true else { return }
    let mark = node.node(at: "format")?.mark ?? entry.keyMark
    if reading.problems.hasError(at: mark) { return }
    let names = type.formats.map(\.rawValue).joined(separator: ", ")
    reading.problems.error(
      mark, "a sink of type `\(type.name)` does not write \(settings.format.rawValue); use one of \(names)")
  }

  /// What is written as a whole is neither appended to nor compressed again.
  private static func checkFile(
    _ file: FileSinkSettings, _ settings: SinkSettings, _ node: Node, _ reading: inout Reading
  ) {
    guard settings.format == .parquet, file.compression != .none, let mark = node.node(at: "compression")?.mark else {
      return
    }
    reading.problems.error(
      mark, "`compression` is for the other formats: columns of parquet are compressed with zstd as they are")
  }

  /// A certificate without its key is of no use, and neither is a key without its certificate.
  private static func checkTLS(_ settings: SinkSettings, _ node: Node, _ reading: inout Reading) {
    let tls = settings.tls
    for (key, has, other, lacks) in [
      ("tls.cert_file", !tls.certificateFile.isEmpty, "tls.key_file", tls.keyFile.isEmpty),
      ("tls.key_file", !tls.keyFile.isEmpty, "tls.cert_file", tls.certificateFile.isEmpty),
    ] where has && lacks {
      guard let place = node.node(at: key), node.node(at: other) == nil else { continue }
      reading.problems.error(place.mark, "`\(key)` needs `\(other)`")
    }
  }

  // Where a secret is concerned, the sink is the place: an excerpt would show the secret's line.

  private static func checkKafka(
    _ kafka: KafkaSinkSettings, _ node: Node, _ entry: Node.Entry, _ reading: inout Reading
  ) {
    for key in ["sasl.username", "sasl.password"] {
      let isThere = node.node(at: key) != nil
      if kafka.mechanism != .none, !isThere {
        reading.problems.error(entry.keyMark, "`sasl.mechanism` \(kafka.mechanism.rawValue) needs `\(key)`")
      }
      if kafka.mechanism == .none, isThere, node.node(at: "sasl.mechanism")?.scalar?.isUnresolved != true {
        reading.problems.error(
          entry.keyMark,
          "`\(key)` is not used without `sasl.mechanism`; set it to plain, scram_sha_256 or scram_sha_512")
      }
    }
  }

  private static func checkNats(
    _ nats: NatsSinkSettings, _ tls: TLSSettings, _ node: Node, _ entry: Node.Entry, _ reading: inout Reading
  ) {
    for (key, other) in [("user", "password"), ("password", "user")] {
      guard node.node(at: key) != nil, node.node(at: other) == nil else { continue }
      reading.problems.error(entry.keyMark, "`\(key)` needs `\(other)`")
    }
    let ways = ["user", "token", "credentials_file"].filter { node.node(at: $0) != nil }
    if ways.count > 1 {
      reading.problems.error(entry.keyMark, "`\(ways[1])` and `\(ways[0])` exclude each other")
    }
    // The library checks one name for all servers, also for those that it learns of.
    guard tls.isEnabled, tls.verifies, tls.serverName.isEmpty, node.node(at: "tls.server_name") == nil,
      Set(nats.servers.map(\.host)).count > 1, let place = node.node(at: "servers")
    else { return }
    reading.problems.error(
      place.mark, "several servers with `tls` need `tls.server_name`: the one name that all their certificates carry")
  }

  private static func checkValkey(
    _ valkey: ValkeySinkSettings, _ node: Node, _ entry: Node.Entry, _ reading: inout Reading
  ) {
    if node.node(at: "username") != nil, node.node(at: "password") == nil {
      reading.problems.error(entry.keyMark, "`username` needs `password`")
    }
    if valkey.command == .publish, let place = node.node(at: "max_length") {
      reading.problems.error(place.mark, "`max_length` is of streams; `command: publish` keeps nothing")
    }
  }
}
