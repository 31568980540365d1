import ArgumentParser
import Config
import IO
import Pipelines

/// `xtcpd check`: every error of a configuration, without root, network or side effects.
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks a configuration and prints every error at once.",
    discussion: """
      Reads the file, what it includes and what its values refer to, and nothing else: no root, no network. Errors come as \
      file:line:column with the line they are in; with --format json as one object {valid, hash, pipelines, diagnostics}. \
      The hash is that of the files: the same wherever they are the same, whatever their ${...} stand for. \
      Adds up threads, memory and descriptors and compares them with those of this machine, or of another one that \
      --for describes. Exit code 0: valid. 78: invalid, or more than there is.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case text, json
  }

  @OptionGroup var source: ConfigurationOption

  @OptionGroup var machine: MachineOption

  @Option(help: "text or json.")
  var format = Format.text

  @Option(
    help: ArgumentHelp(
      "error, or warn: environment variables, files and credentials that are not here are warnings, and the settings "
        + "that need them are taken for valid."))
  var unresolved = UnresolvedValues.error

  @Flag(help: "Show what of each pipeline's filter the kernel evaluates: states, ports, and the compiled program.")
  var explain = false

  @Flag(
    help: ArgumentHelp(
      "Also look at this host, and say what could be done about it to have its sockets read at less cost. Enters every network "
        + "namespace for a moment, which needs root."))
  var host = false

  func run() throws {
    let capacity = try machine.capacity()
    var outcome = source.read(unresolved: unresolved)
    var admission: AdmissionResult?
    if let settings = outcome.settings {
      let sums = Admission(settings, on: capacity, .pipelines).admit()
      outcome = outcome.adding(sums)
      admission = sums
      do throws(StartError) {
        try Supervisor.check(settings)
      } catch {
        outcome.diagnostics.append(Diagnostic(error: LogOutput.redacted("\(error)"), in: source.config))
      }
    }
    let filters = explain ? outcome.settings.map(Supervisor.explainFilters) : nil
    let advice = host ? outcome.settings.map(adviseOnHost) : nil
    switch format {
    case .json: print(outcome.json(filters: filters, advice: advice))
    case .text:
      report(outcome, admission, filters ?? [])
      if let advice { print("host: \(advice.isEmpty ? "nothing to be said" : advice)") }
    }
    guard outcome.settings != nil, outcome.errors.isEmpty else { throw ExitCode.invalidConfiguration }
  }

  private func adviseOnHost(_ settings: Settings) -> String {
    do throws(SystemError) {
      let advice = try HostAdvice.ofThisHost(settings)
      return [advice.isWorthIt ? advice.text : "", advice.unknown].filter { !$0.isEmpty }.joined(separator: "; ")
    } catch {
      return "this host cannot be looked at: \(error)"
    }
  }

  private func report(_ outcome: Outcome, _ admission: AdmissionResult?, _ filters: [FilterExplanation]) {
    printError(outcome.rendered, terminator: "")
    guard let settings = outcome.settings, outcome.errors.isEmpty else { return }
    let count = settings.pipelines.count
    print("\(source.config): valid, \(count) pipeline\(count == 1 ? "" : "s")")
    for line in admission?.arithmetic ?? [] { print(line) }
    for line in filters.flatMap(\.text) { print(line) }
    if let closure = outcome.closure { print("hash: \(closure.hash)") }
  }
}

extension UnresolvedValues: ExpressibleByArgument {}
