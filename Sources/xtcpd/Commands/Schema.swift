import ArgumentParser
import Config
import Glibc
import IO
import Records

/// `xtcpd schema`: what is generated from the list of fields and the list of settings.
struct Schema: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints a schema generated from the same lists that the daemon works by.",
    discussion: """
      proto       the protobuf file of a record and its envelope
      clickhouse  tables for protobuf and for JSON lines, and a view that shows both alike
      fields      every field: number, type, unit, where the kernel has it from
      config      a JSON Schema of the configuration file, for editors and CI
      """)

  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case proto, clickhouse, fields, config
  }

  @Argument(help: "proto, clickhouse, fields or config.")
  var kind: Kind

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    var text =
      switch kind {
      case .proto: SchemaText.proto()
      case .clickhouse: SchemaText.clickhouse()
      case .fields: SchemaText.fieldsMarkdown()
      case .config: JSONSchema.text()
      }
    do {
      try text.withUTF8 { try Streams.writeAll(UnsafeRawBufferPointer($0), to: STDOUT_FILENO) }
    } catch let error as SystemError where error.errno == EPIPE {
      // The reader has seen enough.
    } catch {
      printError("standard output: \(error)")
      throw ExitCode.failure
    }
  }
}
