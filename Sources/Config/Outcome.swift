/// What came of reading a configuration.
public struct Outcome: Sendable {
  /// The settings; nil if there is any error.
  public var settings: Settings?
  /// Every error and warning, in the order of the files.
  public var diagnostics: [Diagnostic]
  /// The files; nil if not even the main one could be read.
  public var closure: ConfigurationClosure?
  /// Where settings stand that are judged after reading, by dotted path; those that are in no file are left out.
  public var places: [String: Place] = [:]
  /// The configuration as a whole, for what concerns no line of it.
  public var whole: Place
  /// What each `${...}` stood for, so that it can be kept from being shown.
  public var references: [ValueReference]
  /// Every setting with where it came from; nil if there is any error.
  public var effective: EffectiveConfiguration?
  /// Tells whether the configuration has changed since it was read; also of one that could not be read.
  public var watch: ClosureWatch

  init(
    settings: Settings?, diagnostics: [Diagnostic], closure: ConfigurationClosure = ConfigurationClosure(),
    references: [ValueReference] = [], effective: EffectiveConfiguration? = nil,
    whole: Place = Source(name: "", bytes: []).whole
  ) {
    self.settings = settings
    self.diagnostics = diagnostics
    self.closure = closure.files.isEmpty ? nil : closure
    self.references = references
    self.effective = effective
    self.whole = whole
    watch = ClosureWatch(closure)
  }

  /// That of settings which come from no file, such as those of `xtcpd snapshot`.
  public init(_ settings: Settings) { self.init(settings: settings, diagnostics: []) }

  /// The errors, without the warnings.
  public var errors: [Diagnostic] { diagnostics.filter { $0.severity == .error } }

  /// All diagnostics as compilers print them, and a last line that counts them; empty if there are none.
  public var rendered: String {
    guard !diagnostics.isEmpty else { return "" }
    let warnings = diagnostics.count - errors.count
    let counts = [(errors.count, "error"), (warnings, "warning")].filter { $0.0 > 0 }
      .map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }
    return diagnostics.map { $0.rendered + "\n" }.joined() + counts.joined(separator: ", ") + "\n"
  }

  /// The verdict as one JSON object on one line, for programs.
  public var json: String { json(filters: nil) }

  /// The same with what becomes of filters, and what could be done about this host (empty: nothing).
  public func json(filters: [FilterExplanation]?, advice: String? = nil) -> String {
    var members: [JSONValue.Member] = [
      .init("valid", .boolean(settings != nil && errors.isEmpty)),
      .init("hash", closure.map { .string($0.hash) } ?? .null),
      .init("pipelines", .strings(settings?.pipelines.map(\.name) ?? [])),
      .init("diagnostics", .array(diagnostics.map(\.json))),
    ]
    if let filters { members.append(.init("filters", .array(filters.map(\.json)))) }
    if let advice { members.append(.init("host", .string(advice))) }
    return JSONValue.object(members).line
  }
}

extension Diagnostic {
  /// An error of a file, or of the configuration that it leads, found by other means than reading it.
  public init(error message: String, in file: String) {
    let place = Place(file: file, line: 0, column: 0, excerpt: "", caret: 0, width: 1)
    self.init(severity: .error, place: place, message: message, suggestion: nil, notes: [])
  }

  /// Messages quote what is written; should one quote what it stands for, that is replaced. Excerpts are of the file.
  func redacted(by redaction: Redaction) -> Diagnostic {
    var diagnostic = self
    diagnostic.message = redaction(message)
    diagnostic.suggestion = suggestion.map { redaction($0) }
    for index in notes.indices { diagnostic.notes[index].message = redaction(notes[index].message) }
    return diagnostic
  }

  fileprivate var json: JSONValue {
    .object([
      .init("severity", .string(severity.rawValue)), .init("file", .string(file)), .init("line", .integer(line)),
      .init("column", .integer(column)), .init("message", .string(message)),
      .init("suggestion", suggestion.map { .string($0) } ?? .null),
    ])
  }
}
