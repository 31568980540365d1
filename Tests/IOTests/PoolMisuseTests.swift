import Foundation
import Testing

/// Pool misuse does not compile: each case is compiled against the built module and must be refused for its own reason,
/// next to a control that differs only in being right.
@Suite struct PoolMisuseTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let body: String
    /// What the compiler says; `nil`: the control, which compiles.
    let refusal: String?
    var testDescription: String { name }
  }

  static let cases = [
    Case(name: "right use", body: "func f(_ l: consuming Lease<Int>) { l.giveBack() }", refusal: nil),
    Case(
      name: "right sharing",
      body:
        "func f(_ l: consuming Lease<Int>) { let s = l.shared(); let t = s.share(); _ = t.value; _ = s.value }",
      refusal: nil),
    Case(
      name: "double return", body: "func f(_ l: consuming Lease<Int>) { l.giveBack(); l.giveBack() }",
      refusal: "'l' consumed more than once"),
    Case(
      name: "use after return", body: "func f(_ l: consuming Lease<Int>) { l.giveBack(); print(l.value) }",
      refusal: "'l' used after consume"),
    Case(
      name: "use after sharing",
      body: "func f(_ l: consuming Lease<Int>) { let s = l.shared(); l.value = 1; _ = s.value }",
      refusal: "'l' used after consume"),
    Case(
      name: "return in a loop", body: "func f(_ l: consuming Lease<Int>) { for _ in 0..<2 { l.giveBack() } }",
      refusal: "'l' consumed in a loop"),
    Case(
      name: "copy", body: "func f(_ l: borrowing Lease<Int>) -> Lease<Int> { l }",
      refusal: "'l' is borrowed and cannot be consumed"),
    Case(
      name: "two owners",
      body: "func f(_ l: consuming Lease<Int>) { let a = l; let b = l; a.giveBack(); b.giveBack() }",
      refusal: "'l' consumed more than once"),
    Case(
      name: "return from a closure that may run twice",
      body: "func f(_ l: consuming Lease<Int>) -> () -> Void { { l.giveBack() } }",
      refusal: "noncopyable 'l' cannot be consumed when captured by an escaping closure"),
    Case(
      name: "into an array", body: "func f(_ l: consuming Lease<Int>) -> [Lease<Int>] { [l] }",
      refusal: "'Lease<Int>' does not conform to protocol 'Copyable'"),
    Case(
      name: "forging a lease",
      body: "func f(_ p: borrowing Pool<Int>) -> Lease<Int> { p.reclaim(0) }",
      refusal: "'reclaim' is inaccessible due to 'internal' protection level"),
    Case(
      name: "losing the way back",
      body: "func f(_ l: consuming Lease<Int>) -> UInt32 { l.entrust() }",
      refusal: "'entrust' is inaccessible due to 'internal' protection level"),
    Case(
      name: "writing through a shared lease", body: "func f(_ l: borrowing SharedLease<Int>) { l.value = 1 }",
      refusal: "'value' is a get-only property"),
    Case(
      name: "shared lease copied", body: "func f(_ l: borrowing SharedLease<Int>) -> SharedLease<Int> { l }",
      refusal: "'l' is borrowed and cannot be consumed"),
    Case(
      name: "pool copied", body: "func f(_ p: borrowing Pool<Int>) -> Pool<Int> { p }",
      refusal: "'p' is borrowed and cannot be consumed"),
    Case(
      name: "receive buffer copied", body: "func f(_ b: borrowing ReceiveBuffer) -> ReceiveBuffer { b }",
      refusal: "'b' is borrowed and cannot be consumed"),
    Case(
      name: "descriptor used after release",
      body: "func f(_ d: consuming Descriptor) { _ = d.release(); print(d.raw) }",
      refusal: "'d' used after consume"),
    Case(
      name: "lease sent to another thread",
      body:
        "func g(_ body: @escaping @Sendable () -> Void) {}\nfunc f(_ l: consuming Lease<Int>) { g { print(l.value) } }",
      refusal: "capture of 'l' with non-Sendable type 'Lease<Int>'"),
  ]

  @Test(arguments: cases) func compiles(_ example: Case) throws {
    let build = try #require(Self.buildFolder, "the test bundle is where SwiftPM puts it")
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("xtcpd-misuse-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let source = folder.appendingPathComponent("case.swift")
    try "import IO\n\(example.body)\n".write(to: source, atomically: true, encoding: .utf8)
    let (status, output) = try Self.compile(source, build: build)
    if let refusal = example.refusal {
      #expect(status != 0 && output.contains(refusal), "\(output)")
    } else {
      #expect(status == 0, "\(output)")
    }
  }

  /// Where the module that these tests run against was built.
  private static var buildFolder: URL? {
    var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    while folder.path != "/" {
      folder.deleteLastPathComponent()
      if FileManager.default.fileExists(atPath: folder.appendingPathComponent("Modules/IO.swiftmodule").path) {
        return folder
      }
    }
    return nil
  }

  /// The passes that check ownership run when SIL is made: type-checking alone accepts most of the cases.
  private static func compile(_ source: URL, build: URL) throws -> (status: Int32, output: String) {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "swiftc", "-emit-sil", "-swift-version", "6", "-o", "/dev/null", source.path,
      "-I", build.appendingPathComponent("Modules").path,
      "-Xcc", "-fmodule-map-file=\(build.appendingPathComponent("CLinux.build/module.modulemap").path)",
      "-I", root.appendingPathComponent("Sources/CLiburing").path,
      "-Xcc", "-fmodule-map-file=\(build.appendingPathComponent("COpenSSL.build/module.modulemap").path)",
    ]
    let pipe = Pipe()
    process.standardError = pipe
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }
}
