/// Where a file sink appends.
public struct FileSinkSettings: Sendable, Equatable {
  /// An absolute path; parts of it may come from the clock.
  public var path: Template
  /// Permission bits of a file that the sink creates, before the umask.
  public var mode: UInt32
  /// Bytes from which on a file is put aside and another begun; nil: never.
  public var rotateBytes: Int?
  /// Time from which on; nil: never.
  public var rotateAge: Duration?
  /// Files put aside that are kept; nil: all.
  public var rotateKeep: Int?
  public var compression = FileCompression.none
  /// When written rows have to be on the disk.
  public var fsync = FilePersistence.none

  /// A file sink; 0640 is what a file gets that no one else shall read.
  public init(path: String = "", mode: UInt32 = 0o640) {
    self.path = Template(path)
    self.mode = mode
  }
}

/// How a file is compressed.
public enum FileCompression: String, CaseIterable, Sendable {
  case none
  /// A frame for each batch: what is whole on disk can be read.
  case zstd
}

/// When rows have to be on the disk before they count as delivered.
public enum FilePersistence: String, CaseIterable, Sendable {
  /// When the kernel wants.
  case none
  /// Each batch, before the next one is written.
  case batch
}

extension FileSinkSettings {
  var traits: SinkTraits {
    var traits = SinkTraits(destination: path.written, writesFiles: true)
    // Its file twice, while it is opened again.
    traits.descriptors = 2
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var file: FileSinkSettings {
    get { if case .file(let settings) = self { settings } else { FileSinkSettings() } }
    set { self = .file(newValue) }
  }
}

extension SinkType {
  static let file = SinkType(
    "file", "A file that is appended to, made if it is not there, and opened again when its path names another one.",
    .file(FileSinkSettings()),
    [
      Setting(
        "path", \.kind.file.path, .template(.path), required: true, reload: .pipeline,
        "The file; symbolic links are not followed. With `{date}` or `{hour}` (UTC) another one is begun when it is time; folders "
          + "that are missing are made then."),
      Setting(
        "mode", \.kind.file.mode, .fileMode, default: "\"0640\"", reload: .pipeline,
        "Permission bits of a file that is made, less the umask."),
      Setting(
        "rotate.bytes", \.kind.file.rotateBytes, .none(or: .size(64 << 10...1 << 50)), default: "none",
        reload: .pipeline, "A file that would grow beyond this is renamed to PATH.TIME, and another one begun."),
      Setting(
        "rotate.age", \.kind.file.rotateAge, .none(or: .duration(.seconds(1) ... .seconds(31_536_000))),
        default: "none", reload: .pipeline, "And so is one that was opened this long ago, unless it is empty."),
      Setting(
        "rotate.keep", \.kind.file.rotateKeep, .none(or: .integer(1...100_000)), default: "none", reload: .pipeline,
        "The newest of those are kept, the others removed; `none` keeps all."),
      Setting(
        "compression", \.kind.file.compression, .choice, default: "none", reload: .pipeline,
        "`zstd`: a frame for each batch, so that the file can be read while it grows; give the path the ending `.zst`."),
      Setting(
        "fsync", \.kind.file.fsync, .choice, default: "none", reload: .pipeline,
        "`batch`: rows count as delivered when they are on the disk (fdatasync after each batch); `none`: when the kernel has "
          + "them."),
    ], groups: [("rotate", "When a file is put aside; an outside program that renames it is noticed as well.")],
    formats: FormatName.allCases)
}
