/// Values that may be shown in a plan: durations, sizes, numbers, words. Texts and paths may carry what a `${...}` put there, and
/// that is not for a log.
enum PlainValue {
  /// The value as it would be written; nil if it is of any other kind.
  static func text(_ value: Any, of typeName: String) -> String? {
    for word in ["auto", "none"] {
      let prefix = "`\(word)` or "
      guard typeName.hasPrefix(prefix) else { continue }
      return isNil(value) ? word : text(value, of: String(typeName.dropFirst(prefix.count)))
    }
    switch typeName {
    case "duration": return (value as? Duration).map(Units.text)
    case "size": return (value as? Int).map(Units.text(bytes:))
    case "integer": return (value as? Int).map(String.init)
    case "boolean": return (value as? Bool).map(String.init)
    case "word": return (value as? any RawRepresentable).flatMap { $0.rawValue as? String }
    default: return nil
    }
  }

  private static func isNil(_ value: Any) -> Bool {
    if case Optional<Any>.none = value { true } else { false }
  }
}
