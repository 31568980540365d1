import ArgumentParser
import Config
import Glibc
import IO
import Records

/// `xtcpd decode`: records of binary formats, or a netlink capture, in another format on standard output.
struct Decode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Reads records or a netlink capture and prints them as JSON lines or in any other format.",
    discussion: """
      Reads what sinks wrote as protobuf_list, protobuf or msgpack, and captures of netlink messages (pcap, link type 253), taken with:
        ip link add nlmon0 type nlmon && ip link set nlmon0 up && tcpdump -i nlmon0 -w capture.pcap

      xtcpd decode sockets.pb | jq .
      xtcpd decode capture.pcap --format csv > sockets.csv
      xtcpd decode sockets.pb --format parquet > sockets.parquet

      Exit code 1: the file does not hold together; the error names the byte, and what came before it has been printed.
      """)

  @Argument(help: "The file; - for standard input.")
  var file: String

  @Option(name: [.short, .long], help: "The format to print.")
  var format: DecodeFormat = .rows(.record(.jsonl))

  @Option(name: [.short, .long], help: "The format of the file; auto looks at its first bytes.")
  var inputFormat: InputFormat = .auto

  @Option(
    name: [.short, .long], help: "Only these columns, in this order, separated by commas (table, csv, tsv, parquet).",
    transform: ColumnList.init(parsing:))
  var columns: ColumnList?

  @Option(
    help: ArgumentHelp(
      "The kernel a capture was taken on, as uname -r prints it; decides how the last bytes of tcp_info are read.",
      valueName: "release"))
  var kernel = ""

  func validate() throws {
    if case .rows(let format) = format { try columns?.validate(for: format) }
  }

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    do {
      let bytes = try Streams.readAll(path: file)
      try bytes.withUnsafeBytes { try decode($0) }
    } catch let error as SystemError where error.errno == EPIPE {
      // The reader has seen enough.
    } catch let error as SystemError {
      printError("\(error)")
      throw ExitCode.failure
    } catch let error as RecordFileError {
      printError("\(file): \(error)")
      throw ExitCode.failure
    }
  }

  private func decode(_ bytes: UnsafeRawBufferPointer) throws {
    guard let kind = inputFormat.kind ?? RecordFileKind.detect(bytes) else {
      if bytes.isEmpty { return }
      printError(
        "\(file): neither a record file nor a netlink capture that can be told by its first bytes; decode reads "
          + "\(RecordFileKind.allCases.map(\.rawValue).joined(separator: ", ")) (name it with --input-format), not text formats"
      )
      throw ExitCode.failure
    }
    switch format {
    case .rows(let format): try decode(bytes, kind, as: format)
    case .parquet: try decodeToParquet(bytes, kind)
    }
  }

  private func encoder(_ format: RecordFormat, columns: [String]?) throws -> RecordEncoder {
    try RecordEncoder(
      format: format, columns: columns, attributes: .all,
      host: HostIdentity(daemonVersion: BuildInfo.version, kernelRelease: kernel), pipeline: PipelineIdentity())
  }

  private func decode(_ bytes: UnsafeRawBufferPointer, _ kind: RecordFileKind, as format: OutputFormat) throws {
    var encoder = try encoder(format.recordFormat, columns: columns?.names)
    try writeHeader(of: encoder)
    var decoder = RecordFileDecoder(kind: kind)
    var failure: (any Error)?
    try decoder.decode(bytes, through: &encoder) { batch in
      do {
        try Streams.writeAll(batch, to: STDOUT_FILENO)
      } catch {
        failure = error
      }
      return failure == nil
    }
    if let failure { throw failure }
  }

  /// Through protobuf, of which sinks make Parquet too. What comes before an error is a complete Parquet file.
  private func decodeToParquet(_ bytes: UnsafeRawBufferPointer, _ kind: RecordFileKind) throws {
    var encoder = try encoder(.protobuf, columns: nil)
    var writer = try ParquetWriter(columns: columns?.names, version: BuildInfo.version)
    writer.begin()
    var decoder = RecordFileDecoder(kind: kind)
    var failure: (any Error)?
    do {
      try decoder.decode(bytes, through: &encoder) { batch in
        do {
          try writer.append(batch, .protobuf)
          try Self.flush(&writer)
        } catch {
          failure = error
        }
        return failure == nil
      }
    } catch {
      failure = error
    }
    if !(failure is SystemError) {
      try writer.finish()
      try Self.flush(&writer)
    }
    if let failure { throw failure }
  }

  private static func flush(_ writer: inout ParquetWriter) throws(SystemError) {
    try Streams.writeAll(writer.output, to: STDOUT_FILENO)
    writer.removeOutput(writer.output.count)
  }

  private func writeHeader(of encoder: borrowing RecordEncoder) throws(SystemError) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: encoder.maximumHeaderBytes, alignment: 1)
    defer { memory.deallocate() }
    let count = encoder.encodeHeader(into: memory)
    try Streams.writeAll(UnsafeRawBufferPointer(rebasing: memory[..<count]), to: STDOUT_FILENO)
  }
}

/// `auto`, or the kind of a file.
enum InputFormat: ExpressibleByArgument {
  case auto
  case named(RecordFileKind)

  init?(argument: String) {
    if argument == "auto" {
      self = .auto
    } else if let kind = RecordFileKind(rawValue: argument) {
      self = .named(kind)
    } else {
      return nil
    }
  }

  static let allValueStrings = ["auto"] + RecordFileKind.allCases.map(\.rawValue)

  /// Nil: look at the file.
  var kind: RecordFileKind? {
    switch self {
    case .auto: nil
    case .named(let kind): kind
    }
  }
}

/// A format that rows can be printed in one by one, or Parquet, which is a file as a whole.
enum DecodeFormat: ExpressibleByArgument {
  case rows(OutputFormat)
  case parquet

  init?(argument: String) {
    if argument == "parquet" {
      self = .parquet
    } else if let format = OutputFormat(argument: argument) {
      self = .rows(format)
    } else {
      return nil
    }
  }

  /// What `--help` shows, and what a user writes.
  var defaultValueDescription: String {
    switch self {
    case .rows(let format): format.defaultValueDescription
    case .parquet: "parquet"
    }
  }

  static let allValueStrings = OutputFormat.allValueStrings + ["parquet"]
}
