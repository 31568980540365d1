import Records
import Testing

@testable import Pipelines

@Suite struct PortSplitTests {
  private func split(
    _ sockets: [(source: UInt16, destination: UInt16)], parts: Int
  ) -> PortSplit {
    var sample = PortSample()
    for socket in sockets { sample.add(source: socket.source, destination: socket.destination) }
    return PortSplit(of: &sample, parts: parts)
  }

  /// How many sockets are in each part; every one has to be in exactly one.
  private func sizes(_ split: PortSplit, _ sockets: [(source: UInt16, destination: UInt16)]) -> [Int] {
    var sizes = [Int](repeating: 0, count: split.parts)
    for socket in sockets {
      let parts = (0..<split.parts).filter { part in
        guard let interval = split.interval(part) else { return true }
        return interval.ports.contains(interval.isDestination ? socket.destination : socket.source)
      }
      #expect(parts.count == 1)
      if let part = parts.first { sizes[part] += 1 }
    }
    return sizes
  }

  @Test func aServersSocketsAreCutByTheirClientsPorts() {
    let sockets = (0..<20_000).map { (number: Int) in
      (source: UInt16(443), destination: UInt16(32_768 + number * 17 % 28_000))
    }
    for parts in [2, 3, 8] {
      let split = split(sockets, parts: parts)
      #expect(split.isDestination && split.parts == parts)
      #expect(sizes(split, sockets).allSatisfy { abs($0 - 20_000 / parts) < 20_000 / parts / 2 })
    }
  }

  @Test func clientsSocketsAreCutByTheirOwnPorts() {
    let sockets = (0..<5000).map { (number: UInt16) in (source: 1024 + number * 12, destination: 5000 + number % 2) }
    let split = split(sockets, parts: 2)
    #expect(!split.isDestination && sizes(split, sockets).allSatisfy { abs($0 - 2500) < 600 })
  }

  /// Both ends on one host, and listeners, whose destination port is 0.
  @Test func everySocketIsInOnePart() {
    var sockets = (0..<3000).flatMap { number -> [(source: UInt16, destination: UInt16)] in
      let client = UInt16(20_000 + number * 13)
      return [(client, 443), (443, client)]
    }
    for number in 0..<50 { sockets.append((UInt16(number), 0)) }
    sockets.append((65_535, 65_535))
    let split = split(sockets, parts: 4)
    #expect(split.parts >= 2 && sizes(split, sockets).allSatisfy { $0 > 300 })
  }

  @Test func whatHasOnePortInCommonIsNotCut() {
    func ports(_ count: UInt16, _ source: (UInt16) -> UInt16) -> [(source: UInt16, destination: UInt16)] {
      (0..<count).map { (source: source($0), destination: 443) }
    }
    #expect(split(ports(1000) { _ in 50_000 }, parts: 2).parts == 1)
    // One of many: the parts would be too uneven to be worth another walk.
    #expect(split(ports(1000) { $0 % 10 == 0 ? 50_000 + $0 : 50_000 }, parts: 2).parts == 1)
    #expect(split(ports(UInt16(PortSample.enough - 1)) { $0 }, parts: 2).parts == 1)
    #expect(split(ports(1000) { $0 }, parts: 1).parts == 1)
    #expect(PortSplit.whole.parts == 1 && PortSplit.whole.interval(0) == nil)
  }

  /// Fewer distinct ports than parts.
  @Test func thereAreNoEmptyParts() {
    let sockets = (0..<3000).map { (number: UInt16) in (source: 80 + number % 3, destination: 7 as UInt16) }
    let split = split(sockets, parts: 64)
    #expect(split.parts == 3 && sizes(split, sockets) == [1000, 1000, 1000])
  }

  @Test func aSampleIsOfTheWholeDump() {
    var sample = PortSample()
    for number in 0..<10_000 { sample.add(source: UInt16(number), destination: 1) }
    let early = sample.sources.filter { $0 < 5000 }.count
    #expect(sample.count == 256 && early > 80 && early < 176)
    sample.removeAll()
    #expect(sample.count == 0)
  }
}
