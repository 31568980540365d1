import Foundation
import Testing

@testable import Config

/// Which files make a configuration, how they are hashed, watched and archived.
@Suite struct ClosureTests {
  static let sinks = "defaults: { sinks: { o: { type: blackhole } } }\n"

  private func names(_ outcome: Outcome) -> [String] { outcome.closure?.files.map(\.relativeName) ?? [] }

  @Test func lexicalOrderRelativeToTheFileThatHasIt() throws {
    let files = try ConfigurationFiles([
      "xtcpd.yaml": "version: 1\ninclude: [conf.d/*.yaml, ./last.yaml]\n" + Self.sinks,
      "conf.d/20-b.yaml": "pipelines: { b: {} }\n",
      "conf.d/10-a.yaml": "include: [more/?.yaml]\npipelines: { a: {} }\n",
      "conf.d/more/2.yaml": "pipelines: { m2: {} }\n", "conf.d/more/1.yaml": "pipelines: { m1: {} }\n",
      "conf.d/more/10.yaml": "nonsense: 1\n", "conf.d/.hidden.yaml": "nonsense: 1\n", "conf.d/x.yaml~": "nonsense: 1\n",
      "last.yaml": "version: 1\npipelines: { l: {} }\n",
    ])
    let outcome = files.read()
    #expect(outcome.rendered == "")
    #expect(outcome.settings?.pipelines.map(\.name) == ["a", "m1", "m2", "b", "l"])
    #expect(
      names(outcome) == [
        "", "conf.d/10-a.yaml", "conf.d/more/1.yaml", "conf.d/more/2.yaml", "conf.d/20-b.yaml", "last.yaml",
      ])
  }

  @Test func patternsInFoldersAndSets() throws {
    let files = try ConfigurationFiles([
      "x.yaml": "version: 1\ninclude: [\"*/p-[a-c].yaml\"]\n" + Self.sinks, "one/p-b.yaml": "pipelines: { b: {} }\n",
      "two/p-a.yaml": "pipelines: { a: {} }\n", "two/p-d.yaml": "nonsense: 1\n",
    ])
    #expect(files.read().settings?.pipelines.map(\.name) == ["b", "a"])
  }

  @Test func aFileThatIsNotThere() throws {
    let files = try ConfigurationFiles([
      "x.yaml": "version: 1\ninclude: [none.yaml, none/*.yaml]\npipelines: { p: { sinks: { o: { type: stdout } } } }\n"
    ])
    let path = files.directory.path("none.yaml")
    #expect(
      files.diagnose() == [
        "x.yaml:2:11: error: `\(path.prefix(60))\(path.count > 60 ? "..." : "")`: "
          .replacing(files.directory.url.path + "/", with: "") + "cannot open: No such file or directory (errno 2)"
      ])
  }

  @Test(arguments: [
    (
      "include: x.yaml",
      "2:10: error: `include` must be a list of files or patterns such as [conf.d/*.yaml], not `x.yaml`"
    ),
    ("include: [[a]]", "2:11: error: `include` must list files or patterns such as conf.d/*.yaml, not a list"),
    ("include: [\"\"]", "2:11: error: `include` must list files or patterns such as conf.d/*.yaml, not the text ``"),
    (
      "include: [\"[a\"]",
      "2:11: error: `include` must list patterns of `*`, `?` and `[a-z]` whose brackets are closed, not the text `[a`"
    ),
    (
      "include: [\"${env:A}.yaml\"]",
      "2:11: error: `include` takes no `${...}`: which files a configuration has must not depend on where it is read"
    ),
  ]) func includeMistakes(_ include: String, _ says: String) throws {
    let files = try ConfigurationFiles([
      "x.yaml": "version: 1\n\(include)\npipelines: { p: { sinks: { o: { type: stdout } } } }\n"
    ])
    #expect(files.diagnose(["A": "a"]) == ["x.yaml:\(says)"])
  }

  @Test func cycles() throws {
    let files = try ConfigurationFiles([
      "x.yaml": "version: 1\ninclude: [a.yaml]\n" + Self.sinks + "pipelines: { p: {} }\n",
      "a.yaml": "include: [b/b.yaml]\n", "b/b.yaml": "include: [../a.yaml]\n",
    ])
    #expect(
      files.diagnose() == ["b/b.yaml:1:11: error: the file includes itself: a.yaml -> b/b.yaml -> b/../a.yaml"])
    let itself = try ConfigurationFiles(["x.yaml": "version: 1\ninclude: [\"*.yaml\"]\n"])
    #expect(itself.diagnose() == ["x.yaml:2:11: error: the file includes itself: x.yaml -> x.yaml"])
  }

  @Test func aFileThatTwoPatternsMatchIsReadOnce() throws {
    let files = try ConfigurationFiles([
      "x.yaml": "version: 1\ninclude: [c/20.yaml, c/*.yaml]\n" + Self.sinks, "c/10.yaml": "pipelines: { a: {} }\n",
      "c/20.yaml": "pipelines: { b: {} }\n",
    ])
    #expect(files.read().settings?.pipelines.map(\.name) == ["b", "a"])
  }

  /// Errors of all files at once, each under its own name, and none that only follows from a file that is broken.
  @Test func brokenFiles() throws {
    let files = try ConfigurationFiles([
      "x.yaml": "version: 1\ninclude: [c/*.yaml]\npipelines: { p: { sinks: { shared: {} }, extends: [fast] } }\n",
      "c/1.yaml": "sinks: { a: {}\n", "c/2.yaml": "defaults: { intervall: 1s }\n",
    ])
    #expect(
      files.diagnose() == [
        "c/1.yaml:1:15: error: expected `,` or `}` [1:8 opened here]",
        "c/2.yaml:1:13: error: unknown key `intervall` in a pipeline; did you mean `interval`?",
      ])
  }

  @Test func tooManyFiles() throws {
    let files = try ConfigurationFiles(["x.yaml": "version: 1\ninclude: [c/*.yaml]\n" + Self.sinks])
    for number in 0..<1_024 { try files.write("c/\(number).yaml", "pipelines: { p\(number): {} }\n") }
    #expect(
      files.diagnose() == ["x.yaml:2:11: error: the configuration has more than 1024 files; include fewer"])
    try FileManager.default.removeItem(atPath: files.directory.path("c/7.yaml"))
    #expect(files.read().settings?.pipelines.count == 1_023)
  }

  @Test func hashIsThatOfTheFilesUnexpanded() throws {
    let text = "version: 1\ninclude: [c/*.yaml]\n" + Self.sinks
    let one = try ConfigurationFiles(["xtcpd.yaml": text, "c/1.yaml": "pipelines: { a: { label: \"${env:A}\" } }\n"])
    let other = try ConfigurationFiles(["other.yaml": text, "c/1.yaml": "pipelines: { a: { label: \"${env:A}\" } }\n"])
    let hash = try #require(one.read(["A": "1"]).closure?.hash)
    #expect(hash.count == 64)
    #expect(hash == one.read(["A": "2"]).closure?.hash)
    #expect(hash == other.read().closure?.hash)
    try other.write("c/2.yaml", "")
    #expect(hash != other.read().closure?.hash)
    let renamed = try ConfigurationFiles([
      "xtcpd.yaml": text, "c/2.yaml": "pipelines: { a: { label: \"${env:A}\" } }\n",
    ])
    #expect(hash != renamed.read().closure?.hash)
    let short = ConfigurationFile.read(text: "version: 1\n", named: "x", vocabulary: vocabulary)
    let expected = SHA256.digest([0, 0, 0, 0, 0, 0, 0, 0, 11] + Array("version: 1\n".utf8))
    #expect(short.closure?.hash == expected.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
  }

  @Test func archiveIsReadWithoutItsFiles() throws {
    let secret = try ConfigurationFiles(["secret": "one\n"])
    let files = try ConfigurationFiles([
      "x.yaml": "version: 1\ninclude: [c/*.yaml]\n" + Self.sinks,
      "c/1.yaml": "pipelines: { a: { label: \"${file:\(secret.main)}\" } }\n",
    ])
    let outcome = files.read()
    let archive = try #require(outcome.closure).encodeArchive()
    #expect(!String(decoding: archive, as: UTF8.self).contains("one"))
    try files.write("x.yaml", "broken")
    try files.write("c/2.yaml", "broken")
    try secret.write("secret", "two\n")
    let closure = try ConfigurationClosure(archive: archive)
    let again = ConfigurationFile.read(archived: closure, vocabulary: vocabulary)
    #expect(again.rendered == "")
    #expect(again.settings?.pipelines.map(\.label) == ["two"])
    #expect(again.closure?.hash == outcome.closure?.hash)
    #expect(again.closure?.encodeArchive() == archive)
  }

  @Test func damagedArchivesAreErrors() throws {
    let archive = try #require(read(onePipeline("")).closure).encodeArchive()
    for length in 0..<archive.count {
      #expect(throws: ConfigurationClosure.ArchiveError.self) {
        try ConfigurationClosure(archive: Array(archive[..<length]))
      }
    }
    for index in archive.indices {
      var damaged = archive
      damaged[index] ^= 0x40
      #expect(throws: ConfigurationClosure.ArchiveError.self) { try ConfigurationClosure(archive: damaged) }
    }
    #expect(throws: ConfigurationClosure.ArchiveError.self) { try ConfigurationClosure(archive: archive + [0]) }
  }
}

