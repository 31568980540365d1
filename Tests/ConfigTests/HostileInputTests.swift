import Foundation
import Testing

@testable import Config

/// Files that are made to cost: each is refused within 100 ms of CPU time and without growing memory.
@Suite(.serialized) struct HostileInputTests {
  struct Bomb: Sendable, CustomTestStringConvertible {
    let name: String
    let text: String
    let says: String
    var testDescription: String { name }
  }

  /// Nine levels of nine aliases: 387 million values written out.
  private static let billionLaughs: String = {
    var text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for (before, name) in zip("abcdefgh", "bcdefghi") {
      text += "\(name): &\(name) [" + Array(repeating: "*\(before)", count: 9).joined(separator: ", ") + "]\n"
    }
    return text
  }()

  private static let tooMany = "the configuration holds more than 65536 values, aliases written out; make it smaller"
  private static let tooDeep = "nested more than 32 levels deep; no setting lies that deep"
  private static let tooLong = "more than 1024 entries in one list or mapping; make it smaller"

  static let bombs = [
    Bomb(name: "aliases", text: billionLaughs, says: "5:36: error: \(tooMany)"),
    Bomb(name: "flow lists", text: String(repeating: "[", count: 10_000), says: "1:33: error: \(tooDeep)"),
    Bomb(name: "flow mappings", text: String(repeating: "{a: ", count: 10_000), says: "1:129: error: \(tooDeep)"),
    Bomb(name: "block lists", text: String(repeating: "- ", count: 10_000) + "x", says: "1:65: error: \(tooDeep)"),
    Bomb(
      name: "block mappings",
      text: (0..<1_000).map { String(repeating: " ", count: $0) + "a:\n" }.joined(), says: "33:33: error: \(tooDeep)"),
    Bomb(
      name: "keys", text: (0..<100_000).map { "k\($0): 1\n" }.joined(), says: "1025:1: error: \(tooLong)"),
    Bomb(
      name: "list", text: "a: [" + Array(repeating: "1", count: 400_000).joined(separator: ",") + "]",
      says: "1:2053: error: \(tooLong)"),
    Bomb(
      name: "tag directives", text: (0..<60_000).map { "%TAG !a\($0)! x\n" }.joined() + "---\n",
      says: "1:1: error: YAML directives (`%`) mean nothing here; remove the line"),
    Bomb(
      name: "second document's directives", text: "a: 1\n...\n" + (0..<60_000).map { "%TAG !a\($0)! x\n" }.joined(),
      says: "3:1: error: YAML directives (`%`) mean nothing here; remove the line"),
    Bomb(
      name: "unclosed quote", text: "a: \"" + String(repeating: "x\n", count: 500_000),
      says: "1:4: error: this quote is never closed"),
    Bomb(
      name: "one scalar", text: String(repeating: "x", count: 1 << 20),
      says:
        "1:1: error: the file must be a mapping that begins with `version: 1`, not `\(String(repeating: "x", count: 60))...`"
    ),
    Bomb(
      name: "not text", text: String(repeating: "\0", count: 1 << 20),
      says: "1:1: error: character U+0000 is not allowed in a configuration file; remove it"),
  ]

  @Test(arguments: bombs) func refusedAtOnce(_ bomb: Bomb) {
    _ = read("version: 1\n")
    var outcome = Outcome(settings: nil, diagnostics: [])
    var memory = 0
    let time = cpuTime { memory = newMemory { outcome = read(bomb.text) } }
    #expect(outcome.settings == nil)
    #expect(outcome.diagnostics.map(summary) == [bomb.says])
    #expect(time < hostileFileLimit)
    #expect(memory < 16 << 20)
  }

  /// A flow mapping of a thousand entries.
  private static func thousand(_ entry: (Int) -> String) -> String {
    "{" + (0..<1_000).map(entry).joined(separator: ", ") + "}\n"
  }

  static let expensive = [
    "version: 1\ndefaults: \(thousand { "k\($0): 1" })pipelines: \(thousand { "p\($0): {}" })",
    "version: 1\ndefaults: { interval: 5 }\npipelines: \(thousand { "p\($0): {}" })",
    "version: 1\npipelines: \(thousand { "p\($0): {intervol: 1, timeuot: 2, algin: 3}" })",
    "{a: \(String(repeating: "y", count: 900_000)), " + (0..<150).map { "k\($0): 1" }.joined(separator: ", ") + "}",
  ]

