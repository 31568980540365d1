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

      Exit code 1: the file does not hold together; the error names the byte, and what came before it has been printed.
      """)

  @Argument(help: "The file; - for standard input.")
  var file: String

  @Option(name: [.short, .long], help: "The format to print.")
  var format: OutputFormat = .record(.jsonl)

  @Option(name: [.short, .long], help: "The format of the file; auto looks at its first bytes.")
  var inputFormat: InputFormat = .auto

  @Option(
    name: [.short, .long], help: "Only these columns, in this order, separated by commas (table, csv, tsv).",
    transform: ColumnList.init(parsing:))
  var columns: ColumnList?

  @Option(
    help: ArgumentHelp(
      "The kernel a capture was taken on, as uname -r prints it; decides how the last bytes of tcp_info are read.",
      valueName: "release"))
  var kernel = ""

  func validate() throws { try columns?.validate(for: format) }

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
    var encoder = try RecordEncoder(
      format: format.recordFormat, columns: columns?.names, attributes: .all,
      host: HostIdentity(daemonVersion: BuildInfo.version, kernelRelease: kernel), pipeline: PipelineIdentity())
    try writeHeader(of: encoder)
    var decoder = RecordFileDecoder(kind: kind)
    var failure: SystemError?
    try decoder.decode(bytes, through: &encoder) { batch in
      do throws(SystemError) {
        try Streams.writeAll(batch, to: STDOUT_FILENO)
      } catch {
        failure = error
      }
      return failure == nil
    }
    if let failure { throw failure }
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
