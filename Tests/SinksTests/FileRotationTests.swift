import Foundation
import IO
import Testing

@testable import Sinks

/// Files that are put aside and begun anew, through both ports.
@Suite(.serialized) struct FileRotationTests {
  static let modes: [PortChoice] = [.ioUring, .syscall]

  /// The rows of all files of a folder, in the order of their names, `last` at the end.
  private func rows(_ bench: Bench, last: String) throws -> (files: Int, rows: [Int]) {
    let names = try FileManager.default.contentsOfDirectory(atPath: bench.directory.path).sorted()
    let ordered = names.filter { $0 != last } + names.filter { $0 == last }
    let texts = try ordered.map {
      try String(contentsOfFile: bench.directory.appending(path: $0).path, encoding: .utf8)
    }
    for text in texts { #expect(text.hasPrefix("head\n"), "every file has its header") }
    return (names.count, texts.flatMap { rowNumbers(String($0.dropFirst(5))) })
  }

  @Test(arguments: modes) func aThousandRotationsUnderLoadLoseAndSplitNoRow(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    var options = FileSink.Options(path: FilledTemplate(path))
    options.rotateBytes = 1_000
    let sink = try FileSink(name: "f", options, bench.output(header: "head\n"))
    for batch in 0..<1_001 {
      // Without waiting: the queue is never empty.
      let text = (0..<10).map { line(batch * 10 + $0) }.joined()
      while !bench.offer(text, rows: 10, to: sink) { try bench.turn(sink) }
      try bench.turn(sink)
    }
    try bench.drain(sink, seconds: 30)
    let found = try rows(bench, last: "out")
    #expect(found.files == 1_001)
    #expect(found.rows.elementsEqual(0..<10_010))
    #expect(sink.tally.delivered == 10_010)
  }

  @Test(arguments: modes) func anOldFileIsPutAsideAlthoughNothingComes(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    var options = FileSink.Options(path: FilledTemplate(path))
    options.rotateAge = 300_000_000
    let sink = try FileSink(name: "f", options, bench.output(header: "head\n"))
    #expect(sink.nextDeadline == nil, "an empty file does not grow old")
    #expect(bench.offer(line(1), rows: 1, to: sink))
    try bench.drain(sink)
    #expect(sink.nextDeadline != nil)
    try bench.turn(sink, seconds: 3) { sink.nextDeadline == nil }
    let names = try FileManager.default.contentsOfDirectory(atPath: bench.directory.path)
    #expect(names.count == 2)
  }

  @Test(arguments: modes) func onlyTheNewestFilesAreKept(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let path = bench.directory.appending(path: "out").path
    try "not ours".write(toFile: path + ".1", atomically: false, encoding: .utf8)
    var options = FileSink.Options(path: FilledTemplate(path))
    (options.rotateBytes, options.rotateKeep) = (100, 3)
    let sink = try FileSink(name: "f", options, bench.output())
    for row in 0..<20 {
      #expect(bench.offer(line(row), rows: 1, to: sink))
      try bench.drain(sink)
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: bench.directory.path)
    #expect(names.count == 5, "\(names): the file, three put aside, and somebody else's")
  }

  @Test func aTemplateFollowsTheClock() throws {
    let hour: Int64 = 3_600_000_000_000
    let template = FilledTemplate([.text("/a/"), .date, .text("/"), .hour, .text(".log")])
    #expect(template.text(at: 0) == "/a/1970-01-01/00.log")
    #expect(template.text(at: 1_709_164_800_000_000_000 + 23 * hour) == "/a/2024-02-29/23.log")
    #expect(template.changes(after: 5 * hour + 1) == 6 * hour)
    #expect(FilledTemplate([.date]).changes(after: 5 * hour) == 24 * hour)
    #expect(FilledTemplate("x").changes(after: 0) == nil)
    // Every day of four centuries against the C library.
    for day in stride(from: Int64(0), to: 146_097, by: 1) {
      var (seconds, parts) = (time_t(day * 86_400), tm())
      gmtime_r(&seconds, &parts)
      let expected = String(format: "%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday)
      #expect(FilledTemplate.date(day: day) == expected)
    }
  }

  @Test(arguments: modes) func foldersOfATemplateAreMade(mode: PortChoice) throws {
    let bench = try Bench(mode)
    let template = FilledTemplate([.text(bench.directory.path + "/"), .date, .text("/"), .hour, .text("/rows")])
    let before = wallClockNanoseconds()
    let sink = try FileSink(name: "f", FileSink.Options(path: template), bench.output())
    #expect(bench.offer(line(1), rows: 1, to: sink))
    try bench.drain(sink)
    let paths = [template.text(at: before), template.text(at: wallClockNanoseconds())]
    #expect(paths.contains { (try? String(contentsOfFile: $0, encoding: .utf8)) == line(1) })
  }
}
