/// How far a poll has come: the namespaces to be read, in their order, and the parts of the one that is next.
struct PollCursor: Equatable {
  private(set) var namespace = 0
  private(set) var part = 0
  let count: Int

  /// - Parameter count: of the namespaces.
  init(count: Int) { self.count = count }

  var isAtEnd: Bool { namespace >= count }

  /// Goes on to the next part, or to the next namespace.
  ///
  /// - Parameter parts: of the namespace that is next.
  mutating func advance(parts: Int) {
    part += 1
    if part >= parts { (namespace, part) = (namespace + 1, 0) }
  }

  /// Goes to the end. Again and again: what has been skipped is not skipped twice.
  ///
  /// - Parameter partsOfNext: of the namespace that is next.
  /// - Returns: what will not be read: parts of a namespace of which others were begun, and whole namespaces.
  mutating func skipRest(partsOfNext: Int) -> (parts: Int, namespaces: Int) {
    guard !isAtEnd else { return (0, 0) }
    let parts = part > 0 ? partsOfNext - part : 0
    defer { (namespace, part) = (count, 0) }
    return (parts, count - namespace - (part > 0 ? 1 : 0))
  }
}
