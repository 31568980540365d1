import Testing

@testable import Config

/// The settings of `filter` beside the states: what they take, and what they say of the rest.
enum FilterCases {
  typealias Case = SettingCase<PipelineSettings>

  static let all: [Case] =
    [
      prefixes("filter.source") { $0.filter.terms.source },
      prefixes("filter.destination") { $0.filter.terms.destination },
      prefixes("filter.not.source") { $0.filter.not.terms.source },
      prefixes("filter.not.destination") { $0.filter.not.terms.destination },
      ports("filter.source_port") { $0.filter.terms.sourcePort },
      ports("filter.destination_port") { $0.filter.terms.destinationPort },
      ports("filter.not.source_port") { $0.filter.not.terms.sourcePort },
      ports("filter.not.destination_port") { $0.filter.not.terms.destinationPort },
      SettingCase(
        path: "filter.not.states", isDefault: { $0.filter.not.states.isEmpty },
        good: [
          ("[]", { $0.filter.not.states.isEmpty }), ("listen", { $0.filter.not.states == [.listen] }),
          ("[listen, time_wait]", { $0.filter.keptStates.count == 9 }),
        ],
        bad: [("{}", "`filter.not.states` must be a list, not a mapping")]),
    ]

  private static func prefixes(
    _ path: String, _ get: @escaping @Sendable (PipelineSettings) -> [AddressPrefix]
  ) -> Case {
    func `is`(_ texts: [String]) -> Case.Check { { get($0).map(\.description) == texts } }
    return SettingCase(
      path: path, isDefault: { get($0).isEmpty },
      good: [
        ("[]", `is`([])), ("127.0.0.0/8", `is`(["127.0.0.0/8"])), ("192.0.2.1", `is`(["192.0.2.1"])),
        ("[10.0.0.0/8, 2001:db8::/32, \"::1\"]", `is`(["10.0.0.0/8", "2001:db8::/32", "::1"])),
        ("[0.0.0.0/0, \"::/0\", 10.1.2.3/32]", `is`(["0.0.0.0/0", "::/0", "10.1.2.3"])),
        ("2001:db8:8000::/33", `is`(["2001:db8:8000::/33"])),
      ],
      bad: [
        (
          "10.1.2.3/8",
          "`\(path)`: `10.1.2.3/8` has bits set behind the first 8; write 10.0.0.0/8 for the network, or 10.1.2.3 for that "
            + "one address"
        ),
        (
          "[2001:db8::1/33]",
          "`\(path)`: `2001:db8::1/33` has bits set behind the first 33; write 2001:db8::/33 for the network, or "
            + "2001:db8::1 for that one address"
        ),
        ("10.0.0.0/33", "`\(path)`: `10.0.0.0/33` has a bad prefix length; write /0 to /32"),
        ("10.0.0.0/08", "`\(path)`: `10.0.0.0/08` has a bad prefix length; write /0 to /32"),
        ("10.0.0.0/", "`\(path)`: `10.0.0.0/` has a bad prefix length; write /0 to /32"),
        ("\"::/129\"", "`\(path)`: `::/129` has a bad prefix length; write /0 to /128"),
        ("localhost", "`\(path)`: `localhost` is neither an address nor a prefix such as 10.0.0.0/8 or 2001:db8::/32"),
        ("10.0.0/8", "`\(path)`: `10.0.0/8` is neither an address nor a prefix such as 10.0.0.0/8 or 2001:db8::/32"),
        ("{}", "`\(path)` must be a list, not a mapping"),
        ("", "`\(path)` has no value; give it a list or remove the key"),
      ])
  }

  private static func ports(_ path: String, _ get: @escaping @Sendable (PipelineSettings) -> [PortRange]) -> Case {
    func `is`(_ texts: [String]) -> Case.Check { { get($0).map(\.description) == texts } }
    let expected = "is neither a port from 0 to 65535 nor a range such as 8000-8999"
    return SettingCase(
      path: path, isDefault: { get($0).isEmpty },
      good: [
        ("[]", `is`([])), ("443", `is`(["443"])), ("8000-8999", `is`(["8000-8999"])),
        ("[443, 8000-8999]", `is`(["443", "8000-8999"])), ("[0, \"65535\"]", `is`(["0", "65535"])),
        ("0-65535", `is`(["0-65535"])), ("\"80-80\"", `is`(["80"])),
      ],
      bad: [
        ("8999-8000", "`\(path)`: `8999-8000` runs backwards; write 8000-8999"),
        ("65536", "`\(path)`: `65536` \(expected)"), ("1-65536", "`\(path)`: `1-65536` \(expected)"),
        ("-1", "`\(path)`: `-1` \(expected)"), ("1-", "`\(path)`: `1-` \(expected)"),
        ("080", "`\(path)`: `080` \(expected)"), ("0x50", "`\(path)`: `0x50` \(expected)"),
        ("https", "`\(path)`: `https` \(expected)"), ("[1-2-3]", "`\(path)`: `1-2-3` \(expected)"),
        ("{}", "`\(path)` must be a list, not a mapping"),
      ])
  }
}

@Suite struct FilterSettingsTests {
  private func messages(_ body: String) -> [String] { read(onePipeline(body)).diagnostics.map(summary) }

  @Test func theExampleOfTheManual() throws {
    let outcome = read(
      onePipeline(
        "filter: { states: [established], not: { destination: 127.0.0.0/8 }, destination_port: [443, 8000-8999] }"))
    let filter = try #require(outcome.settings?.pipelines.first).filter
    #expect(filter.states == [.established] && filter.keptStates == [.established])
    #expect(filter.terms.destinationPort.map(\.description) == ["443", "8000-8999"])
    #expect(filter.not.terms.destination.map(\.description) == ["127.0.0.0/8"])
    #expect(filter.terms.destination.isEmpty && filter.not.terms.destinationPort.isEmpty && !filter.terms.isEmpty)
  }

  @Test func wordsAreChecked() {
    #expect(
      messages("filter: { not: { state: listen } }") == [
        "5:22: error: unknown key `state` in `filter.not`; did you mean `states`?"
      ])
    #expect(
      messages("filter: { ports: 443 }").first?.hasPrefix("5:15: error: unknown key `ports` in `filter`") == true)
    #expect(
      messages("filter: { states: listne }") == [
        "5:23: error: `filter.states` must be one of established, syn_sent, syn_recv, fin_wait1, fin_wait2, time_wait, "
          + "close, close_wait, last_ack, listen, closing, not `listne`; did you mean `listen`?"
      ])
    #expect(
      messages("filter: { source_port: [80, 80] }") == [
        "5:33: error: `filter.source_port` holds `80` twice; remove one of them [5:29 first here]"
      ])
  }

  @Test func aFilterKeepsSomeState() {
    #expect(
      messages("filter: { states: [listen, closing], not: { states: [closing, listen] } }") == [
        "5:57: error: `filter.not.states` drops every state that `filter.states` keeps; leave one "
          + "[5:23 `filter.states` is set here]"
      ])
    #expect(messages("filter: { states: [listen, closing], not: { states: closing } }") == [])
  }
}
