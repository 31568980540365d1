import CTestSupport
import Glibc
import Testing

@testable import IO

@Suite(.serialized)
struct PollerTests {
  @Test func anEventEndsTheSleepAndCarriesItsToken() throws {
    let poller = try Poller()
    let pair = try socketPair(SOCK_STREAM)
    try poller.add(pair.near.raw, [.readable, .writable], token: .max - 5)
    try poller.add(pair.far.raw, token: 7)
    var events: [UInt64: Poller.Interest] = [:]
    try poller.wait(until: nil) { events[$0] = $1 }
    #expect(events == [UInt64.max - 5: .writable])
    #expect(write(pair.near.raw, "x", 1) == 1)
    try poller.wait(until: nil) { events[$0] = $1 }
    #expect(events[7] == .readable)
    poller.remove(pair.far.raw)
    poller.remove(pair.near.raw)
    #expect(try poller.wait(until: .now()) { _, _ in } == 0)
  }

  @Test(arguments: [0, 1, 30]) func theDeadlineIsKeptAndNotEarly(milliseconds: Int) throws {
    let poller = try Poller()
    let deadline = MonotonicTime.now().advanced(by: .milliseconds(milliseconds))
    #expect(try poller.wait(until: deadline) { _, _ in } == 0)
    let late = MonotonicTime.now().since(deadline)
    #expect(late >= .zero && late < .milliseconds(200))
  }

  @Test func aSignalDoesNotEndTheSleep() throws {
    // A handler that does nothing interrupts epoll_wait with EINTR, whatever SA_RESTART says.
    let before = signal(SIGURG) { _ in }
    defer { signal(SIGURG, before) }
    try onThread {
      let poller = try Poller()
      let sleeper = Sleeper(pthread_self())
      let nagger = try WorkerThread(name: "nagger") {
        for _ in 0..<10 {
          usleep(3_000)
          pthread_kill(sleeper.thread, SIGURG)
        }
      }
      let deadline = MonotonicTime.now().advanced(by: .milliseconds(60))
      #expect(try poller.wait(until: deadline) { _, _ in } == 0)
      #expect(MonotonicTime.now() >= deadline)
      nagger.join()
    }
  }

  @Test func aDescriptorIsWatchedOnce() throws {
    let poller = try Poller()
    let wakeup = try Wakeup()
    try poller.add(wakeup.pollable, token: 1)
    var failure: SystemError?
    do throws(SystemError) { try poller.add(wakeup.pollable, token: 2) } catch { failure = error }
    #expect(failure?.errno == EEXIST)
  }

  /// Both kinds of port wake the loop they are in, also several at once.
  @Test func portsWakeTheirLoop() throws {
    let poller = try Poller()
    let ports: [any Port] = try [.ioUring, .syscall, .ioUring, .syscall].map {
      try openPort($0, PortOptions(receiveBuffers: 1, operations: 4)).port
    }
    for (token, port) in ports.enumerated() {
      try poller.add(port.pollable, token: UInt64(token))
      _ = port.timer(at: .now().advanced(by: .milliseconds(10 * token + 10)), owner: 0)
      try port.submit()
    }
    var fired: [UInt64] = []
    while fired.count < 4 {
      var ready: [UInt64] = []
      try poller.wait(until: .now().advanced(by: .seconds(2))) { token, _ in ready.append(token) }
      try #require(!ready.isEmpty, "a timer did not wake the loop")
      for token in ready where try ports[Int(token)].reap(limit: 10, { #expect($0.result == 0) }) > 0 {
        fired.append(token)
      }
    }
    #expect(fired == [0, 1, 2, 3])
  }

  private struct Sleeper: @unchecked Sendable {
    let thread: pthread_t
    init(_ thread: pthread_t) { self.thread = thread }
  }
}

@Suite struct WakeupTests {
  @Test func wakeUpsCoalesceAndNoneIsLost() throws {
    let wakeup = try Wakeup()
    #expect(!wakeup.drain())
    for _ in 0..<5 { wakeup.signal() }
    #expect(wakeup.drain() && !wakeup.drain())
  }

