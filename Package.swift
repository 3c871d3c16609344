// swift-tools-version: 6.2
import PackageDescription

/// Swift 6 mode with the upcoming features that make imports, existentials and isolation explicit.
var strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
// Set by the checks; a newer compiler's new warnings must not stop a user's build.
if Context.environment["FARSEED_CHECKS"] != nil {
    strict.append(.treatAllWarnings(as: .error))
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

let package = Package(
    name: "farseed",
    products: [
        .executable(name: "farseed", targets: ["Controller"]),
        .executable(name: "farseed-agent", targets: ["Agent"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(name: "CLibSSH2", pkgConfig: "libssh2", providers: [.apt(["libssh2-1-dev", "libssl-dev"])]),
        .systemLibrary(name: "CMalloc"),
        .target(name: "Notation", swiftSettings: strict),
        .target(name: "Seedbox", dependencies: ["Notation"], swiftSettings: strict),
        .target(name: "Wire", dependencies: ["Notation", nioCore], swiftSettings: strict),
        .target(name: "Calls", dependencies: ["Wire", "Seedbox", "Notation", nioCore], swiftSettings: strict),
        .target(
            name: "Transmission",
            dependencies: ["Seedbox", "Notation", nioCore, nioPosix, nioHTTP1],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "Agent",
            dependencies: [
                "Calls", "Wire", "Transmission", "Seedbox", "Notation", "CMalloc", nioCore, nioPosix, logging,
            ],
            swiftSettings: strict
        ),
        .target(name: "SSH", dependencies: ["CLibSSH2", nioCore, logging], swiftSettings: strict),
        .target(
            name: "Tunnel",
            dependencies: [
                "SSH", "Calls", "Wire", "Seedbox", "Notation", nioCore, nioPosix, logging, lifecycle, crypto,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Store",
            dependencies: ["Seedbox", "Notation", crypto, cryptoExtras, grdb],
            swiftSettings: strict
        ),
        .target(
            name: "Jobs",
            dependencies: ["Store", "Seedbox", "Notation", logging, lifecycle],
            swiftSettings: strict
        ),
        .target(name: "WAMP", dependencies: ["Notation"], swiftSettings: strict),
        .target(
            name: "Web",
            dependencies: [
                "WAMP", "Notation", nioCore, nioPosix, nioHTTP1, logging, crypto, lifecycle,
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            resources: [.embedInCode("Page")],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "Controller",
            dependencies: [
                "Web", "WAMP", "Jobs", "Store", "Tunnel", "SSH", "Calls", "Wire", "Seedbox", "Notation",
                nioCore, nioPosix, logging, crypto, lifecycle, argumentParser, yams,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: strict
        ),

        .target(
            name: "TestSupport",
            dependencies: ["Calls", "Transmission", "Seedbox", "Notation", nioCore, nioPosix, nioHTTP1],
            path: "Tests/Support",
            swiftSettings: strict
        ),
        .testTarget(name: "NotationTests", dependencies: ["Notation"], swiftSettings: strict),
        .testTarget(name: "SeedboxTests", dependencies: ["Seedbox", "Notation"], swiftSettings: strict),
        .testTarget(name: "WireTests", dependencies: ["Wire", "Notation", nioCore], swiftSettings: strict),
        .testTarget(
            name: "CallsTests",
            dependencies: ["Calls", "Wire", "Seedbox", "Notation", "TestSupport", nioCore, nioPosix],
            swiftSettings: strict
        ),
        .testTarget(name: "WAMPTests", dependencies: ["WAMP", "Notation"], swiftSettings: strict),
        .testTarget(
            name: "SSHTests",
            dependencies: ["SSH", "TestSupport", nioCore, nioPosix],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TunnelTests",
            dependencies: [
                "Tunnel", "SSH", "Calls", "Wire", "Seedbox", "TestSupport", nioCore, nioPosix, nioEmbedded, logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(name: "StoreTests", dependencies: ["Store", "Seedbox", "Notation", grdb], swiftSettings: strict),
        // A process that the tests of the outbox kill.
        .executableTarget(
            name: "JobsCrashProbe",
            dependencies: ["Jobs", "Store", "Seedbox", "Notation", logging],
            path: "Tests/JobsCrashProbe",
            swiftSettings: strict
        ),
        .testTarget(
            name: "JobsTests",
            dependencies: ["Jobs", "Store", "Seedbox", "Notation", "JobsCrashProbe", logging, lifecycle],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TransmissionTests",
            dependencies: ["Transmission", "Seedbox", "Notation", "TestSupport", nioCore, nioPosix, nioHTTP1],
            swiftSettings: strict
        ),
        .testTarget(
            name: "AgentTests",
            dependencies: [
                "Agent", "Transmission", "Calls", "Wire", "Seedbox", "Notation", "TestSupport", nioCore, nioPosix,
                logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "WebTests",
            dependencies: [
                "Web", "WAMP", "Notation", "TestSupport", nioCore, nioPosix, nioHTTP1, nioEmbedded, logging, lifecycle,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ControllerTests",
            dependencies: [
                "Controller", "Web", "Jobs", "Store", "Tunnel", "Calls", "Wire", "Seedbox", "Notation", nioCore,
                nioPosix, logging, yams, argumentParser,
            ],
            swiftSettings: strict
        ),
    ],
    swiftLanguageModes: [.v6]
)
