import Glibc

/// The distinct values of a column within a row group, in the order of their first appearance, and how to find them.
/// Owns its memory; it grows with the number of values and shrinks again in `removeAll`.
///
/// Whoever opens connections to a host chooses some of its values. So a search is bounded: with more collisions than
/// chance brings, the dictionary counts as full.
struct ParquetDictionary: ~Copyable {
  /// What the dictionary page holds: the values in encoding PLAIN.
  private(set) var values = ByteBuffer(capacity: Self.smallestValues)
  private(set) var count = 0

  /// Of texts: where each starts in `values`, 32 bits each.
  private var offsets = ByteBuffer(capacity: 64)
  /// Open addressing with linear probing: index + 1, 0 where free. At most half full.
  private var slots: UnsafeMutablePointer<UInt32>
  private var slotBits = Self.smallestBits

  /// A dictionary with more values is full, and so is one whose values take more than `mostBytes`.
  let mostValues: Int
  static let mostBytes = 1 << 20
  private static let mostProbes = 256
  private static let smallestBits = 9
  private static let smallestValues = 1024

  init(mostValues: Int) {
    self.mostValues = mostValues
    slots = .allocate(capacity: 1 << Self.smallestBits)
    slots.initialize(repeating: 0, count: 1 << Self.smallestBits)
  }

  deinit { slots.deallocate() }

  /// Bytes held.
  var memory: Int { values.capacity + offsets.capacity + 4 << slotBits }

  mutating func removeAll() {
    values.removeAll(keeping: 4 * Self.smallestValues)
    offsets.removeAll(keeping: Self.smallestValues)
    if slotBits > Self.smallestBits + 3 {
      replaceSlots(bits: Self.smallestBits)
    } else if count > 0 {
      slots.update(repeating: 0, count: 1 << slotBits)
    }
    count = 0
  }

  /// Forgets the values from `kept` on, which take the bytes from `bytes` on. Nothing can be looked up until
  /// `removeAll`.
  mutating func truncate(to kept: Int, bytes: Int) {
    values.truncate(to: bytes)
    offsets.truncate(to: kept * 4)
    count = kept
    slots.update(repeating: 0, count: 1 << slotBits)
  }

  // MARK: Numbers

  /// Puts the index of each of `numbers` into `indexes`.
  ///
  /// - Returns: false if the dictionary is full; what was added until then stays.
  mutating func look<Value: FixedWidthInteger & UnsignedInteger>(
    up numbers: UnsafePointer<Value>, count: Int, into indexes: UnsafeMutablePointer<UInt32>
  ) -> Bool {
    var last: Value = 0
    var lastIndex = UInt32.max
    for position in 0..<count {
      let number = numbers[position]
      if number != last || lastIndex == .max {
        guard let index = index(of: number) else { return false }
        last = number
        lastIndex = index
      }
      indexes[position] = lastIndex
    }
    return true
  }

  @inline(__always)
  private mutating func index<Value: FixedWidthInteger & UnsignedInteger>(of number: Value) -> UInt32? {
    let known = values.base.assumingMemoryBound(to: Value.self)
    let mask = 1 &<< slotBits &- 1
    var slot = Self.slot(Self.mixed(UInt64(truncatingIfNeeded: number)), bits: slotBits)
    for _ in 0..<Self.mostProbes {
      let entry = slots[slot]
      if entry == 0 { return add(number, at: slot) }
      if known[Int(entry) &- 1] == number { return entry &- 1 }
      slot = (slot &+ 1) & mask
    }
    return nil
  }

  @inline(never)
  private mutating func add<Value: FixedWidthInteger & UnsignedInteger>(_ number: Value, at slot: Int) -> UInt32? {
    guard count < mostValues else { return nil }
    withUnsafeBytes(of: number.littleEndian) { values.append($0) }
    slots[slot] = UInt32(truncatingIfNeeded: count + 1)
    count += 1
    if count * 2 > 1 << slotBits {
      replaceSlots(bits: slotBits + 1)
      for index in 0..<count {
        let known = values.base.assumingMemoryBound(to: Value.self)[index]
        insert(index, hash: Self.mixed(UInt64(truncatingIfNeeded: known)))
      }
    }
    return UInt32(truncatingIfNeeded: count - 1)
  }

  // MARK: Texts

