import Config
import Glibc
import IO
import Logging
import Records

/// The last configuration that was taken over, as its files are (`${...}` unexpanded), in `global.data_dir`: what
/// `reload.boot_fallback: last_good` starts with when the present one is invalid.
enum LastGood {
  /// In `data_dir`, mode 0600.
  static let fileName = "last-good"
  private static let maximumBytes = 8 << 20

  /// Keeps a configuration that was taken over. That it cannot be kept harms nothing that runs: it is said.
  static func keep(_ outcome: Outcome, log: Logger) {
    guard let closure = outcome.closure, let global = outcome.settings?.global else { return }
    do throws(SystemError) {
      try DurableFile.replace("\(global.dataDir)/\(fileName)", with: closure.encodeArchive())
    } catch {
      let isNeeded = global.reload.bootFallback == .lastGood
      log.log(
        level: isNeeded ? .warning : .info, "the configuration is not kept for reload.boot_fallback: \(error)")
    }
  }

  /// What to start with in place of an invalid configuration: the last good one, if that says that it may be, and the
  /// invalid one does not say that it may not.
  ///
  /// - Parameter outcome: the invalid one. It is looked for in its `data_dir`, then in the service manager's state
  ///   directory; where it cannot be read far enough to say `data_dir`, in the built-in one last.
  static func find(inPlaceOf outcome: Outcome, log: Logger) -> Outcome? {
    let hints = FallbackHints(outcome)
    if hints.bootFallback == BootFallback.none { return nil }
    for directory in directories(hints.dataDirectory) {
      do throws(SystemError) {
        let path = "\(directory)/\(fileName)"
        guard let bytes = try DurableFile.read(path, limit: maximumBytes) else { continue }
        return try restore(bytes, path: path, log: log)
      } catch {
        log.error("the last good configuration cannot be read: \(error)")
      }
    }
    return nil
  }

  private static func restore(_ bytes: [UInt8], path: String, log: Logger) throws(SystemError) -> Outcome? {
    let closure: ConfigurationClosure
    do throws(ConfigurationClosure.ArchiveError) {
      closure = try ConfigurationClosure(archive: bytes)
    } catch {
      log.error("\(path): \(error)")
      return nil
    }
    let outcome = ConfigurationFile.read(
      archived: closure, vocabulary: Vocabulary(columns: RecordSchema.columnNames))
    LogOutput.redact(also: outcome.references)
    guard let settings = outcome.settings else {
      log.error("\(path): the last good configuration is not valid here any more: \(outcome.rendered)")
      return nil
    }
    guard settings.global.reload.bootFallback == .lastGood else { return nil }
    return outcome
  }

  /// systemd.exec(5): several state directories are separated by colons.
  private static func directories(_ told: String?) -> [String] {
    let state = getenv("STATE_DIRECTORY").map { String(cString: $0) }?.split(separator: ":").map(String.init) ?? []
    let first = told.map { [$0] } ?? []
    let last = told == nil ? [GlobalSettings().dataDir] : []
    return (first + state + last).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}