  @Test func anotherThreadEndsTheSleep() throws {
    let wakeup = try Wakeup()
    let poller = try Poller()
    try poller.add(wakeup.pollable, token: 9)
    let thread = try WorkerThread(name: "waker") {
      usleep(10_000)
      wakeup.signal()
    }
    var token: UInt64 = 0
    try poller.wait(until: .now().advanced(by: .seconds(5))) { found, _ in token = found }
    #expect(token == 9 && wakeup.drain())
    thread.join()
  }
}

@Suite struct WorkerThreadTests {
  private final class Note: @unchecked Sendable {
    var name = ""
    var isDone = false
  }

  @Test(arguments: ["loop 0", "a name that is far too long", "", "ünïcödé-nämé-lång"])
  func threadsAreNamed(name: String) throws {
    let note = Note()
    let thread = try WorkerThread(name: name) {
      note.name = readSmallFile("/proc/thread-self/comm") ?? ""
      usleep(1_000)
      note.isDone = true
    }
    thread.join()
    #expect(note.isDone)
    #expect(note.name.dropLast().utf8.count <= 15)
    if name == "loop 0" { #expect(note.name == "loop 0\n") }
  }

  @Test func aThreadThatCannotBeMadeIsAnError() {
    var failure: SystemError?
    do throws(SystemError) { _ = try WorkerThread(name: "huge", stackBytes: 1 << 50) {} } catch { failure = error }
    #expect(failure?.errno == EAGAIN && failure?.context == "huge")
  }
}

@Suite struct SignalTests {
  @Test func signalsAreReadInsteadOfDelivered() async {
    await #expect(processExitsWith: .success) {
      try onThread {
        let reader = try SignalReader()
        let poller = try Poller()
        try poller.add(reader.pollable, token: 1)
        #expect(Self.read(reader, bytes: 4096).isEmpty)
        for sent in Signal.allCases {
          pthread_kill(pthread_self(), sent.number)
          let events = try poller.wait(until: .now().advanced(by: .seconds(5))) { _, _ in }
          let found = Self.read(reader, bytes: 4096)
          #expect(events == 1 && found == [sent])
        }
        let pair = try pipePair()
        let (near, far) = (pair.near.release(), pair.far.release())
        close(near)
        let written = write(far, "x", 1)
        #expect(written == -1 && errno == EPIPE, "SIGPIPE is ignored")
      }
    }
  }

  private static func read(_ reader: borrowing SignalReader, bytes: Int) -> [Signal] {
    var buffer = [UInt8](repeating: 0, count: bytes)
    let count = Glibc.read(reader.pollable, &buffer, bytes)
    return count > 0 ? SignalReader.signals(in: buffer[..<count]) : []
  }

  @Test func numbersAndNamesAgree() {
    for signal in Signal.allCases { #expect(Signal(number: signal.number) == signal) }
    #expect(Signal(number: SIGKILL) == nil)
  }
}

@Suite struct ClockTests {
  @Test func timeGoesForward() {
    let (start, wall) = (MonotonicTime.now(), wallClockNanoseconds())
    usleep(2_000)
    #expect(MonotonicTime.now().since(start) >= .milliseconds(2) && wallClockNanoseconds() > wall)
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    #expect(abs(wallClockNanoseconds() / 1_000_000_000 - Int64(time.tv_sec)) <= 1)
  }

  @Test func arithmeticSaturates() {
    let time = MonotonicTime(nanoseconds: 1_000)
    #expect(time.advanced(by: .microseconds(2)).nanoseconds == 3_000)
    #expect(time.advanced(by: .seconds(-1)).nanoseconds == -999_999_000)
    #expect(time.advanced(by: .seconds(Int64.max)).nanoseconds == .max)
    #expect(MonotonicTime(nanoseconds: .min).advanced(by: .seconds(-1)).nanoseconds == .min)
    #expect(Duration.seconds(Int64.max).nanoseconds == .max && Duration.seconds(Int64.min).nanoseconds == .min)
    #expect(Duration.milliseconds(1_500).nanoseconds == 1_500_000_000)
    #expect(time < time.advanced(by: .nanoseconds(1)))
  }
}
