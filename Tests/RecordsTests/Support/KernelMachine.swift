/// What the kernel does with a program: checks it (`inet_diag_bc_audit`) and runs it (`inet_diag_bc_run`), both in
/// net/ipv4/inet_diag.c. Written down a second time to test programs without a kernel.
struct KernelMachine {
  /// `struct inet_diag_entry`
  struct Entry {
    var family: UInt8
    var source: [UInt8]
    var destination: [UInt8]
    var sourcePort: UInt16
    var destinationPort: UInt16
    var interface: UInt32
    var mark: UInt32
    var cgroup: UInt64
  }

  struct Invalid: Error { let offset: Int }

  private let program: [UInt8]

  init(_ program: [UInt8]) throws(Invalid) {
    self.program = program
    var at = 0
    while at < program.count {
      let left = program.count - at
      let (yes, no) = (Int(program[at + 1]), Int(number(at + 2, UInt16.self)))
      var least = 4
      switch program[at] {
      case 1: break
      case 2...5:
        least = 8
      case 7, 8:
        guard left >= 12 else { throw Invalid(offset: at) }
        let length = program[at + 4] == 2 ? 4 : 16
        guard [2, 10].contains(program[at + 4]), Int(program[at + 5]) <= 8 * length else { throw Invalid(offset: at) }
        least = 12 + length
      case 9: least = 8
      case 10: least = 12
      case 13: least = 12
      default: throw Invalid(offset: at)
      }
      guard left >= least, yes >= least, yes <= left + 4, yes & 3 == 0, no >= least, no <= left + 4, no & 3 == 0 else {
        throw Invalid(offset: at)
      }
      if no < left, !isReachable(at + no) { throw Invalid(offset: at) }
      at += yes
    }
    guard at == program.count else { throw Invalid(offset: at) }
  }

  /// `valid_cc`: by what is true alone, from the beginning.
  private func isReachable(_ target: Int) -> Bool {
    var at = 0
    while at < program.count {
      if at == target { return true }
      if at > target || program[at + 1] < 4 || program[at + 1] & 3 != 0 { return false }
      at += Int(program[at + 1])
    }
    return at == target
  }

  func reports(_ entry: Entry) -> Bool {
    var at = 0
    while at < program.count {
      let isTrue =
        switch program[at] {
        case 1: false
        case 2: entry.sourcePort >= number(at + 6, UInt16.self)
        case 3: entry.sourcePort <= number(at + 6, UInt16.self)
        case 4: entry.destinationPort >= number(at + 6, UInt16.self)
        case 5: entry.destinationPort <= number(at + 6, UInt16.self)
        case 7: matches(entry.source, entry.family, at + 4)
        case 8: matches(entry.destination, entry.family, at + 4)
        case 9: entry.interface == number(at + 4, UInt32.self)
        case 10: entry.mark & number(at + 8, UInt32.self) == number(at + 4, UInt32.self)
        case 13: entry.cgroup == number(at + 4, UInt64.self)
        default: false
        }
      at += isTrue ? Int(program[at + 1]) : Int(number(at + 2, UInt16.self))
    }
    return at == program.count
  }

  /// `struct inet_diag_hostcond`: family, length of the prefix, port (-1: any), address.
  private func matches(_ address: [UInt8], _ family: UInt8, _ at: Int) -> Bool {
    let (wanted, bits) = (program[at], Int(program[at + 1]))
    if wanted == family { return begins(address, at + 8, bits) }
    let isMapped =
      address.count == 16 && address[..<10].allSatisfy { $0 == 0 } && address[10] == 255 && address[11] == 255
    return family == 10 && wanted == 2 && isMapped && begins(Array(address[12...]), at + 8, bits)
  }

  private func begins(_ address: [UInt8], _ at: Int, _ bits: Int) -> Bool {
    (0..<bits).allSatisfy { bit in (address[bit / 8] ^ program[at + bit / 8]) & 0x80 >> (bit % 8) == 0 }
  }

  private func number<Number: FixedWidthInteger>(_ at: Int, _ type: Number.Type) -> Number {
    (0..<MemoryLayout<Number>.size).reversed().reduce(0) { $0 << 8 | Number(program[at + $1]) }
  }
}
