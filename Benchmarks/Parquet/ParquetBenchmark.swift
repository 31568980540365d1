// How fast rows become Parquet.
//
//     swift run -c release ParquetBenchmark ROWS.pb COUNT LEVEL [OUT.parquet [OUT.pb]]
//
// Repeats the rows of a file of format protobuf, each time with other numbers, until there are COUNT of them, and
// appends them in batches to a `ParquetWriter` (zstd LEVEL). Prints figures of the writer alone, as JSON.
// Benchmarks/parquet_bench.py compares the file with what other programs read and write.

import CMeasure
import Glibc
import Records

@main
enum ParquetBenchmark {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count >= 4, let seed = read(arguments[1]), let count = Int(arguments[2]), count > 0,
      let level = Int(arguments[3])
    else {
      print("usage: ParquetBenchmark ROWS.pb COUNT LEVEL [OUT.parquet [OUT.pb]]")
      exit(64)
    }
    let parquet = arguments.count > 4 ? Output(arguments[4]) : nil
    let rows = arguments.count > 5 ? Output(arguments[5]) : nil
    var source = RowSource(seed: seed)
    var writer = try ParquetWriter(compression: .zstd(level: level), version: "0.0.0")
    var run = Run()
    writer.begin()
    while writer.rows < count {
      let batch = source.batch(rows: min(1700, count - writer.rows))
      rows?.write(batch)
      try run.measure { try writer.append(batch, .protobuf) }
      run.highWater = max(run.highWater, writer.bufferedBytes)
      parquet?.write(writer.output)
      writer.removeOutput(writer.output.count)
    }
    try run.measure { try writer.finish() }
    parquet?.write(writer.output)
    report(run, rows: writer.rows, bytes: writer.bytesWritten, bound: writer.maximumMemory)
  }

  private static func report(_ run: Run, rows: Int, bytes: Int, bound: Int) {
    let seconds = Double(run.nanoseconds) / 1e9
    print(
      """
      {"rows": \(rows), "seconds": \(seconds), "rows_per_second": \(Int(Double(rows) / seconds)), \
      "bytes_per_row": \(Double(bytes) / Double(rows)), "instructions_per_row": \(run.instructions / UInt64(rows)), \
      "allocations": \(run.allocations), \
      "buffered_bytes": \(run.highWater), "maximum_memory": \(bound), "resident_kib": \(residentMemory())}
      """)
  }

  /// KiB of resident memory, without files that are mapped (`RssAnon`, proc_pid_status(5)).
  private static func residentMemory() -> Int {
    guard let status = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(status) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, 256, status) != nil {
      let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split {
        $0 == " " || $0 == "\t"
      }
      if words.count > 1 && words[0] == "RssAnon:" { return Int(words[1]) ?? 0 }
    }
    return 0
  }

  private static func read(_ path: String) -> UnsafeRawBufferPointer? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    let size = Int(lseek(file, 0, SEEK_END))
    guard size > 0, let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0), base != MAP_FAILED else { return nil }
    return UnsafeRawBufferPointer(start: base, count: size)
  }
}

/// Processor time and allocations of the measured parts.
private struct Run {
  private let counter = measure_open_instructions()
  var nanoseconds: UInt64 = 0
  var instructions: UInt64 = 0
  var allocations: UInt64 = 0
  var highWater = 0

  mutating func measure(_ body: () throws -> Void) rethrows {
    let allocated = measure_allocations()
    let executed = readInstructions()
    let start = Self.now()
    try body()
    nanoseconds += Self.now() - start
    instructions += readInstructions() - executed
    allocations += measure_allocations() - allocated
  }

  /// 0 where perf events are not permitted.
  private func readInstructions() -> UInt64 {
    var count: UInt64 = 0
    guard counter >= 0, Glibc.read(counter, &count, 8) == 8 else { return 0 }
    return count
  }

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// A file that is written from the start.
private struct Output {
  private let file: Int32

  init(_ path: String) {
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else {
      print("cannot write \(path)")
      exit(74)
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = Glibc.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      guard written > 0 else {
        print("write failed: \(errno)")
        exit(74)
      }
      rest = rest.dropFirst(written)
    }
  }
}
