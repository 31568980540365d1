import Testing

@testable import Config

@Suite struct GlobTests {
  @Test(arguments: [
    ("host", "host", true), ("host", "hos", false), ("host", "hosts", false), ("*", "", true), ("*", "a/b", true),
    ("cni-*", "cni-1", true), ("cni-*", "cni-", true), ("cni-*", "xcni-1", false), ("*-x", "a-x-x", true),
    ("*-x", "a-x-y", false), ("a*b*c", "aXbYbZc", true), ("a*b*c", "acb", false), ("**", "x", true),
    ("?", "a", true), ("?", "", false), ("a?c", "abc", true), ("[a-c]x", "bx", true), ("[a-c]x", "dx", false),
    ("[!a-c]x", "dx", true), ("[^a-c]x", "ax", false), ("[]]", "]", true), ("[a-]", "-", true), ("[!]a]", "]", false),
    ("\\*", "*", true), ("\\*", "x", false), ("\\[", "[", true), ("/run/*/n?", "/run/a/b/n1", true),
  ]) func matching(_ pattern: String, _ text: String, _ expected: Bool) throws {
    #expect(try #require(Glob(pattern)).matches(text) == expected)
  }

  @Test(arguments: ["", "[", "[a", "[!", "[]", "[b-a]", "a\\"]) func patternsThatAreNone(_ pattern: String) {
    #expect(Glob(pattern) == nil)
  }

  /// A backtracking matcher would need 2^30 steps for this.
  @Test func manyStars() throws {
    let glob = try #require(Glob(String(repeating: "a*", count: 30) + "b"))
    var isMatch = true
    let time = cpuTime { isMatch = glob.matches(String(repeating: "a", count: 255)) }
    #expect(!isMatch)
    #expect(time < hostileFileLimit)
  }

  @Test(arguments: [
    ("a", "a", true), ("a", "b", false), ("a*", "ab", true), ("ab", "a*", true), ("a*", "b*", false),
    ("cni-*", "cni-test-*", true), ("*x", "a*", true), ("cni-*", "docker-*", false),
  ]) func overlaps(_ one: String, _ other: String, _ expected: Bool) throws {
    #expect(try #require(Glob(one)).mayOverlap(try #require(Glob(other))) == expected)
  }
}
