/// What a peer said, for messages.
enum PeerText {
  /// One line, nothing that a terminal would act on, at most `limit` characters, and no secret.
  static func line(_ text: String, limit: Int = 300, hiding secrets: PeerSecrets) -> String {
    let words = secrets.hide(in: text).split { $0.isWhitespace || $0.isNewline }.joined(separator: " ")
    let line = String(
      String.UnicodeScalarView(words.unicodeScalars.map { $0.properties.generalCategory.isUnprintable ? "?" : $0 }))
    return line.count > limit ? line.prefix(limit) + "..." : line
  }
}

extension Unicode.GeneralCategory {
  fileprivate var isUnprintable: Bool {
    switch self {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}

/// What no message may show, wherever it comes from: servers repeat what they were sent.
struct PeerSecrets: Sendable {
  private let values: [String]

  /// Values of less than four bytes would hide parts of any text.
  init(_ values: [String]) {
    self.values = Set(values.filter { $0.utf8.count >= 4 }).sorted { $0.utf8.count > $1.utf8.count }
  }

  func hide(in text: String) -> String {
    values.reduce(text) { text, secret in
      let text = text.replacing(secret, with: "***")
      // Servers cut what they repeat.
      guard secret.count > Self.telling, let range = text.firstRange(of: secret.prefix(Self.telling)) else {
        return text
      }
      return text[..<range.lowerBound] + "***"
    }
  }

  /// Characters of a secret that give too much of it away.
  private static let telling = 12
}
