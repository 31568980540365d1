// swift-tools-version:6.1
import PackageDescription

let package = Package(
  name: "xtcpd",
  products: [.executable(name: "xtcpd", targets: ["xtcpd"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
  ],
  targets: [
    // C: system libraries and thin shims, nothing else.
    .systemLibrary(name: "CLiburing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
    .systemLibrary(name: "CLibYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CLinux"),
    // Client libraries that are loaded on first use, not linked: their headers are needed to build.
    .target(name: "CLoader"),
    .target(name: "CCurl", dependencies: ["CLoader"]),
    .target(name: "CRdkafka", dependencies: ["CLoader"]),
    .target(name: "CNats", dependencies: ["CLoader"]),
    .target(name: "CHiredis", dependencies: ["CLoader"]),
    .target(name: "COpenSSL", dependencies: ["CLoader"]),

    .target(name: "Config", dependencies: ["CLibYAML"]),
    .target(name: "Records", dependencies: ["CZstd"]),
    .target(name: "IO", dependencies: ["CLinux", "CLiburing", "COpenSSL"]),
    .target(name: "Sinks", dependencies: ["IO", "CZlib", "CZstd", "CCurl", "CRdkafka", "CNats", "CHiredis"]),
    .target(
      name: "Pipelines",
      dependencies: [
        "Config", "Records", "IO", "Sinks",
        .product(name: "Logging", package: "swift-log"),
      ]),
    .executableTarget(
      name: "xtcpd",
      dependencies: [
        "Config", "Records", "IO", "Sinks", "Pipelines",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ]),

    // What tests and benchmarks measure with; never part of the daemon.
    .target(name: "CMeasure", path: "Benchmarks/CMeasure"),
    .executableTarget(name: "EncodeBenchmark", dependencies: ["Records", "CMeasure"], path: "Benchmarks/Encode"),
    .executableTarget(name: "ParquetBenchmark", dependencies: ["Records", "CMeasure"], path: "Benchmarks/Parquet"),
    .target(name: "CTestSupport", path: "Tests/CTestSupport"),

    .testTarget(name: "ConfigTests", dependencies: ["Config"], exclude: ["Examples"]),
    .testTarget(
      name: "RecordsTests",
      dependencies: ["Records", "CMeasure", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
      exclude: ["Fixtures"]),
    .testTarget(name: "IOTests", dependencies: ["IO", "CTestSupport"]),
    .testTarget(name: "SinksTests", dependencies: ["Sinks", "CMeasure", "CRdkafka", "CZlib", "CZstd"]),
    .testTarget(name: "PipelinesTests", dependencies: ["Pipelines"]),
    .testTarget(name: "XtcpdTests", dependencies: ["xtcpd"]),
  ],
  swiftLanguageModes: [.v6]
)
