import Glibc

/// A network namespace's file on nsfs: device and inode number. Not an identity: numbers are used again as soon as a
/// namespace is gone.
public struct NamespaceNode: Hashable, Sendable {
  /// st_dev of nsfs.
  public var device: UInt64
  /// st_ino, the number in `net:[4026531840]`.
  public var inode: UInt64

  /// The node with these numbers.
  public init(device: UInt64, inode: UInt64) {
    self.device = device
    self.inode = inode
  }

  init(_ status: stat) { self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)) }
}

/// What makes a network namespace the same one: its node together with its cookie, which is never used again
/// (SO_NETNS_COOKIE, Linux 5.14). A cookie of 0 is unknown.
public struct NamespaceKey: Hashable, Sendable {
  /// Its file, for as long as it lives.
  public var node: NamespaceNode
  /// Its cookie, for ever; 0 if unknown.
  public var cookie: UInt64

  /// The identity made of both.
  public init(node: NamespaceNode, cookie: UInt64) {
    self.node = node
    self.cookie = cookie
  }
}

/// A network namespace as a discovery found it: what it is called, what it is, how to get in. Immutable; the same
/// object is returned by later discoveries for as long as nothing about it changes. It holds nothing open.
public final class Namespace: Sendable {
  /// `host`; or the file name of a mount in a configured directory; or a mount's whole path; or `net:[inode]`.
  public let name: String
  /// What it is.
  public let key: NamespaceKey
  /// It is the namespace of PID 1.
  public let isHost: Bool
  /// Where it can be entered, the most lasting first: mounts, then processes. Never empty.
  public let paths: [String]
  /// All mounts of it, in the order of preference for the name; what `{path: glob}` selects by.
  public let mounts: [String]
  /// The control groups of the first process in it, one path a hierarchy; empty unless they are looked at, or if no process
  /// is in it.
  public let cgroups: [String]
  /// `paths` as C strings, made once, so that entering allocates nothing.
  let entrances: CStrings

  /// An entry for a namespace known by other means than discovery.
  public init(
    name: String, key: NamespaceKey, isHost: Bool, paths: [String], mounts: [String], cgroups: [String] = []
  ) {
    self.name = name
    self.key = key
    self.isHost = isHost
    self.paths = paths
    self.mounts = mounts
    self.cgroups = cgroups
    entrances = CStrings(paths.map { Array($0.utf8) })
  }

  /// For paths that need not be UTF-8, as file names are; `paths` shows them repaired.
  init(
    name: String, key: NamespaceKey, isHost: Bool, entrances: [[UInt8]], mounts: [String], cgroups: [String]
  ) {
    self.name = name
    self.key = key
    self.isHost = isHost
    self.paths = entrances.map { String(decoding: $0, as: UTF8.self) }
    self.mounts = mounts
    self.cgroups = cgroups
    self.entrances = CStrings(entrances)
  }

  /// What was sketched, with the cookie that entering it has told.
  init(_ sketch: Namespace, cookie: UInt64) {
    name = sketch.name
    key = NamespaceKey(node: sketch.key.node, cookie: cookie)
    isHost = sketch.isHost
    paths = sketch.paths
    mounts = sketch.mounts
    cgroups = sketch.cgroups
    entrances = sketch.entrances
  }

  /// Its number on nsfs.
  public var inode: UInt64 { key.node.inode }
  /// Its cookie; 0 if unknown.
  public var cookie: UInt64 { key.cookie }
}

/// C strings that live as long as this object.
final class CStrings: Sendable {
  private nonisolated(unsafe) let pointers: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>>

  init(_ strings: [[UInt8]]) {
    pointers = .allocate(capacity: strings.count)
    for (position, string) in strings.enumerated() {
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: string.count + 1)
      for (offset, byte) in string.enumerated() { (copy + offset).initialize(to: CChar(bitPattern: byte)) }
      (copy + string.count).initialize(to: 0)
      pointers.initializeElement(at: position, to: copy)
    }
  }

  deinit {
    for pointer in pointers { pointer.deallocate() }
    pointers.deallocate()
  }

  var count: Int { pointers.count }
  subscript(_ position: Int) -> UnsafePointer<CChar> { UnsafePointer(pointers[position]) }
}