  /// Valid YAML within the limits that would be expensive to type, merge or report carelessly: 1,000 pipelines that
  /// inherit 1,000 unknown keys; one mistake inherited 1,000 times; 3,000 misspelled keys; 150 mistakes at the end of one long line.
  @Test(arguments: expensive) func expensiveMistakes(_ text: String) {
    _ = read("version: 1\n")
    var outcome = Outcome(settings: nil, diagnostics: [])
    let time = cpuTime { outcome = read(text) }
    #expect(outcome.settings == nil)
    #expect(outcome.diagnostics.count <= Problems.limit + 1)
    #expect(time < hostileFileLimit)
  }

  @Test func theHundredAndFirstProblem() {
    let text = "version: 1\n" + (0..<200).map { "k\($0): 1\n" }.joined()
    let diagnostics = read(text).diagnostics
    #expect(diagnostics.count == 101)
    #expect(diagnostics.last.map(summary) == "0:0: error: stopped after 100 problems; mend these first")
    #expect(diagnostics.last?.rendered == "x.yaml: error: stopped after 100 problems; mend these first")
  }

  @Test func aThousandPipelinesAreFine() throws {
    let pipelines = (0..<1_000).map { "  p\($0): { namespaces: { include: [{ name: n\($0) }] } }\n" }.joined()
    let text = "version: 1\ndefaults: { sinks: { o: { type: blackhole } } }\npipelines:\n\(pipelines)"
    #expect(try #require(read(text).settings).pipelines.count == 1_000)
  }
}

