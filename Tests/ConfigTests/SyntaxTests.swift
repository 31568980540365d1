import Testing

@testable import Config

/// What YAML itself, or what xtcpd does not take of it, is refused with, and exactly where.
@Suite struct SyntaxTests {
  static let noPipelines =
    "1:1: error: `pipelines` is missing; add one, such as "
    + "`pipelines: { host: { sinks: { out: { type: stdout } } } }`"
  static let noVersion = "1:1: error: `version` is missing; begin the file with `version: 1`"
  static let indented = "this is not indented like the entries before it, or a quote or bracket before it is wrong"
  static let colon =
    "unexpected `:`; a value that holds `: ` needs quotes, and a key must be indented like its siblings"

  @Test(arguments: [
    ("version: 1\npipelines:\n\ta: {}\n", "3:1: error: a tab cannot indent YAML; use spaces"),
    ("a: x\n\tb: 1\n", "2:1: error: a tab cannot indent YAML; use spaces"),
    ("version: 1\nglobal:\n  \tlabel: x\n", "3:3: error: a tab cannot indent YAML; use spaces"),
    ("version: 1\nglobal: label: x\n", "2:14: error: \(colon)"),
    ("version: 1\nglobal:\n  label: x\n   tag: y\n", "4:7: error: \(colon)"),
    (
      "version: 1\nglobal:\n    label: x\n  tag: y\n",
      "4:3: error: \(indented) [1:1 the block it should belong to begins here]"
    ),
    (
      "  version: 1\nglobal: {}\n",
      "2:1: error: the document ended before this; is a line indented less than the first key?"
    ),
    ("version: 1\nglobal\npipelines: {}\n", "2:1: error: a key without `:`; write `key: value`"),
    ("version: 1\nglobal:\n  label: \"never\n  tag: x\n", "3:10: error: this quote is never closed"),
    ("version: 1\nglobal:\n  label: 'never\n", "3:10: error: this quote is never closed"),
    (
      "version: 1\nglobal: { paths: { netns: [/a, /b }\n", "2:35: error: expected `,` or `]` [2:27 opened here]"
    ),
    ("version: 1\nglobal: { label: x\npipelines: {}\n", "3:10: error: expected `,` or `}` [2:9 opened here]"),
    ("version: 1\nglobal: { label: x", "2:19: error: expected `,` or `}` [2:9 opened here]"),
    ("version: 1\nglobal: { label: x\n\n# end\n\n", "4:6: error: expected `,` or `}` [2:9 opened here]"),
    ("version: 1\nglobal: { label: @x }\n", "2:18: error: a value cannot start with `@`; put it in quotes"),
    ("version: 1\nglobal: { label: %x }\n", "2:18: error: a value cannot start with `%`; put it in quotes"),
    (
      "version: 1\nglobal: { label: \"C:\\q\" }\n",
      "2:21: error: unknown escape after `\\` in double quotes; write `\\\\` for a backslash or use single quotes"
    ),
    (
      "version: 1\nglobal: { label: !a!b x }\n",
      "2:18: error: tags (`!`) mean nothing here; remove it or put the value in quotes"
    ),
    (
      "version: 1\nglobal: - x\n",
      "2:9: error: a list entry (`- `) cannot stand here; begin the list on a line of its own"
    ),
    (
      "version: 1\nglobal: { label: *.x }\n",
      "2:19: error: `&` and `*` begin anchors and aliases; put the value in quotes"
    ),
    ("version: 1\nglobal: { label: [}\n", "2:19: error: a value is missing here"),
    (
      "version: 1\nglobal:\n  label: |1x\n",
      "3:12: error: not YAML: did not find expected comment or line break [3:10 while scanning a block scalar]"
    ),
    (
      "version: 1\nglobal: { label: x\u{C} }\n",
      "2:19: error: character U+000C is not allowed in a configuration file; remove it"
    ),
    ("version: 1 # \u{FEFF}\n", "1:14: error: character U+FEFF is not allowed in a configuration file; remove it"),
    ("# \u{2028}\n", "1:3: error: character U+2028 is not allowed in a configuration file; remove it"),
    ("# äö \u{85}\n", "1:6: error: character U+0085 is not allowed in a configuration file; remove it"),
    ("version: 1\rglobal: {}\n", "1:11: error: a carriage return without a line feed; end lines with a line feed"),
    ("%YAML 1.2\n---\nversion: 1\n", "1:1: error: YAML directives (`%`) mean nothing here; remove the line"),
    ("hello\n", "1:1: error: the file must be a mapping that begins with `version: 1`, not `hello`"),
    ("- a\n", "1:1: error: the file must be a mapping that begins with `version: 1`, not a list"),
    ("~\n", "1:1: error: the file must be a mapping that begins with `version: 1`, not nothing"),
  ]) func oneError(_ text: String, _ expected: String) {
    #expect(diagnose(text) == [expected])
  }

