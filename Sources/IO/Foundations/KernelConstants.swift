/// Constants that the importer loses, because two C modules both define them as macros over enum constants. Names and
/// values are the kernel's (include/linux/socket.h, include/uapi/linux/netlink.h, include/uapi/asm-generic/socket.h)
/// and part of its ABI.
enum KernelConstant {
  static let MSG_TRUNC: Int32 = 0x20
  static let MSG_DONTWAIT: Int32 = 0x40
  static let MSG_WAITALL: Int32 = 0x100
  static let MSG_NOSIGNAL: Int32 = 0x4000
  static let NETLINK_SOCK_DIAG: Int32 = 4
  static let SO_NETNS_COOKIE: Int32 = 71
}
