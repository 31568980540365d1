import Testing

@testable import Pipelines

@Suite struct PollCursorTests {
  @Test func namespacesAndPartsComeInTheirOrder() {
    var cursor = PollCursor(count: 3)
    var seen: [[Int]] = []
    while !cursor.isAtEnd {
      seen.append([cursor.namespace, cursor.part])
      cursor.advance(parts: cursor.namespace == 1 ? 3 : 1)
    }
    #expect(seen == [[0, 0], [1, 0], [1, 1], [1, 2], [2, 0]])
    #expect(PollCursor(count: 0).isAtEnd)
  }

  /// A poll may be interrupted by a change, and again by the next one or by the end, before it is over.
  @Test(arguments: 0...7)
  func whatIsSkippedIsSkippedOnce(steps: Int) {
    var cursor = PollCursor(count: 5)
    // The first namespace is read in three parts.
    for _ in 0..<steps { cursor.advance(parts: cursor.namespace == 0 ? 3 : 1) }
    let begun = steps > 0 && steps < 3
    let skipped = cursor.skipRest(partsOfNext: 3)
    #expect(skipped.parts == (begun ? 3 - steps : 0))
    #expect(skipped.namespaces == (begun ? 4 : 5 - max(0, steps - 2)))
    #expect(cursor.isAtEnd && cursor.skipRest(partsOfNext: 3) == (0, 0))
  }
}
