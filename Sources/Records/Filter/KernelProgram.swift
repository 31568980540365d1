/// A program that the kernel runs for each socket of a dump: `INET_DIAG_REQ_BYTECODE`, `inet_diag_bc_run` in net/ipv4/inet_diag.c.
///
/// It is a list of `struct inet_diag_bc_op` (code, bytes to go on by if it is true, bytes to go on by if it is not), some with operands
/// behind them. A socket is reported if the run ends exactly at the end of the program; a jump 4 bytes beyond it drops the socket.
/// Jumps go forward only, and to operations that can be reached by going on from true to true (`inet_diag_bc_audit`): so here what is
/// true always goes on with the next operation.
public struct KernelProgram: Sendable, Hashable {
  /// Operations that compare, by `INET_DIAG_BC_*`.
  enum Code: UInt8 {
    case jump = 1  // JMP
    case sourcePortAtLeast = 2  // S_GE
    case sourcePortAtMost = 3  // S_LE
    case destinationPortAtLeast = 4  // D_GE
    case destinationPortAtMost = 5  // D_LE
    case source = 7  // S_COND
    case destination = 8  // D_COND
    case interface = 9  // DEV_COND
    case mark = 10  // MARK_COND
    case controlGroup = 13  // CGROUP_COND
  }

  /// Where a number has to be filled in that is known in a namespace only.
  struct Blank: Sendable, Hashable {
    let offset: Int
    /// 4 or 8 bytes.
    let width: Int
    /// Index into the filter's bindings.
    let binding: Int
  }

  /// In the machine's byte order, as in the request. Empty: every socket is reported.
  let bytes: [UInt8]
  let blanks: [Blank]
  /// Operations, which is what a socket costs at most.
  let operations: Int

  public var isEmpty: Bool { bytes.isEmpty }

  /// Writes the program to the start of `memory`, which holds `bytes.count` or more.
  func write(into memory: UnsafeMutableRawBufferPointer, bindings: UnsafePointer<UInt64>?) {
    memory.copyBytes(from: bytes)
    guard let bindings else { return }
    for blank in blanks {
      let number = bindings[blank.binding]
      if blank.width == 8 {
        memory.storeBytes(of: number, toByteOffset: blank.offset, as: UInt64.self)
      } else {
        memory.storeBytes(of: UInt32(clamping: number), toByteOffset: blank.offset, as: UInt32.self)
      }
    }
  }
}

/// Sockets with a source port, or a destination port, between two: two operations in front of a program.
public struct PortInterval: Sendable, Hashable {
  public var isDestination: Bool
  public var ports: ClosedRange<UInt16>

  public init(isDestination: Bool, ports: ClosedRange<UInt16>) {
    self.isDestination = isDestination
    self.ports = ports
  }

  static let byteCount = 16

  /// Writes the operations for a request whose program goes on for `rest` bytes behind them.
  func write(into memory: UnsafeMutableRawBufferPointer, rest: Int) {
    write(
      isDestination ? .destinationPortAtLeast : .sourcePortAtLeast, ports.lowerBound, at: 0, of: memory, rest: rest)
    write(
      isDestination ? .destinationPortAtMost : .sourcePortAtMost, ports.upperBound, at: 8, of: memory, rest: rest)
  }

  private func write(
    _ code: KernelProgram.Code, _ port: UInt16, at offset: Int, of memory: UnsafeMutableRawBufferPointer, rest: Int
  ) {
    let beyond = UInt16(truncatingIfNeeded: Self.byteCount - offset + rest + 4)
    memory.storeBytes(of: code.rawValue, toByteOffset: offset, as: UInt8.self)
    memory.storeBytes(of: 8, toByteOffset: offset + 1, as: UInt8.self)
    memory.storeBytes(of: beyond, toByteOffset: offset + 2, as: UInt16.self)
    memory.storeBytes(of: 0, toByteOffset: offset + 4, as: UInt16.self)
    memory.storeBytes(of: port, toByteOffset: offset + 6, as: UInt16.self)
  }
}

/// Puts programs together: operations with labels in place of distances.
struct KernelAssembler {
  struct Label { fileprivate let index: Int }

  /// The label of what drops the socket.
  static let drop = Label(index: 0)

  private var bytes: [UInt8] = []
  private var blanks: [KernelProgram.Blank] = []
  private(set) var operations = 0
  /// Offsets, by label; nil until it is placed.
  private var labels: [Int?] = [nil]
  /// Operations and where they go if they are not true.
  private var jumps: [(offset: Int, label: Label)] = []

  mutating func makeLabel() -> Label {
    labels.append(nil)
    return Label(index: labels.count - 1)
  }

  /// The label means what comes next.
  mutating func place(_ label: Label) { labels[label.index] = bytes.count }

  /// Goes on with the next operation if it is true.
  mutating func emit(_ code: KernelProgram.Code, _ operands: [UInt8] = [], otherwise label: Label) {
    jumps.append((bytes.count, label))
    bytes += [code.rawValue, UInt8(4 + operands.count), 0, 0] + operands
    operations += 1
  }

  mutating func emit(_ code: KernelProgram.Code, port: UInt16, otherwise label: Label) {
    emit(code, [0, 0] + Self.bytes(of: port), otherwise: label)
  }

  mutating func emit(
    _ code: KernelProgram.Code, number: RowFilter.Number, width: Int, binding: (String) -> Int, otherwise label: Label
  ) {
    switch number {
    case .known(let value):
      emit(code, Array(Self.bytes(of: value)[..<width]), otherwise: label)
    case .named(let name):
      blanks.append(KernelProgram.Blank(offset: bytes.count + 4, width: width, binding: binding(name)))
      emit(code, [UInt8](repeating: 0, count: width), otherwise: label)
    }
  }

  mutating func jump(to label: Label) { emit(.jump, otherwise: label) }

  /// The finished program.
  func assemble() -> KernelProgram {
    var bytes = bytes
    for jump in jumps {
      let target = labels[jump.label.index] ?? bytes.count + 4
      bytes.replaceSubrange(
        jump.offset + 2..<jump.offset + 4, with: Self.bytes(of: UInt16(clamping: target - jump.offset)))
    }
    return KernelProgram(bytes: bytes, blanks: blanks, operations: operations)
  }

  static func bytes<Number: FixedWidthInteger>(of number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }
}
