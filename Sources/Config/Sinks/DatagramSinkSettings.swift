/// Where a datagram sink sends to.
public struct DatagramSinkSettings: Sendable, Equatable {
  /// For `udp`.
  public var address = ServerAddress(host: "", port: 0)
  /// For `unixgram`.
  public var path = ""
  /// Bytes of a datagram at most.
  public var maxDatagram = 0

  public init() {}
}

extension DatagramSinkSettings {
  var traits: SinkTraits {
    var traits = SinkTraits(destination: path.isEmpty ? "udp \(address)" : path)
    if path.isEmpty { traits.destinationKey = "address" }
    traits.marksRows = true
    traits.operations = 1
    traits.descriptors = 2
    traits.sharesDestination = true
    traits.library = address.resolver
    traits.datagramBytes = maxDatagram
    return traits
  }
}

extension SinkKind {
  /// For the settings list to write through.
  var udp: DatagramSinkSettings {
    get { if case .udp(let settings) = self { settings } else { DatagramSinkSettings() } }
    set { self = .udp(newValue) }
  }

  var unixgram: DatagramSinkSettings {
    get { if case .unixgram(let settings) = self { settings } else { DatagramSinkSettings() } }
    set { self = .unixgram(newValue) }
  }
}

extension SinkType {
  /// Formats whose rows can be taken apart.
  static let cuttable: [FormatName] = [.protobufList, .protobuf, .jsonl, .csv, .tsv, .msgpack]

  static let udp = SinkType(
    "udp",
    "Datagrams of whole rows to a server. Nothing acknowledges them: what the kernel has taken counts as delivered. `csv` and "
      + "`tsv` have no header here.",
    .udp(DatagramSinkSettings()),
    [
      Setting("address", \.kind.udp.address, .serverAddress, required: true, reload: .pipeline, "The server."),
      Setting(
        "max_datagram", \.kind.udp.maxDatagram, .size(512...65_507), default: "8KiB", reload: .pipeline,
        "Bytes of a datagram at most; a row that is longer is dropped as `too_large`. What is longer than the path's MTU (1,472 "
          + "bytes of IPv4 on Ethernet) travels in fragments."),
    ], formats: cuttable)

  static let unixgram = SinkType(
    "unixgram", "Datagrams of whole rows to a Unix socket. A receiver that does not keep up makes the sink wait.",
    .unixgram(DatagramSinkSettings()),
    [
      Setting("path", \.kind.unixgram.path, .path, required: true, reload: .pipeline, "The receiver's socket."),
      Setting(
        "max_datagram", \.kind.unixgram.maxDatagram, .size(512...208 << 10), default: "64KiB", reload: .pipeline,
        "Bytes of a datagram at most; a row that is longer is dropped as `too_large`. The kernel's limit is "
          + "net.core.wmem_max less a little."),
    ], formats: cuttable)
}
