/// Collects what is wrong, each thing once, however many pipelines inherit it.
struct Problems: Sendable {
  /// Something that is wrong, with marks instead of places.
  private struct Problem: Hashable {
    var severity: Diagnostic.Severity
    var mark: Mark
    var message: String
    var suggestion: String?
    var notes: [Note]
  }

  private struct Note: Hashable {
    var mark: Mark
    var message: String
  }

  /// The files that marks point into.
  private var sources: [Source] = []
  private var found: [Problem] = []
  private var seen: Set<Problem> = []
  private var errorMarks: Set<Mark> = []
  /// Lines that hold a secret.
  private var secretLines: Set<Line> = []

  private struct Line: Hashable {
    var source: Int
    var line: Int
  }

  /// Nobody reads more at a time, and a hostile file must not make millions.
  static let limit = 100

  /// From here on nothing is added; readers stop.
  var isFull: Bool { found.count >= Self.limit }

  /// Whether the configuration cannot be used.
  var hasErrors: Bool { !errorMarks.isEmpty }

  /// Whether an error was reported at exactly this mark.
  func hasError(at mark: Mark) -> Bool { errorMarks.contains(mark) }

  /// Registers a file; the result is what its marks carry.
  mutating func add(_ source: Source) -> Int {
    sources.append(source)
    return sources.count - 1
  }

  /// The names of the files that marks point into.
  var files: [String] { sources.map(\.name) }

  /// A secret stands here as it is: no excerpt shows the line, whatever is wrong in it.
  mutating func hide(_ mark: Mark) { secretLines.insert(Line(source: mark.source, line: mark.line)) }

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
    // What is built in stands in no file and cannot be shown.
    let shown = notes.filter { !$0.mark.isBuiltIn }.map { Note(mark: $0.mark, message: $0.message) }
    let problem = Problem(severity: severity, mark: mark, message: message, suggestion: suggestion, notes: shown)
    guard !isFull, seen.insert(problem).inserted else { return }
    if severity == .error { errorMarks.insert(mark) }
    found.append(problem)
  }

  /// Everything found, in the order of the files and their lines.
  var diagnostics: [Diagnostic] {
    let sorted = found.enumerated().sorted { left, right in
      let (one, other) = (left.element.mark, right.element.mark)
      return (one.source, one.line, one.column, left.offset) < (other.source, other.line, other.column, right.offset)
    }
    // Notes point elsewhere, so they have finders of their own.
    var finders = sources.map(PlaceFinder.init)
    var noteFinders = finders
    var diagnostics = sorted.map(\.element).map { problem in
      Diagnostic(
        severity: problem.severity, place: shown(problem.mark, &finders), message: problem.message,
        suggestion: problem.suggestion,
        notes: problem.notes.map { .init(place: shown($0.mark, &noteFinders), message: $0.message) })
    }
    if isFull, let first = sources.first {
      let message = "stopped after \(Self.limit) problems; mend these first"
      let severity: Diagnostic.Severity = hasErrors ? .error : .warning
      diagnostics.append(
        Diagnostic(severity: severity, place: first.whole, message: message, suggestion: nil, notes: []))
    }
    return diagnostics
  }

  /// The main file as a whole.
  var whole: Place { (sources.first ?? Source(name: "", bytes: [])).whole }

  /// The place of one mark.
  func place(of mark: Mark) -> Place {
    var finders = sources.map(PlaceFinder.init)
    return Self.place(mark, &finders)
  }

  /// The place of one mark, to be read by whoever reads the errors.
  private func shown(_ mark: Mark, _ finders: inout [PlaceFinder]) -> Place {
    var place = Self.place(mark, &finders)
    if secretLines.contains(Line(source: mark.source, line: mark.line)) {
      (place.excerpt, place.caret, place.width) = ("***", 0, 3)
    }
    return place
  }

  private static func place(_ mark: Mark, _ finders: inout [PlaceFinder]) -> Place {
    guard finders.indices.contains(mark.source) else {
      return Place(file: "built-in defaults", line: 0, column: 0, excerpt: "", caret: 0, width: 1)
    }
    return finders[mark.source].place(mark)
  }
}