/// What stands at the path of a configuration file.
@Suite struct ConfigurationFileTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// The one diagnostic of a file, and the CPU time that refusing it took.
  private func refusal(_ path: String) -> (message: String?, time: Duration) {
    var outcome = Outcome(settings: nil, diagnostics: [])
    let time = cpuTime { outcome = ConfigurationFile.read(path: path, vocabulary: vocabulary) }
    return (outcome.diagnostics.count == 1 ? outcome.diagnostics.first?.rendered : nil, time)
  }

  @Test func readsAFile() throws {
    let path = directory.path("good.yaml")
    try onePipeline("interval: 3s").write(toFile: path, atomically: true, encoding: .utf8)
    let outcome = ConfigurationFile.read(path: path, vocabulary: vocabulary)
    #expect(outcome.rendered == "")
    #expect(outcome.settings?.pipelines.first?.interval == .seconds(3))
  }

  @Test func namesTheFileAsTheCallerDoes() throws {
    let path = directory.path("bad.yaml")
    try "versoin: 1\n".write(toFile: path, atomically: true, encoding: .utf8)
    let outcome = ConfigurationFile.read(path: path, vocabulary: vocabulary)
    #expect(
      outcome.rendered.hasPrefix(
        "\(path):1:1: error: unknown key `versoin` at the top level; did you mean `version`?\n"))
  }

  @Test func missing() {
    let path = directory.path("none.yaml")
    #expect(refusal(path).message == "\(path): error: cannot open: No such file or directory (errno 2)")
  }

  @Test func directoryInsteadOfAFile() {
    let path = directory.url.path
    #expect(refusal(path).message == "\(path): error: is a directory, not a file; give the path of a regular file")
  }

  /// Nobody writes to it, so a blocking open would wait until the rescuer comes.
  @Test func fifo() {
    let path = directory.path("fifo")
    #expect(mkfifo(path, 0o600) == 0)
    Thread.detachNewThread {
      sleep(5)
      close(open(path, O_WRONLY | O_NONBLOCK))
    }
    let start = ContinuousClock.now
    let (message, time) = refusal(path)
    #expect(message == "\(path): error: is a FIFO or pipe, not a file; give the path of a regular file")
    #expect(time < hostileFileLimit)
    #expect(ContinuousClock.now - start < .seconds(4))
  }

  @Test func socket() {
    let path = directory.path("socket")
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    #expect(bound == 0)
    #expect(refusal(path).message == "\(path): error: is a socket, not a file; give the path of a regular file")
  }

  /// Each of them as an include, and as the file of a value.
  @Test func inPlacesOfIncludesAndValues() throws {
    let fifo = directory.path("fifo.yaml")
    #expect(mkfifo(fifo, 0o600) == 0)
    let large = directory.path("large.yaml")
    #expect(FileManager.default.createFile(atPath: large, contents: nil))
    #expect(truncate(large, 100_000_000) == 0)
    let loop = directory.path("loop.yaml")
    try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: "loop.yaml")
    let main = directory.path("x.yaml")
    let rest = "pipelines: { p: { sinks: { o: { type: blackhole } } } }\n"
    for (path, says) in [
      (fifo, "is a FIFO or pipe, not a file"), (directory.url.path, "is a directory, not a file"),
      ("/dev/zero", "is a device, not a file"), (large, "the file is 100000000 bytes long"),
      (loop, "Too many levels of symbolic links"), (directory.path("none"), "No such file or directory"),
      ("/proc/kallsyms", " bytes long"), (directory.path("a/../../../../../../../../none"), "No such file"),
    ] {
      for text in ["include: [\(path)]\n", "global: { label: \"${file:\(path)}\" }\n"] {
        try "version: 1\n\(text)\(rest)".write(toFile: main, atomically: true, encoding: .utf8)
        var (message, time) = (String?.none, Duration.zero)
        let memory = newMemory { (message, time) = refusal(main) }
        #expect(message?.contains(says) == true, "\(text): \(message ?? "")")
        #expect(time < hostileFileLimit)
        #expect(memory < 16 << 20)
      }
    }
  }

  @Test func bombsInIncludes() throws {
    for bomb in HostileInputTests.bombs where bomb.text.utf8.count <= 1 << 20 {
      let main = directory.path("x.yaml")
      try "version: 1\ninclude: [bomb.yaml]\npipelines: { p: { sinks: { o: { type: blackhole } } } }\n"
        .write(toFile: main, atomically: true, encoding: .utf8)
      try bomb.text.write(toFile: directory.path("bomb.yaml"), atomically: true, encoding: .utf8)
      var outcome = read("version: 1\n")
      var memory = 0
      let time = cpuTime {
        memory = newMemory { outcome = ConfigurationFile.read(path: main, vocabulary: vocabulary) }
      }
      #expect(outcome.settings == nil, "\(bomb.name)")
      #expect(time < hostileFileLimit, "\(bomb.name)")
      #expect(memory < 32 << 20, "\(bomb.name)")
    }
  }

  /// Many files that are each within the limits.
  @Test func largeFilesTogether() throws {
    let main = directory.path("x.yaml")
    try "version: 1\ninclude: [c*.yaml]\n".write(toFile: main, atomically: true, encoding: .utf8)
    let comment = String(repeating: "# \(String(repeating: "x", count: 77))\n", count: 13_000)
    for number in 0..<8 {
      try comment.write(toFile: directory.path("c\(number).yaml"), atomically: true, encoding: .utf8)
    }
    let (message, time) = refusal(main)
    #expect(message?.contains("the files of the configuration have more than 4194304 bytes together") == true)
    #expect(time < hostileFileLimit)
  }

  @Test func device() {
    #expect(
      refusal("/dev/zero").message == "/dev/zero: error: is a device, not a file; give the path of a regular file")
  }

  @Test func hundredMegabytesAreRefusedUnread() throws {
    let path = directory.path("large.yaml")
    #expect(FileManager.default.createFile(atPath: path, contents: nil))
    #expect(truncate(path, 100_000_000) == 0)
    var (message, time) = (String?.none, Duration.zero)
    let memory = newMemory { (message, time) = refusal(path) }
    #expect(message == "\(path): error: the file is 100000000 bytes long; a configuration has at most 1048576")
    #expect(time < hostileFileLimit)
    #expect(memory < 4 << 20)
  }

  /// /proc tells no size of its files, so the limit has to hold while reading.
  @Test func filesWithoutASizeAreReadToTheLimit() {
    let outcome = ConfigurationFile.read(path: "/proc/kallsyms", vocabulary: vocabulary)
    #expect(outcome.settings == nil)
    #expect(outcome.diagnostics.first?.message.contains("a configuration has at most 1048576") == true)
  }
}
