import CLibYAML

/// Owns a libyaml parser and hands out its events one by one.
///
/// The text must outlive the reader: libyaml reads from it without copying.
struct EventReader: ~Copyable {
  /// What an event is, with the texts copied out of libyaml's memory.
  enum Event {
    case scalar(text: String, isPlain: Bool)
    case alias(String)
    case sequenceStart
    case sequenceEnd
    case mappingStart
    case mappingEnd
    case documentStart
    case documentEnd
    case streamStart
    case streamEnd
  }

  /// An event with where it stands and what was attached to it.
  struct Item {
    var event: Event
    var line: Int
    var column: Int
    /// Scalars up to the end of the event, if that is on the same line; else 1.
    var width: Int
    var anchor: String?
    var tag: String?
  }

  /// What libyaml could not read. Lines and columns count from 1.
  struct SyntaxError: Error {
    var problem: String
    var line: Int
    var column: Int
    var context: String?
    var contextLine: Int
    var contextColumn: Int
  }

  private let parser: UnsafeMutablePointer<yaml_parser_t>

  /// Starts to read `text`, which must be UTF-8 without a byte order mark. Nil if memory is short.
  init?(_ text: UnsafeBufferPointer<UInt8>) {
    parser = .allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
    guard yaml_parser_initialize(parser) == 1 else {
      parser.deallocate()
      return nil
    }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, text.baseAddress, text.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  /// The next event. After `streamEnd` or an error there is none.
  mutating func next() throws(SyntaxError) -> Item {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxError() }
    defer { yaml_event_delete(&event) }
    let start = event.start_mark
    let isOneLine = event.end_mark.line == start.line
    var item = Item(
      event: .streamEnd, line: start.line + 1, column: start.column + 1,
      width: isOneLine ? max(1, event.end_mark.column - start.column) : 1)
    Self.fill(&item, from: event)
    return item
  }

  private static func fill(_ item: inout Item, from event: yaml_event_t) {
    switch event.type {
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
      item.event = .scalar(text: String(decoding: bytes, as: UTF8.self), isPlain: isPlain)
      (item.anchor, item.tag) = (string(scalar.anchor), string(scalar.tag))
    case YAML_ALIAS_EVENT: item.event = .alias(string(event.data.alias.anchor) ?? "")
    case YAML_SEQUENCE_START_EVENT:
      item.event = .sequenceStart
      item.width = 1
      (item.anchor, item.tag) = (string(event.data.sequence_start.anchor), string(event.data.sequence_start.tag))
    case YAML_MAPPING_START_EVENT:
      item.event = .mappingStart
      item.width = 1
      (item.anchor, item.tag) = (string(event.data.mapping_start.anchor), string(event.data.mapping_start.tag))
    case YAML_SEQUENCE_END_EVENT: item.event = .sequenceEnd
    case YAML_MAPPING_END_EVENT: item.event = .mappingEnd
    case YAML_DOCUMENT_START_EVENT: item.event = .documentStart
    case YAML_DOCUMENT_END_EVENT: item.event = .documentEnd
    case YAML_STREAM_START_EVENT: item.event = .streamStart
    default: item.event = .streamEnd
    }
  }

  private static func string(_ text: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    text.map { String(decodingCString: $0, as: UTF8.self) }
  }

  private func syntaxError() -> SyntaxError {
    let state = parser.pointee
    return SyntaxError(
      problem: state.problem.map { String(cString: $0) } ?? "out of memory",
      line: state.problem_mark.line + 1, column: state.problem_mark.column + 1,
      context: state.context.map { String(cString: $0) },
      contextLine: state.context_mark.line + 1, contextColumn: state.context_mark.column + 1)
  }
}
