/// A setting that two configurations say something different of.
public struct SettingChange: Sendable, Equatable {
  /// Dotted: `interval`, `sinks.local.path`, `global.log.level`.
  public var path: String
  /// What the change costs.
  public var reload: ReloadClass
  /// The values, where they may be shown.
  public var old: String?
  public var new: String?

  public init(_ path: String, _ reload: ReloadClass, old: String? = nil, new: String? = nil) {
    self.path = path
    self.reload = reload
    self.old = old
    self.new = new
  }

  /// `interval 10s -> 5s`, or just the path.
  public var text: String {
    guard let old, let new else { return path }
    return "\(path) \(old) -> \(new)"
  }

  /// The same below `prefix`.
  func under(_ prefix: String) -> SettingChange {
    SettingChange(prefix + path, reload, old: old, new: new)
  }

  var json: JSONValue {
    var members: [JSONValue.Member] = [.init("key", .string(path)), .init("class", .string(reload.rawValue))]
    if let old, let new { members += [.init("old", .string(old)), .init("new", .string(new))] }
    return .object(members)
  }
}

extension SettingsTable {
  /// Every setting that differs.
  func changes(from old: Root, to new: Root) -> [SettingChange] {
    settings.filter { !$0.isEqual(old, new) }.map { setting in
      SettingChange(
        setting.description.path, setting.description.reload, old: setting.shown(old), new: setting.shown(new))
    }
  }
}

extension PipelineSettings {
  /// What makes this pipeline another one than `old`, its sinks one by one.
  func changes(from old: PipelineSettings) -> [SettingChange] {
    let own = SettingsList.pipeline.changes(from: old, to: self).filter { $0.path != "sinks" }
    var ofSinks: [SettingChange] = []
    for sink in sinks {
      guard let before = old.sinks.first(where: { $0.name == sink.name }) else {
        ofSinks.append(SettingChange("sinks.\(sink.name)", .pipeline, old: "absent", new: "added"))
        continue
      }
      // What a sink takes over from the pipeline is said once.
      ofSinks += sink.changes(from: before).filter { !own.contains($0) }.map { $0.under("sinks.\(sink.name).") }
    }
    for sink in old.sinks where !sinks.contains(where: { $0.name == sink.name }) {
      ofSinks.append(SettingChange("sinks.\(sink.name)", .pipeline, old: "present", new: "removed"))
    }
    return own + ofSinks
  }
}

extension SinkSettings {
  /// What makes this sink another one than `old`, by the names of a sink's settings.
  func changes(from old: SinkSettings) -> [SettingChange] {
    let (before, after) = (old.kind.typeName, kind.typeName)
    guard before == after, let type = SinkType.all.first(where: { $0.name == after }) else {
      return [SettingChange("type", .pipeline, old: before, new: after)]
    }
    return type.table.changes(from: old, to: self)
  }
}

extension SinkKind {
  /// As `type:` names it.
  var typeName: String {
    switch self {
    case .stdout: "stdout"
    case .stderr: "stderr"
    case .file: "file"
    case .udp: "udp"
    case .unixgram: "unixgram"
    case .tcp: "tcp"
    case .unix: "unix"
    case .http: "http"
    case .clickHouse: "clickhouse"
    case .s3: "s3"
    case .kafka: "kafka"
    case .nats: "nats"
    case .valkey: "valkey"
    case .nsq: "nsq"
    case .blackhole: "blackhole"
    }
  }
}
