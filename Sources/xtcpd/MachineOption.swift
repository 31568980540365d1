import ArgumentParser
import Config
import Pipelines

/// `--for LIMITS`: the machine that a configuration is judged for.
struct MachineOption: ParsableArguments {
  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "Judge for a machine with cpus=8,nofile=65536,memlock=8MiB,io_uring=no; what is left out is as it is here.",
      valueName: "limits"))
  var limits: String?

  func validate() throws {
    if limits != nil { _ = try capacity() }
  }

  /// This machine with what `--for` says in place of its own limits. Whether rings are to be had is not tried out: they are
  /// counted unless `--for` says otherwise.
  func capacity() throws -> HostCapacity {
    let own = HostCapacity.current()
    guard let limits else { return own }
    do throws(HostCapacity.Mistake) {
      return try own.overridden(by: limits)
    } catch {
      throw ValidationError("--for: \(error)")
    }
  }

  /// Adds up what a configuration asks for. Prints what is wrong with it, and throws exit code 78 if anything is an error.
  func admit(_ outcome: Outcome) throws -> (settings: Settings, admission: AdmissionResult) {
    let capacity = try capacity()
    let settings = try outcome.settings ?? outcome.told()
    let admission = Admission(settings, on: capacity, .pipelines).admit()
    return (try outcome.adding(admission).told(), admission)
  }
}
