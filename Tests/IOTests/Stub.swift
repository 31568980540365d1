import Glibc
import Testing

@testable import IO

@Test func smoke() throws {
  let door = try NamespaceDoor()
  let d = try NamespaceDiscoverer()
  let all = try d.discover(through: door)
  for n in all.namespaces { print(n.name, n.inode, n.cookie, n.paths) }
  print(all.tally)
  for mode in [PortChoice.ioUring, .syscall] {
    let port = try openPort(mode, PortOptions(receiveBuffers: 1, operations: 8)).port
    let fd = try door.openDiagSocket(all.namespaces[0])
    var req = [UInt8](repeating: 0, count: 76)
    req.withUnsafeMutableBytes { b in
      b.storeBytes(of: 76, as: UInt32.self)
      b.storeBytes(of: 18, toByteOffset: 4, as: UInt16.self)
      b.storeBytes(of: 0x301, toByteOffset: 6, as: UInt16.self)
      b[16] = 2
      b[19] = 0xfe
      b.storeBytes(of: 0xfff, toByteOffset: 16 + 52, as: UInt32.self)
    }
    req.withUnsafeBytes { b in
      _ = port.send(fd.raw, b, owner: 1)
      var t = port.receive(fd.raw, owner: 2)
      _ = port.timer(at: .now().advanced(by: .milliseconds(20)), owner: 3)
      do {
        for turn in 0..<30 {
          try port.submit()
          _ = try port.reap(limit: 100) { c in
            print(mode, turn, c.kind, c.owner, c.result, c.isFinal, c.completedAt)
            if c.kind == .receive, c.isFinal { t = nil }
          }
          if t == nil { t = port.receive(fd.raw, owner: 2) }
          usleep(1000)
        }
      } catch { print(error) }
      port.cancel(t!)
      try? port.submit()
      _ = try? port.reap(limit: 100) { c in print(mode, c.kind, c.owner, c.result, c.isFinal) }
      print(port.operationGauges, port.receiveBufferGauges)
    }
  }
}
