/// What of a pipeline's filter the kernel evaluates, for people and programs.
public struct FilterExplanation: Sendable, Equatable {
  public var pipeline: String
  /// `idiag_states`, as bits and by name.
  public var states: UInt32
  public var stateNames: [String]
  /// `id.idiag_sport` and `id.idiag_dport`; 0: any.
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  /// `INET_DIAG_REQ_BYTECODE`, an operation a line.
  public var program: [String]
  /// Keys of the filter that are evaluated in user space alone.
  public var inUserSpace: [String]

  public init(
    pipeline: String, states: UInt32, stateNames: [String], sourcePort: UInt16, destinationPort: UInt16,
    program: [String], inUserSpace: [String]
  ) {
    self.pipeline = pipeline
    (self.states, self.stateNames) = (states, stateNames)
    (self.sourcePort, self.destinationPort) = (sourcePort, destinationPort)
    (self.program, self.inUserSpace) = (program, inUserSpace)
  }

  /// Lines to be printed.
  public var text: [String] {
    var lines = ["filter of pipeline \(pipeline), as the kernel is asked:"]
    lines.append("  idiag_states 0x\(String(states, radix: 16)): \(stateNames.joined(separator: ", "))")
    if sourcePort > 0 { lines.append("  idiag_sport \(sourcePort)") }
    if destinationPort > 0 { lines.append("  idiag_dport \(destinationPort)") }
    if !program.isEmpty { lines += ["  INET_DIAG_REQ_BYTECODE:"] + program.map { "    \($0)" } }
    if sourcePort == 0, destinationPort == 0, program.isEmpty {
      lines.append("  nothing is left out by the kernel but states")
    }
    if !inUserSpace.isEmpty { lines.append("  in user space: \(inUserSpace.joined(separator: ", "))") }
    return lines
  }

  var json: JSONValue {
    .object([
      .init("pipeline", .string(pipeline)), .init("idiag_states", .integer(Int(states))),
      .init("states", .strings(stateNames)), .init("idiag_sport", .integer(Int(sourcePort))),
      .init("idiag_dport", .integer(Int(destinationPort))), .init("program", .strings(program)),
      .init("in_user_space", .strings(inUserSpace)),
    ])
  }
}
