/// Which port somebody asks for, with the spellings of the configuration.
public enum PortChoice: String, CaseIterable, Sendable {
  /// The ring where it can be had, else plain calls.
  case auto
  /// The ring, or an error.
  case ioUring = "io_uring"
  /// Plain calls.
  case syscall
}

/// The sizes of a port's pools.
public struct PortOptions: Sendable {
  /// Receive buffers of 32 KiB, at least 1, at most 32,768 (entries of a provided-buffer ring).
  public var receiveBuffers: Int
  /// Operations in flight at once, at least 1, at most 1,048,576 (what `user_data` has room to name).
  public var operations: Int
  /// Datagrams of one `sendDatagrams` that one submission takes: entries of the submission queue beside those for
  /// `operations`. More are sent in several submissions.
  public var datagrams = 0
  /// Completions that the kernel keeps room for; `nil`: as many as can be outstanding. What does not fit overflows
  /// into kernel memory and is not lost (IORING_FEAT_NODROP).
  var completions: Int?
  /// Entries of the submission queue; `nil`: `operations` and `datagrams`, each at most 1,024. A full queue is submitted
  /// on the spot.
  var submissions: Int?

  /// Sizes outside of the bounds are moved to the nearest bound.
  public init(receiveBuffers: Int, operations: Int) {
    self.receiveBuffers = min(max(1, receiveBuffers), 32_768)
    self.operations = min(max(1, operations), OperationToken.mostOperations)
  }

  /// At most one CQE for each buffer, and for each operation its last one and a failed cancellation.
  /// The kernel wants no fewer than SQEs.
  var ringCompletions: Int { completions ?? max(receiveBuffers + 2 * operations, ringSubmissions) }
  var ringSubmissions: Int { submissions ?? min(operations, 1_024) + min(max(0, datagrams), 1_024) }
}

/// A port and, if `auto` had to do without a ring, why.
public struct OpenedPort {
  /// The port.
  public let port: any Port
  /// Why there is no ring although `auto` prefers one; to be logged once.
  public let refusal: PortError?
}

/// Opens a port on the calling thread, to which it belongs from then on.
public func openPort(_ choice: PortChoice, _ options: PortOptions) throws(PortError) -> OpenedPort {
  switch choice {
  case .ioUring: return OpenedPort(port: try RingPort(options), refusal: nil)
  case .syscall: return OpenedPort(port: try SyscallPort(options), refusal: nil)
  case .auto:
    do throws(PortError) {
      return OpenedPort(port: try RingPort(options), refusal: nil)
    } catch {
      return OpenedPort(port: try SyscallPort(options), refusal: error)
    }
  }
}
