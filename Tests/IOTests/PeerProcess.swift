import Foundation
import Glibc
import Testing

@testable import IO

/// Certificates of a test run, made by the `openssl` command: of an authority to trust, and those that are wrong in one way each.
final class TestCertificates: Sendable {
  /// Made once; removed when the process ends.
  static let shared: Result<TestCertificates, any Error> = Result {
    atexit {
      if let made = try? TestCertificates.shared.get() { try? FileManager.default.removeItem(atPath: made.path) }
    }
    return try TestCertificates()
  }

  private let path: String

  func file(_ name: String) -> String { "\(path)/\(name)" }

  private init() throws {
    var template = Array("/tmp/xtcpd-io-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    let script = """
      set -e; cd "$1"
      key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
      authority() { key "$1"; openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days 3650 -out "$1.pem"; }
      leaf() {
        key "$1"; openssl req -new -key "$1.key" -subj "/CN=$2" -addext "subjectAltName=$3" -out "$1.csr"
        openssl x509 -req -in "$1.csr" -CA "$4.pem" -CAkey "$4.key" -CAcreateserial -days "$5" \
          -copy_extensions copyall -out "$1.pem"
      }
      authority ca 'Test Authority'; authority other 'Other Authority'
      leaf good localhost DNS:localhost,IP:127.0.0.1,IP:::1 ca 3650
      leaf expired localhost DNS:localhost ca -1
      leaf elsewhere elsewhere DNS:elsewhere.example,DNS:*.wild.example ca 3650
      leaf untrusted localhost DNS:localhost other 3650
      leaf client client DNS:client ca 3650
      leaf hostile 'a\nb' "DNS:$(printf 'x\\033[31m')" ca 3650
      key self; openssl req -x509 -new -key self.key -subj /CN=localhost -addext subjectAltName=DNS:localhost -out self.pem
      openssl ec -in good.key -aes256 -passout pass:secret -out locked.key
      cat client.pem client.key >both.pem; echo nonsense >nonsense.pem; mkdir folder
      """
    let process = Process()
    process.executableURL = URL(filePath: "/bin/bash")
    process.arguments = ["-c", script, "bash", path]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Unexpected("the certificates could not be made") }
  }
}

/// A server of another make (Python's socket and ssl) that does one thing with everybody who connects.
final class PeerProcess {
  /// What became of one connection.
  struct Report: Codable {
    /// Payload that was received, and its SHA-256.
    var bytes: Int
    var digest: String
    /// Why the connection or its handshake failed; empty if neither did.
    var error: String
  }

  private(set) var port: UInt16 = 0
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var unread: [UInt8] = []

  /// - Parameters:
  ///   - mode: what the server does, see its source.
  ///   - certificate: the name of one of `TestCertificates`; nil: it speaks no TLS.
  ///   - settings: `path` (a Unix socket), `ca` (clients must have a certificate), `version` (the newest TLS, `1.1` ...).
  init(_ mode: String, certificate: String? = nil, _ settings: [String: String] = [:]) throws {
    var settings = settings
    settings["mode"] = mode
    if let certificate {
      let files = try TestCertificates.shared.get()
      settings["cert"] = files.file("\(certificate).pem")
      settings["key"] = files.file("\(certificate).key")
    }
    process.executableURL = URL(filePath: "/usr/bin/python3")
    let request = String(decoding: try JSONEncoder().encode(settings), as: UTF8.self)
    process.arguments = ["-W", "ignore", "-c", Self.source, request]
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    port = UInt16(try line()) ?? 0
  }

  deinit {
    // Not SIGTERM: it was started by a thread that blocks signals, and has inherited that.
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// What became of the next connection that ended.
  func report() throws -> Report { try JSONDecoder().decode(Report.self, from: Data(try line().utf8)) }

  private func line() throws -> String {
    let descriptor = output.fileHandleForReading.fileDescriptor
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        defer { unread.removeFirst(end + 1) }
        return String(decoding: unread[..<end], as: UTF8.self)
      }
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard Glibc.poll(&waiting, 1, 20_000) == 1 else { throw Unexpected("the server says nothing") }
      var chunk = [UInt8](repeating: 0, count: 4_096)
      let count = read(descriptor, &chunk, chunk.count)
      guard count > 0 else { throw Unexpected("the server has gone") }
      unread += chunk.prefix(count)
    }
  }

  private static let source = """
    import hashlib, json, os, socket, ssl, struct, sys, threading, time
    settings = json.loads(sys.argv[1])
    mode, _, argument = settings["mode"].partition(":")
    lock = threading.Lock()

    def say(value):
        with lock:
            print(value, flush=True)

    def pattern(count):
        return bytes(i * 31 % 251 for i in range(min(count, 251))) * (count // 251 + 1)

    def secure(raw):
        if "cert" not in settings:
            return raw
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings["cert"], settings["key"])
        if "ca" in settings:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(settings["ca"])
        if "version" in settings:
            version = {"1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2}[settings["version"]]
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
            if settings["version"] == "1.1":
                context.set_ciphers("ALL:@SECLEVEL=0")
        return context.wrap_socket(raw, server_side=True)

    def reset(raw):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()

    def serve(raw):
        count, digest, error = 0, hashlib.sha256(), ""
        try:
            if mode == "silent":                      # never shakes hands, never reads
                time.sleep(3600)
            if mode == "plain":                       # no TLS, whoever asks for it
                raw.sendall(b"220 this is something else entirely\\r\\n" * 3)
            peer = secure(raw)
            if mode == "mute":                        # never reads
                time.sleep(3600)
            if mode == "drip":                        # a byte from time to time
                for byte in b"0123456789":
                    peer.sendall(bytes([byte]))
                    time.sleep(float(argument))
            if mode == "blast":                       # so many bytes, then the end
                peer.sendall(pattern(int(argument))[:int(argument)])
            limit = int(argument) if mode in ("cut", "reset") else None
            while mode != "blast":
                data = peer.recv(65536)
                if not data:
                    break
                count += len(data)
                digest.update(data)
                if mode == "echo":
                    peer.sendall(data)
                if mode == "reply":                   # an answer to each line
                    peer.sendall(b"OK\\n" * data.count(b"\\n"))
                if limit is not None and count >= limit:
                    break
            if mode == "reset":
                reset(peer)
            elif "cert" in settings and mode != "cut":
                peer.unwrap()
            peer.close()
        except (OSError, ssl.SSLError) as problem:
            error = repr(problem)
        raw.close()
        say(json.dumps({"bytes": count, "digest": digest.hexdigest(), "error": error}))

    def leave_with_parent():
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    if "path" in settings:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(settings["path"])
    else:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    say(0 if "path" in settings else listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()
    """
}
