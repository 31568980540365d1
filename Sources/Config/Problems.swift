/// Collects what is wrong, each thing once, however many pipelines inherit it.
struct Problems: Sendable {
  /// The files that marks point into.
  private(set) var sources: [Source] = []
  private var found: [(mark: Mark, diagnostic: Diagnostic)] = []
  private var seen: Set<Identity> = []
  private var errorMarks: Set<Mark> = []
  private(set) var errorCount = 0

  /// What makes two problems the same one.
  private struct Identity: Hashable {
    var mark: Mark
    var message: String
    var notes: [Mark]
  }

  /// Nobody reads more at a time, and a hostile file must not make millions.
  static let limit = 100

  /// From here on nothing is added; readers stop.
  var isFull: Bool { found.count >= Self.limit }

  /// Registers a file; the result is what its marks carry.
  mutating func add(_ source: Source) -> Int {
    sources.append(source)
    return sources.count - 1
  }

  /// Reports an error at a mark.
  mutating func error(
    _ mark: Mark, _ message: String, suggestion: String? = nil, notes: [(mark: Mark, message: String)] = []
  ) {
    add(.error, mark, message, suggestion, notes)
  }

  /// Reports something that works but is probably not meant.
  mutating func warning(_ mark: Mark, _ message: String, notes: [(mark: Mark, message: String)] = []) {
    add(.warning, mark, message, nil, notes)
  }

  /// Reports an error of a file as a whole, such as one that cannot be opened.
  mutating func error(in source: Int, _ message: String) {
    error(Mark(source: source, line: 0, column: 0), message)
  }

  private mutating func add(
    _ severity: Diagnostic.Severity, _ mark: Mark, _ message: String, _ suggestion: String?,
    _ notes: [(mark: Mark, message: String)]
  ) {
    let identity = Identity(mark: mark, message: message, notes: notes.map(\.mark))
    guard !isFull, seen.insert(identity).inserted else { return }
    let diagnostic = Diagnostic(
      severity: severity, place: place(mark), message: message, suggestion: suggestion,
      notes: notes.filter { !$0.mark.isBuiltIn }.map { Diagnostic.Note(place: place($0.mark), message: $0.message) })
    if severity == .error {
      errorCount += 1
      errorMarks.insert(mark)
    }
    found.append((mark, diagnostic))
  }

  private func place(_ mark: Mark) -> Place {
    guard sources.indices.contains(mark.source) else {
      return Place(file: "built-in defaults", line: 0, column: 0, excerpt: "", caret: 0, width: 1)
    }
    return mark.line == 0 ? sources[mark.source].whole : sources[mark.source].place(mark)
  }

  /// Whether an error was reported at exactly this mark.
  func hasError(at mark: Mark) -> Bool { errorMarks.contains(mark) }

  /// Everything found, in the order of the files and their lines.
  var diagnostics: [Diagnostic] {
    var sorted = found.enumerated().sorted { left, right in
      let (one, other) = (left.element.mark, right.element.mark)
      return (one.source, one.line, one.column, left.offset) < (other.source, other.line, other.column, right.offset)
    }.map(\.element.diagnostic)
    if isFull, let first = sources.first {
      let message = "stopped after \(Self.limit) problems; mend these first"
      let severity: Diagnostic.Severity = errorCount > 0 ? .error : .warning
      sorted.append(Diagnostic(severity: severity, place: first.whole, message: message, suggestion: nil, notes: []))
    }
    return sorted
  }
}
