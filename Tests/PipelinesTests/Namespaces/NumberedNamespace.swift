import IO

extension Namespace {
  /// One that exists nowhere, for what is decided without entering any.
  static func numbered(_ number: UInt64) -> Namespace {
    Namespace(
      name: "n\(number)", key: NamespaceKey(node: NamespaceNode(device: 4, inode: number), cookie: number),
      isHost: false, paths: ["/run/netns/n\(number)"], mounts: [])
  }
}
