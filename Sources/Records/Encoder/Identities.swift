// Who and what a row is about, beside the kernel's data. Every string is cut to 255 bytes of UTF-8 when it is encoded.

/// The host, as every row of this process names it.
public struct HostIdentity: Sendable, Hashable {
  public var hostname: String
  public var location: String
  /// `/proc/sys/kernel/random/boot_id`.
  public var bootID: String
  /// `/etc/machine-id`.
  public var machineID: String
  public var daemonVersion: String
  /// `uname -r`, for example "6.18.44". Decides how the last four bytes of a 280-byte `tcp_info` are read: their layout
  /// changed with Linux 7.0 and nothing in the message tells. Empty: those fields are left out.
  public var kernelRelease: String

  public init(
    hostname: String = "", location: String = "", bootID: String = "", machineID: String = "",
    daemonVersion: String = "", kernelRelease: String = ""
  ) {
    self.hostname = hostname
    self.location = location
    self.bootID = bootID
    self.machineID = machineID
    self.daemonVersion = daemonVersion
    self.kernelRelease = kernelRelease
  }
}

/// The pipeline, as every row of it names it.
public struct PipelineIdentity: Sendable, Hashable {
  public var name: String
  public var label: String
  public var tag: String
  /// N of the sampling, 1 for all sockets.
  public var sampleEvery: UInt32

  public init(name: String = "", label: String = "", tag: String = "", sampleEvery: UInt32 = 1) {
    self.name = name
    self.label = label
    self.tag = tag
    self.sampleEvery = sampleEvery
  }
}

/// The network namespace that a dump was taken in.
public struct NamespaceIdentity: Sendable, Hashable {
  public var name: String
  public var inode: UInt64
  /// `SO_NETNS_COOKIE` of a socket inside; 0 where the kernel has none (before 5.14).
  public var cookie: UInt64

  public init(name: String, inode: UInt64, cookie: UInt64) {
    self.name = name
    self.inode = inode
    self.cookie = cookie
  }
}
