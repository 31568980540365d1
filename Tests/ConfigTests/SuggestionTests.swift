import Testing

@testable import Config

@Suite struct SuggestionTests {
  static let keys = ["interval", "timeout", "align", "reader", "namespaces", "sinks", "recv_batch", "cqe_batch"]

  @Test(arguments: [
    ("intervall", "interval"), ("inteval", "interval"), ("itnerval", "interval"), ("intarval", "interval"),
    ("INTERVAL", "interval"), ("recv-batch", "recv_batch"), ("recvbatch", "recv_batch"), ("name", "namespaces"),
    ("sink", "sinks"), ("readers", "reader"),
  ]) func found(_ word: String, _ expected: String) {
    #expect(Suggestion.nearest(word, in: Self.keys) == expected)
  }

  @Test(arguments: ["", "x", "si", "batch", "completely", String(repeating: "interval", count: 9)])
  func notFound(_ word: String) {
    #expect(Suggestion.nearest(word, in: Self.keys) == nil)
  }
}