/// What is seen of changes.
@Suite struct ClosureWatchTests {
  private let files: ConfigurationFiles
  private let secret: ConfigurationFiles

  init() throws {
    secret = try ConfigurationFiles(["secret": "one\n"])
    files = try ConfigurationFiles([
      "x.yaml": "version: 1\ninclude: [c/*.yaml]\n" + ClosureTests.sinks,
      "c/1.yaml": "pipelines: { a: { label: \"${file:\(secret.main)}\" } }\n",
    ])
  }

  private func sees(_ change: () throws -> Void) throws -> Bool {
    let outcome = files.read()
    let watch = ClosureWatch(try #require(outcome.closure))
    #expect(!watch.hasChanged)
    try change()
    return watch.hasChanged
  }

  @Test func changes() throws {
    #expect(try sees { try files.write("c/1.yaml", "pipelines: { a: {} }\n") })
    #expect(try sees { try files.write("c/2.yaml", "pipelines: { b: {} }\n") })
    #expect(try sees { try FileManager.default.removeItem(atPath: files.directory.path("c/2.yaml")) })
    #expect(try !sees { try files.write("c/2.txt", "") })
  }

  @Test func changedValues() throws { #expect(try sees { try secret.write("secret", "two\n") }) }

  /// As Kubernetes replaces the files of a ConfigMap.
  @Test func swappedSymbolicLinks() throws {
    try files.write("v1/c.yaml", "pipelines: { b: {} }\n")
    try files.write("v2/c.yaml", "pipelines: { b: {} }\n")
    let link = files.directory.path("c/link.yaml")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "../v1/c.yaml")
    let isSeen = try sees {
      try FileManager.default.createSymbolicLink(atPath: link + ".new", withDestinationPath: "../v2/c.yaml")
      _ = rename(link + ".new", link)
    }
    #expect(isSeen)
  }

  /// A configuration that is refused is watched too, so that it is seen when it is mended.
  @Test func whatIsMissing() throws {
    let files = try ConfigurationFiles(["x.yaml": "version: 1\ninclude: [none.yaml]\n"])
    let watch = files.read().watch
    #expect(!watch.hasChanged)
    try files.write("none.yaml", "")
    #expect(watch.hasChanged)
  }

  @Test func youngestChange() throws {
    func youngest() throws -> Int64 { try #require(files.read().closure).youngestChange }
    let first = try youngest()
    #expect(abs(Date.now.timeIntervalSince1970 - Double(first) / 1e9) < 60)
    usleep(20_000)
    try secret.write("secret", "two\n")
    let second = try youngest()
    #expect(second > first)
    usleep(20_000)
    try files.write("c/ignored.txt", "")
    #expect(try youngest() > second)
    let closure = try #require(files.read().closure)
    let before = closure.youngestChange
    usleep(20_000)
    try files.write("c/1.yaml", "half a fi")
    #expect(closure.youngestChange > before)
  }
}
