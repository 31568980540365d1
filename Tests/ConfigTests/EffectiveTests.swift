import Foundation
import Testing

@testable import Config

/// `config show`: what is shown says the same when it is read again.
@Suite struct EffectiveTests {
  static let layered = """
    version: 1
    global: { label: "a \\"b\\" # c", tag: "007", location: "ü\\u202E", log: { level: debug } }
    defaults: { interval: 5s, queue: { bytes: 1MiB }, retry: { max: 1m }, attributes: all }
    profiles: { slow: { interval: 60s, label: ~, sinks: { shared: { queue: { when_full: block } } } } }
    sinks:
      shared: { type: file, path: "/var/log/a b.csv", mode: "0600", format: csv, columns: [netns, hostname] }
      hole: { type: null }
    pipelines:
      one: { extends: [slow], sinks: { shared: { queue: { bytes: 2MiB } }, hole: {} } }
      two:
        attributes: []
        namespaces: { include: [host, { name: "[a-c]*" }, { inode: 5 }], exclude: [{ path: "/x y" }] }
        sinks: { out: { type: stdout, retry: { max: 2m } } }
      off: { enabled: false, sinks: { hole: {} } }
      "null": { sinks: { "-": { type: stderr } } }
      "1": { sinks: { hole: {} } }
    """

  @Test(arguments: [layered, ConfigurationGuide.example, HappyPathTests.example, onePipeline("")])
  func showsWhatSaysTheSame(_ text: String) throws {
    let first = read(text)
    #expect(first.errors == [])
    for origin in [false, true] {
      let shown = try #require(first.effective?.yaml(origin: origin))
      let second = read(shown)
      #expect(second.errors == [])
      #expect(second.settings == first.settings)
      #expect(second.effective?.yaml() == first.effective?.yaml())
    }
  }

  @Test func everySettingIsThere() throws {
    let shown = try #require(read(onePipeline("")).effective?.yaml())
    for setting in SettingsList.global.settings.map(\.description) + SettingsList.pipeline.settings.map(\.description)
    where setting.defaultText != nil {
      let key = setting.path.split(separator: ".").last ?? ""
      #expect(shown.contains(" \(key): "), "\(setting.path)")
    }
  }

  @Test func valuesStandAsTheyWereWritten() throws {
    let text = onePipeline(
      "label: \"x ${env:A} $$\"\ninterval: ${env:I}\nnamespaces: { include: [{ name: \"${env:A}\" }] }")
    let environment = Environment(["A": "secret-a", "I": "3s"])
    func read(_ text: String) -> Outcome {
      ConfigurationFile.read(text: text, named: "x.yaml", vocabulary: vocabulary, environment: environment)
    }
    let first = read(text)
    let shown = try #require(first.effective?.yaml())
    #expect(!shown.contains("secret-a") && !shown.contains("3s"))
    #expect(shown.contains("    label: \"x ${env:A} $$\"\n"))
    #expect(shown.contains("    interval: \"${env:I}\"\n"))
    #expect(read(shown).settings == first.settings)
  }

  @Test func invalidOnesHaveNone() { #expect(read("version: 2\n").effective == nil) }

  @Test func verdictAsJSON() throws {
    func object(_ outcome: Outcome) throws -> [String: Any] {
      #expect(!outcome.json.contains("\n"))
      return try #require(try JSONSerialization.jsonObject(with: Data(outcome.json.utf8)) as? [String: Any])
    }
    let good = try object(read(onePipeline("label: \"a\\tb\"".replacing("\\t", with: " "))))
    #expect(good["valid"] as? Bool == true)
    #expect((good["hash"] as? String)?.count == 64)
    #expect(good["pipelines"] as? [String] == ["p"])
    #expect((good["diagnostics"] as? [Any])?.isEmpty == true)
    let bad = try object(read(onePipeline("intervall: \"\\\"\"")))
    #expect(bad["valid"] as? Bool == false)
    let diagnostic = try #require((bad["diagnostics"] as? [[String: Any]])?.first)
    #expect(diagnostic["severity"] as? String == "error")
    #expect(diagnostic["file"] as? String == "x.yaml")
    #expect((diagnostic["line"] as? Int, diagnostic["column"] as? Int) == (5, 5))
    #expect(diagnostic["message"] as? String == "unknown key `intervall` in a pipeline")
    #expect(diagnostic["suggestion"] as? String == "interval")
  }
}
