// How long one record takes, from kernel bytes to encoded bytes, in each format.
//
//     swift run -c release EncodeBenchmark CAPTURE.pcap [FORMAT ...]
//
// Replays the datagrams of a capture through the encoder, a few hundred thousand records, without a kernel in the way.
// Fails if a record costs an allocation. Prints ns, instructions (where perf events are permitted) and allocations a record.

import CMeasure
import Glibc
import Records

@main
enum EncodeBenchmark {
  static func main() {
    guard CommandLine.arguments.count > 1, let file = read(CommandLine.arguments[1]) else {
      print("usage: EncodeBenchmark CAPTURE.pcap [FORMAT ...]")
      exit(64)
    }
    let wanted = CommandLine.arguments.dropFirst(2)
    print("format            ns/record  instructions/record  allocations/record  bytes/record  records")
    var allocations: UInt64 = 0
    for format in RecordFormat.allCases where wanted.isEmpty || wanted.contains(format.rawValue) {
      allocations += measure(format, file)
    }
    exit(allocations == 0 ? 0 : 1)
  }

  /// Prints the figures of a format; returns the allocations of its last run.
  private static func measure(_ format: RecordFormat, _ file: UnsafeRawBufferPointer) -> UInt64 {
    let datagrams = datagrams(of: file)
    let host = HostIdentity(
      hostname: "host.example", location: "ams1", bootID: "4a2c1f6e-7f0e-4a55-9a11-7a4f1d0a9b3c",
      machineID: "0123456789abcdef0123456789abcdef", daemonVersion: "0.1.0", kernelRelease: "6.18.0")
    guard
      var encoder = try? RecordEncoder(
        format: format, columns: nil, attributes: .default, host: host, pipeline: PipelineIdentity(name: "main"))
    else { return 0 }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 768 << 10, alignment: 4096)
    let prefixMemory = UnsafeMutableRawBufferPointer.allocate(byteCount: encoder.maximumPrefixBytes, alignment: 16)
    defer {
      memory.deallocate()
      prefixMemory.deallocate()
    }
    let namespace = NamespaceIdentity(name: "host", inode: 4_026_531_840, cookie: 1)
    let length = encoder.encodePrefix(namespace: namespace, pollSequence: 1, pollStart: 1, into: prefixMemory)
    let prefix = UnsafeRawBufferPointer(rebasing: prefixMemory[..<length])

    var run = Run()
    replay(datagrams, &encoder, memory, prefix, &run)  // warms caches and predictors
    var best = UInt64.max
    var instructions = UInt64.max
    var allocations: UInt64 = 0
    for _ in 0..<7 {
      run = Run()
      let counter = InstructionCounter()
      let start = nanoseconds()
      let before = measure_allocations()
      while run.records < 200_000 { replay(datagrams, &encoder, memory, prefix, &run) }
      allocations = measure_allocations() - before
      best = min(best, (nanoseconds() - start) * 10 / run.records)
      instructions = min(instructions, counter.read() / run.records)
    }
    let figures = [
      "\(best / 10).\(best % 10)", instructions == 0 ? "-" : "\(instructions)",
      allocations == 0 ? "0" : "\(Double(allocations) / Double(run.records))",
      "\(run.bytes / run.records)", "\(run.records)",
    ]
    let widths = [9, 19, 18, 12, 7]
    print(pad(format.rawValue, 16), zip(figures, widths).map { pad($0, $1, left: true) }.joined(separator: "  "))
    return allocations
  }

  private struct Run {
    var records: UInt64 = 0
    var bytes: UInt64 = 0
  }

  /// All datagrams once, with a new batch where one is full.
  private static func replay(
    _ datagrams: [CapturedDatagram], _ encoder: inout RecordEncoder, _ memory: UnsafeMutableRawBufferPointer,
    _ prefix: UnsafeRawBufferPointer, _ run: inout Run
  ) {
    var end = RecordEncoder.batchHeadroom
    var rows = 0
    var tally = RowTally()
    let selection = RowSelection()
    for datagram in datagrams {
      var position = 0
      while case .batchFull = encoder.transcode(
        datagram.bytes, position: &position, sequence: datagram.sequence, selection: selection, timestamp: 1,
        prefix: prefix, into: memory, end: &end, rows: &rows, rowLimit: 10_000, tally: &tally)
      {
        run.bytes += UInt64(end)
        end = RecordEncoder.batchHeadroom
        rows = 0
      }
    }
    run.bytes += UInt64(end)
    run.records += tally.encoded
  }

  private static func datagrams(of file: UnsafeRawBufferPointer) -> [CapturedDatagram] {
    var datagrams: [CapturedDatagram] = []
    guard var capture = try? CaptureFile(file) else { return [] }
    while let datagram = try? capture.next() { datagrams.append(datagram) }
    return datagrams
  }

  private static func read(_ path: String) -> UnsafeRawBufferPointer? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    let size = Int(lseek(file, 0, SEEK_END))
    guard size > 0, let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0), base != MAP_FAILED else { return nil }
    return UnsafeRawBufferPointer(start: base, count: size)
  }

  private static func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  private static func pad(_ text: String, _ width: Int, left: Bool = false) -> String {
    let blanks = String(repeating: " ", count: max(0, width - text.count))
    return left ? blanks + text : text + blanks
  }
}

/// Instructions of this thread in user space; 0 where perf events are not permitted.
private struct InstructionCounter: ~Copyable {
  private let descriptor = measure_open_instructions()

  deinit { if descriptor >= 0 { close(descriptor) } }

  func read() -> UInt64 {
    var count: UInt64 = 0
    guard descriptor >= 0, Glibc.read(descriptor, &count, 8) == 8 else { return 0 }
    return count
  }
}
