internal import CLinux
import Glibc

/// Names of network interfaces whose indices are looked up, which differ from namespace to namespace.
public final class InterfaceNames: Sendable {
  private let names: CStrings

  public init(_ names: [String]) { self.names = CStrings(names.map { Array($0.utf8) }) }

  /// The index in the namespace that the calling thread is in (RTM_GETLINK, rtnetlink(7)); nil if no interface has the name there. Does
  /// not allocate.
  public func index(_ position: Int) throws(SystemError) -> UInt32? {
    let index = clinux_interface_index(names[position])
    if index > 0 { return UInt32(index) }
    guard errno == ENODEV else { throw SystemError.last("RTM_GETLINK") }
    return nil
  }
}
