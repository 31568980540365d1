import FoundationEssentials
import Pipelines

// What goes over the control socket: one JSON object a line each way. docs/control.md says the same to its users.

/// A line from a client.
struct ControlRequest: Codable {
  enum Command: String, Codable, CaseIterable { case status, reload, plan, poll }

  var command: Command
  /// `reload`: the hash that the configuration must have; any other is refused.
  var expectHash: String?
  /// `poll`: which pipeline.
  var pipeline: String?
}

/// The answer to it.
struct ControlResponse: Codable {
  /// For programs; `error` is for people.
  enum Code: String, Codable {
    case badRequest = "bad_request"
    case notPermitted = "not_permitted"
    case tooManyConnections = "too_many_connections"
    case unknownPipeline = "unknown_pipeline"
    /// A reload was refused: `verdict` says why.
    case refused
  }

  var ok = true
  var code: Code?
  var error: String?
  var status: StatusReport?
  var verdict: StatusReport.Verdict?
  var plan: Plan?
  var poll: Poll?

  struct Plan: Codable {
    var outcome: PlanAnswer.Outcome
    var lines: [String]
  }

  struct Poll: Codable {
    var pipeline: String
    var result: String
    var sequence: UInt64
    var durationNs: Int64
    var namespaces: Int
    var socketsReported: UInt64
    var rowsEncoded: UInt64
  }

  static func failure(_ code: Code, _ error: String) -> ControlResponse {
    ControlResponse(ok: false, code: code, error: error)
  }
}

/// Lines from and to the values above. Keys are written with underscores.
enum ControlLine {
  /// No honest request is longer.
  static let longestRequest = 64 << 10

  /// Without a newline at its end.
  static func encode(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(value))
  }

  static func decode<Value: Decodable>(_ type: Value.Type, from line: [UInt8]) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: Data(line))
  }

  /// A request, or a sentence that says what is wrong with the line.
  static func request(from line: [UInt8]) -> Result<ControlRequest, Mistake> {
    do {
      return .success(try decode(ControlRequest.self, from: line))
    } catch DecodingError.dataCorrupted(let context) where context.codingPath.last?.stringValue == "command" {
      let commands = ControlRequest.Command.allCases.map(\.rawValue).joined(separator: ", ")
      return .failure(Mistake("unknown command; there are \(commands)"))
    } catch DecodingError.keyNotFound(let key, _) {
      return .failure(Mistake("the request has no \"\(name(of: key))\""))
    } catch DecodingError.typeMismatch(_, let context) where !context.codingPath.isEmpty {
      let key = context.codingPath.map(name).joined(separator: ".")
      return .failure(Mistake("\"\(key)\" has the wrong type"))
    } catch {
      return .failure(Mistake("not a JSON object on one line"))
    }
  }

  /// A key as it is written in the line.
  private static func name(of key: any CodingKey) -> String {
    key.stringValue.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
  }

  /// What a configuration's hash may be expected to begin with.
  static func isHashPrefix(_ text: String) -> Bool {
    (12...64).contains(text.utf8.count) && text.allSatisfy { "0123456789abcdef".contains($0) }
  }

  struct Mistake: Error, Equatable {
    var text: String
    init(_ text: String) { self.text = text }
  }
}