  @Test(arguments: [
    ("", [noVersion, noPipelines]),
    ("# only a comment\n", [noVersion, noPipelines]),
    (
      "version: 1\n---\nversion: 1\n",
      [
        noPipelines,
        "2:1: error: a second document starts here; a configuration is one document, so remove this `---`",
      ]
    ),
    (
      "version: 1\nglobal: {}\nglobal: {}\n",
      [noPipelines, "3:1: error: `global` is given twice; remove one of them [2:1 first here]"]
    ),
    (
      "version: !!int 1\nglobal: { label: !x y }\n",
      [
        noPipelines, "1:10: error: the tag `tag:yaml.org,2002:int` means nothing here; remove it",
        "2:18: error: the tag `!x` means nothing here; remove it",
      ]
    ),
    (
      "version: 1\nglobal: &glob {}\ndefaults: *glo\n",
      [noPipelines, "3:11: error: no anchor `&glo` stands before this alias; did you mean `glob`?"]
    ),
    ("version: 1\n[a]: b\n", [noPipelines, "2:1: error: a key must be text, not a list"]),
    ("? {a: b}\n: x\nversion: 1\n", [noPipelines, "1:3: error: a key must be text, not a mapping"]),
    (
      "version: 1\ndefaults: &d { align: none }\npipelines:\n  p:\n    <<: *d\n    sinks: { o: { type: stderr } }\n",
      [
        "5:5: error: YAML merge keys (`<<`) are not supported; put what pipelines share into a profile and name it in "
          + "`extends`, or under `defaults`"
      ]
    ),
    (
      "version: 1\nglobal:\n  äöü: { x: 1 }\n  labl中: 3\n",
      [noPipelines, "3:3: error: unknown key `äöü` in `global`", "4:3: error: unknown key `labl中` in `global`"]
    ),
    (
      "version: 1\nglobal: { \"\\e[31m\": 1 }\n",
      [noPipelines, "2:11: error: unknown key `\\u{1b}[31m` in `global`"]
    ),
    (
      "version: 1\nglobal:\npipelines: []\n",
      [
        "2:8: error: `global` has no value; give it a mapping or remove the key",
        "3:12: error: `pipelines` must be a mapping from names, not a list",
      ]
    ),
    (
      "a: &a [*a]\n",
      [
        "1:1: error: unknown key `a` at the top level", noVersion, noPipelines,
        "1:8: error: no anchor `&a` stands before this alias",
      ]
    ),
  ]) func severalErrors(_ text: String, _ expected: [String]) {
    #expect(diagnose(text) == expected)
  }

