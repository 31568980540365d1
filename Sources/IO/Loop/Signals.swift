internal import CLinux
import Glibc

/// A signal that a daemon acts on.
public enum Signal: Sendable, CaseIterable {
  case terminate, interrupt, hangup, user1

  /// The number, signal(7).
  public var number: Int32 {
    switch self {
    case .terminate: SIGTERM
    case .interrupt: SIGINT
    case .hangup: SIGHUP
    case .user1: SIGUSR1
    }
  }

  init?(number: Int32) {
    guard let signal = Self.allCases.first(where: { $0.number == number }) else { return nil }
    self = signal
  }
}

/// Signals as something to read instead of handlers that interrupt: signalfd(2). SIGHUP and SIGUSR1 are held back for it from
/// before main on (CLinux/signals.c).
///
/// To be made on the main thread before any other thread starts, because threads inherit what is blocked.
/// A signal that came while one of its kind was waiting merges with it, as signals do.
public struct SignalReader: ~Copyable {
  private let descriptor: Descriptor

  /// Blocks all of `Signal` on the calling thread, ignores SIGPIPE and SIGXFSZ in the process (a gone reader is EPIPE then, a file
  /// at its size limit EFBIG), and opens the reader.
  public init() throws(SystemError) {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    var set = sigset_t()
    sigemptyset(&set)
    for signal in Signal.allCases { sigaddset(&set, signal.number) }
    let code = pthread_sigmask(SIG_BLOCK, &set, nil)
    guard code == 0 else { throw SystemError("pthread_sigmask", errno: code) }
    let flags = Int32(SFD_CLOEXEC | SFD_NONBLOCK)
    descriptor = try Descriptor(signalfd(-1, &set, flags), "signalfd")
  }

  /// For the main thread's loop to read: `signals(in:)` understands what it gives. Readable while a signal waits.
  public var pollable: Int32 { descriptor.raw }

  /// The signals in what was read of `pollable`.
  public static func signals(in bytes: some Collection<UInt8>) -> [Signal] {
    let size = MemoryLayout<signalfd_siginfo>.size
    var signals: [Signal] = []
    var rest = Array(bytes)[...]
    while rest.count >= size {
      let number = rest.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }  // ssi_signo is the first field.
      if let signal = Signal(number: Int32(bitPattern: number)) { signals.append(signal) }
      rest = rest.dropFirst(size)
    }
    return signals
  }
}
