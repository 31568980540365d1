import Testing

@testable import Config

@Suite struct UnitsTests {
  @Test(arguments: [
    ("0s", Duration.zero), ("1ns", .nanoseconds(1)), ("1us", .microseconds(1)), ("500ms", .milliseconds(500)),
    ("10s", .seconds(10)), ("1m30s", .seconds(90)), ("2h", .seconds(7200)), ("1d", .seconds(86_400)),
    ("1d2h3m4s5ms6us7ns", .seconds(93_784) + .nanoseconds(5_006_007)), ("007s", .seconds(7)),
  ]) func durations(_ text: String, _ expected: Duration) throws {
    #expect(try Units.duration(text) == expected)
  }

  @Test(arguments: [
    ("", "is empty; write it like 500ms, 10s or 1m30s"),
    ("s", "is not a number with a unit; write it like 500ms, 10s or 1m30s"),
    ("1", "has no unit; write it like 500ms, 10s or 1m30s"), ("1m30", "has no unit; write it like 500ms, 10s or 1m30s"),
    ("1 s", "is not a number with a unit; write it like 500ms, 10s or 1m30s"),
    ("30s1m", "has its units out of order; write it like 500ms, 10s or 1m30s"),
    ("1s1s", "has its units out of order; write it like 500ms, 10s or 1m30s"),
    ("0.5s", "is not a whole number; use the next smaller unit"),
    ("1M", "has the unknown unit `M`; the units are ns, us, ms, s, m, h, d"),
    ("5minutes", "has the unknown unit `minutes`; the units are ns, us, ms, s, m, h, d; did you mean `m`?"),
    ("9223372036854775808ns", "is too large"), ("106752d", "is too large"), ("106751d23h47m17s", "is too large"),
  ]) func notDurations(_ text: String, _ reason: String) {
    #expect(throws: Units.Mistake(reason: reason)) { try Units.duration(text) }
  }

  @Test(arguments: [
    ("0B", 0), ("1KiB", 1024), ("768KiB", 786_432), ("16MiB", 16 << 20), ("2GiB", 2 << 30), ("1TiB", 1 << 40),
  ])
  func sizes(_ text: String, _ expected: Int) throws {
    #expect(try Units.size(text) == expected)
  }

  @Test(arguments: [
    ("64", "has no unit; write it like 64KiB or 16MiB"),
    ("64K", "has the unknown unit `K`; the units are B, KiB, MiB, GiB, TiB; did you mean `KiB`?"),
    ("1MB", "has the unknown unit `MB`; the units are B, KiB, MiB, GiB, TiB; did you mean `MiB`?"),
    ("1MiB1KiB", "is not one number with one unit; write it like 64KiB or 16MiB"), ("8388608TiB", "is too large"),
  ]) func notSizes(_ text: String, _ reason: String) {
    #expect(throws: Units.Mistake(reason: reason)) { try Units.size(text) }
  }

  @Test(arguments: ["0s", "1ns", "500ms", "10s", "1m30s", "2h", "1d", "1d2h3m4s5ms6us7ns"])
  func durationsAsText(_ text: String) throws {
    #expect(Units.text(try Units.duration(text)) == text)
  }

  @Test(arguments: ["0B", "1B", "1KiB", "768KiB", "64MiB", "1GiB", "1025B"]) func sizesAsText(_ text: String) throws {
    #expect(Units.text(bytes: try Units.size(text)) == text)
  }
}