  /// Puts the index of each of `count` texts into `indexes`. A text is a 32-bit length and as many bytes, as in
  /// `values`.
  ///
  /// - Parameters:
  ///   - texts: 8 more bytes behind the last text can be read.
  ///   - bounds: takes note of every text that is new.
  /// - Returns: false if the dictionary is full; what was added until then stays.
  mutating func look(
    upTexts texts: UnsafeRawPointer, count: Int, into indexes: UnsafeMutablePointer<UInt32>,
    bounds: inout TextBounds
  ) -> Bool {
    var text = texts
    var last = texts
    var lastSize = -1
    var lastIndex: UInt32 = 0
    for position in 0..<count {
      let size = 4 + Int(UInt32(littleEndian: text.loadUnaligned(as: UInt32.self)))
      if size != lastSize || memcmp(text, last, size) != 0 {
        guard let index = index(ofText: text, size: size, &bounds) else { return false }
        last = text
        lastSize = size
        lastIndex = index
      }
      indexes[position] = lastIndex
      text += size
    }
    return true
  }

  private mutating func index(ofText text: UnsafeRawPointer, size: Int, _ bounds: inout TextBounds) -> UInt32? {
    let hash = Self.hash(text, size)
    let mask = 1 &<< slotBits &- 1
    var slot = Self.slot(hash, bits: slotBits)
    for _ in 0..<Self.mostProbes {
      let entry = slots[slot]
      if entry == 0 {
        bounds.note(text + 4, size - 4)
        return add(text, size: size, at: slot)
      }
      let known = self.text(Int(entry) &- 1)
      if known.loadUnaligned(as: UInt32.self) == text.loadUnaligned(as: UInt32.self), memcmp(known, text, size) == 0 {
        return entry &- 1
      }
      slot = (slot &+ 1) & mask
    }
    return nil
  }

  @inline(never)
  private mutating func add(_ text: UnsafeRawPointer, size: Int, at slot: Int) -> UInt32? {
    guard count < mostValues, values.count + size <= Self.mostBytes else { return nil }
    offsets.append(littleEndian: UInt32(truncatingIfNeeded: values.count))
    values.append(UnsafeRawBufferPointer(start: text, count: size))
    slots[slot] = UInt32(truncatingIfNeeded: count + 1)
    count += 1
    if count * 2 > 1 << slotBits {
      replaceSlots(bits: slotBits + 1)
      values.reserve(8)  // the hash reads beyond the last one
      for index in 0..<count {
        let known = self.text(index)
        insert(index, hash: Self.hash(known, 4 + Int(UInt32(littleEndian: known.loadUnaligned(as: UInt32.self)))))
      }
    }
    return UInt32(truncatingIfNeeded: count - 1)
  }

  private func text(_ index: Int) -> UnsafeRawPointer {
    let offset = UInt32(littleEndian: offsets.base.assumingMemoryBound(to: UInt32.self)[index])
    return UnsafeRawPointer(values.base) + Int(offset)
  }

  // MARK: Slots

  private mutating func replaceSlots(bits: Int) {
    slots.deallocate()
    slotBits = bits
    slots = .allocate(capacity: 1 << bits)
    slots.initialize(repeating: 0, count: 1 << bits)
  }

  private func insert(_ index: Int, hash: UInt64) {
    let mask = 1 &<< slotBits &- 1
    var slot = Self.slot(hash, bits: slotBits)
    while slots[slot] != 0 { slot = (slot &+ 1) & mask }
    slots[slot] = UInt32(truncatingIfNeeded: index + 1)
  }

  /// The upper bits of a product depend on all bits of its factors.
  @inline(__always)
  private static func mixed(_ value: UInt64) -> UInt64 { (value ^ value &>> 32) &* 0x9e37_79b9_7f4a_7c15 }

  @inline(__always)
  private static func slot(_ hash: UInt64, bits: Int) -> Int {
    Int(truncatingIfNeeded: hash &>> UInt64(truncatingIfNeeded: 64 &- bits))
  }

  /// Eight bytes at a time; reads up to seven beyond the end and ignores them.
  private static func hash(_ start: UnsafeRawPointer, _ count: Int) -> UInt64 {
    var hash: UInt64 = 0
    var at = 0
    while at < count {
      var word = UInt64(littleEndian: start.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      if count &- at < 8 { word &= 1 &<< UInt64(truncatingIfNeeded: 8 &* (count &- at)) &- 1 }
      hash = mixed(hash &+ word)
      hash ^= hash &>> 29
      at &+= 8
    }
    return mixed(hash)
  }
}
