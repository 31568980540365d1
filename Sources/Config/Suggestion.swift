/// Finds what somebody probably meant.
enum Suggestion {
  /// Longer words than this are not typing errors of a key.
  private static let longestWord = 64

  /// The candidate nearest to `word`, or nil if none is near: equal but for case and `-` for `_`; else the only one that
  /// `word` is a part of; else the one with the fewest typing errors (a letter missing, added, changed, or two
  /// swapped), at most a third of the word and at least one.
  static func nearest(_ word: String, in candidates: [String]) -> String? {
    guard word.utf8.count <= longestWord else { return nil }
    let wanted = folded(word)
    guard !wanted.isEmpty else { return nil }
    if let same = candidates.first(where: { folded($0) == wanted }) { return same }
    guard wanted.count >= 3 else { return nil }
    let longer = candidates.filter { contains(folded($0), wanted) }
    if longer.count == 1 { return longer.first }
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
      let distance = distance(wanted, folded(candidate))
      if distance <= max(1, wanted.count / 3), distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.candidate
  }

  private static func folded(_ word: String) -> [UInt8] {
    word.utf8.map { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
      case UInt8(ascii: "-"), UInt8(ascii: " "): UInt8(ascii: "_")
      default: byte
      }
    }
  }

  private static func contains(_ word: [UInt8], _ part: [UInt8]) -> Bool {
    guard word.count >= part.count else { return false }
    return (0...word.count - part.count).contains { word[$0...].starts(with: part) }
  }

  /// The optimal string alignment distance.
  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforeLast = [Int](repeating: 0, count: right.count + 1)
    var last = Array(0...right.count)
    for i in left.indices {
      var row = [Int](repeating: i + 1, count: right.count + 1)
      for j in right.indices {
        let change = last[j] + (left[i] == right[j] ? 0 : 1)
        row[j + 1] = min(change, last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
          row[j + 1] = min(row[j + 1], beforeLast[j - 1] + 1)
        }
      }
      (beforeLast, last) = (last, row)
    }
    return last[right.count]
  }
}
