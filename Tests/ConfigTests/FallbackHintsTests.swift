import Testing

@testable import Config

/// What an invalid configuration still says about what may be started in its place.
@Suite struct FallbackHintsTests {
  static let global =
    "version: 1\nglobal: { data_dir: /x, control: { socket: /c }, reload: { boot_fallback: last_good } }\n"

  private func hints(_ text: String, _ environment: [String: String] = [:]) -> FallbackHints {
    let environment = Environment(environment)
    let outcome = ConfigurationFile.read(
      text: text, named: "x.yaml", vocabulary: vocabulary, environment: environment)
    return FallbackHints(outcome, environment: environment)
  }

  @Test(arguments: [
    "pipelines: { p: { intervall: 1s } }\n", "pipelines:\n  p: { sinks: {\n", "pipelines:\n\tp: x\n",
    "pipelines: [\n]]\n  x\n", "a: 'never closed\nb: 1\n", "pipelines: *none\n",
  ])
  func whatStandsBeforeTheMistakeCounts(rest: String) {
    let found = hints(Self.global + rest)
    #expect(found.dataDirectory == "/x")
    #expect(found.bootFallback == .lastGood)
    #expect(found.controlSocket == "/c")
  }

  @Test func whatStandsBehindItDoesNot() {
    #expect(hints("version: 1\npipelines: { p: {\n" + Self.global).dataDirectory == nil)
  }

  @Test func mistakesInTheSettingsThemselves() {
    let found = hints("version: 1\nglobal: { data_dir: relative, reload: { boot_fallback: maybe } }\n")
    #expect(found.dataDirectory == nil && found.bootFallback == nil)
    #expect(hints("version: 1\nglobal: 7\n") == hints(""))
    #expect(hints("[" + Self.global) == hints(""))
  }

  @Test func valuesFromOutside() {
    let text = "version: 1\nglobal: { data_dir: \"/x/${env:WHERE}\" }\n"
    #expect(hints(text, ["WHERE": "y"]).dataDirectory == "/x/y")
    #expect(hints(text).dataDirectory == nil)
  }

  @Test func includedFilesCount() throws {
    let files = try ConfigurationFiles([
      "xtcpd.yaml": "version: 1\ninclude: [conf.d/*.yaml]\npipelines: { p: { x: } }\n",
      "conf.d/10-host.yaml": "global: { data_dir: /there }\n", "conf.d/20-bad.yaml": "global: {\n",
    ])
    #expect(FallbackHints(files.read(), environment: Environment([:])).dataDirectory == "/there")
  }
}
