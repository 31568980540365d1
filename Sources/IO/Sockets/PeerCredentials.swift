internal import CLinux
import Glibc

/// Who is at the other end of a Unix socket, as of the moment it connected: SO_PEERCRED and SO_PEERGROUPS, unix(7).
public struct PeerCredentials: Equatable, Sendable {
  public var pid: Int32
  public var uid: UInt32
  public var gid: UInt32
  /// Supplementary groups.
  public var groups: [UInt32]

  public init(pid: Int32, uid: UInt32, gid: UInt32, groups: [UInt32] = []) {
    self.pid = pid
    self.uid = uid
    self.gid = gid
    self.groups = groups
  }

  /// Those of the peer of a connected Unix socket.
  public init(ofPeerAt socket: Int32) throws(SystemError) {
    var (pid, uid, gid): (Int32, UInt32, UInt32) = (0, 0, 0)
    guard clinux_peer_credentials(socket, &pid, &uid, &gid) == 0 else {
      throw SystemError.last("getsockopt", context: "SO_PEERCRED")
    }
    self.init(pid: pid, uid: uid, gid: gid)
    // NGROUPS_MAX of Linux.
    groups = [UInt32](repeating: 0, count: 65_536)
    let count = groups.withUnsafeMutableBufferPointer { clinux_peer_groups(socket, $0.baseAddress, Int32($0.count)) }
    guard count >= 0 else { throw SystemError.last("getsockopt", context: "SO_PEERGROUPS") }
    groups = Array(groups.prefix(Int(count)))
  }

  /// Belongs to a group, by its own or a supplementary one.
  public func isMember(of group: UInt32) -> Bool { gid == group || groups.contains(group) }
}

/// Groups of the system.
public enum SystemGroup {
  /// The number of a group by its name, or by its number in digits; nil if there is none.
  public static func number(of name: String) -> UInt32? {
    if let number = UInt32(name) { return number }
    return getgrnam(name)?.pointee.gr_gid
  }
}