  @Test func bytesThatAreNotText() {
    func diagnose(_ bytes: [UInt8]) -> [String] {
      ConfigurationFile.read(bytes: bytes, named: "x", vocabulary: vocabulary).diagnostics.map(summary)
    }
    func refused(_ byte: String) -> String { "1:4: error: byte 0x\(byte) is not UTF-8; save the file as UTF-8" }
    let start = Array("a: ".utf8)
    #expect(diagnose(start + [0xC3, 0x28]) == [refused("C3")])
    #expect(diagnose(start + [0xC0, 0x80]) == [refused("C0")])
    #expect(diagnose(start + [0xE0, 0x80, 0x80]) == [refused("E0")])
    #expect(diagnose(start + [0xED, 0xA0, 0x80]) == [refused("ED")])
    #expect(diagnose(start + [0xF4, 0x90, 0x80, 0x80]) == [refused("F4")])
    #expect(diagnose(start + [0xF0, 0x9F, 0x98]) == [refused("F0")])
    #expect(diagnose(start + [0xFF]) == [refused("FF")])
    #expect(diagnose([0xFF, 0xFE, 0x61, 0]) == ["1:1: error: the file is UTF-16; save it as UTF-8"])
    #expect(diagnose([0xFE, 0xFF, 0, 0x61]) == ["1:1: error: the file is UTF-16; save it as UTF-8"])
    #expect(diagnose([0]) == ["1:1: error: character U+0000 is not allowed in a configuration file; remove it"])
  }

  /// Everything else is reported too, in columns of what follows the mark.
  @Test func byteOrderMark() {
    #expect(
      diagnose("\u{FEFF}vers: 1\n" + String(onePipeline("").dropFirst("version: 1\n".count))) == [
        "1:1: error: the file starts with a byte order mark; save it as UTF-8 without one",
        "1:1: error: unknown key `vers` at the top level; did you mean `version`?", Self.noVersion,
      ])
  }

  @Test func windowsLineEndsAndFourByteCharacters() throws {
    let text = onePipeline("label: \"\u{1F600}\"").replacing("\n", with: "\r\n")
    let settings = try #require(read(text).settings)
    #expect(settings.pipelines.first?.label == "\u{1F600}")
    #expect(diagnose(text + "x: 1\r\n").map { $0.prefix(4) } == ["6:1:"])
  }

  @Test func blockScalars() throws {
    let settings = try #require(read(onePipeline("label: >-\n  folded\n  text\ntag: |-\n  literal")).settings)
    #expect(settings.pipelines.first?.label == "folded text")
    #expect(settings.pipelines.first?.tag == "literal")
  }

  @Test func aliasesAreTheirAnchors() throws {
    let text = """
      version: 1
      defaults: { sinks: { o: &sink { type: blackhole } } }
      pipelines:
        a: &a { interval: 5s }
        b: *a
        c: { sinks: { x: *sink } }
      """
    let pipelines = try #require(read(text).settings).pipelines
    #expect(pipelines.map(\.interval) == [.seconds(5), .seconds(5), .seconds(10)])
    #expect(pipelines[2].sinks.map(\.name) == ["o", "x"])
  }

  @Test func rendering() {
    let outcome = read(
      "version: 1\nglobal: { labl: x }\nglobal: {}\npipelines: { p: { sinks: { o: { type: stdout } } } }\n")
    #expect(
      outcome.rendered == """
        x.yaml:2:11: error: unknown key `labl` in `global`; did you mean `label`?
            2 | global: { labl: x }
              |           ^~~~
        x.yaml:3:1: error: `global` is given twice; remove one of them
            3 | global: {}
              | ^~~~~~
        x.yaml:2:1: note: first here
            2 | global: { labl: x }
              | ^~~~~~
        2 errors

        """)
  }

  @Test func longLinesAreCutAroundTheCaret() throws {
    let text = "version: 1\nglobal: { label: \(String(repeating: "x", count: 200)), labl: y }\npipelines: {}\n"
    let diagnostic = try #require(read(text).diagnostics.first)
    #expect((diagnostic.line, diagnostic.column) == (2, 220))
    #expect(diagnostic.excerpt.hasPrefix("...xxx"))
    let caret = Array(diagnostic.excerpt)[diagnostic.place.caret...]
    #expect(String(caret) == "labl: y }")
    #expect(diagnostic.place.width == 4)
  }

  @Test func controlCharactersDoNotReachTheTerminal() throws {
    let diagnostic = try #require(read("a\u{1B}[31m: 1\n").diagnostics.first)
    #expect(diagnostic.excerpt == "a\u{FFFD}[31m: 1")
    #expect(try #require(read("version: 1 # \u{202E}x\n").diagnostics.first).excerpt == "version: 1 # \u{FFFD}x")
  }
}
