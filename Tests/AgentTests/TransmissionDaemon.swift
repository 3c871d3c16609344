/// A real transmission-daemon of this machine, on loopback and in a directory of its own.

import Foundation
import NIOPosix
import Notation
import Seedbox
import Testing
import Transmission

@testable import Agent

final class TransmissionDaemon: @unchecked Sendable {
    // Unchecked: `process` is replaced by `restart` only, which one test calls at a time.

    struct Missing: Error, CustomStringConvertible {
        var description: String
    }

    /// Of Transmission: the machine's own (3.00 on Debian 12), the last of the old protocol, and one of JSON-RPC; and any
    /// other whose programs lie in the folder that `FARSEED_TRANSMISSION` names.
    enum Release: String, CaseIterable, CustomTestStringConvertible {
        case installed
        case beta41 = "4.1-beta"
        case stable41 = "4.1"
        case given

        private static let folder = ProcessInfo.processInfo.environment["FARSEED_TRANSMISSION"]
        static let allCases: [Release] = [.installed, .beta41, .stable41] + (folder == nil ? [] : [.given])

        var testDescription: String { "Transmission \(rawValue)" }

        func path(_ program: String) throws -> String {
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized
            let path =
                switch self {
                case .installed: "/usr/bin/\(program)"
                case .beta41, .stable41: root.appending(path: ".build/transmission/\(rawValue)/\(program)").path
                case .given: "\(Self.folder ?? "")/\(program)"
                }
            guard access(path, X_OK) == 0 else {
                throw Missing(description: "There is no \(path). `Scripts/need lab test` brings it.")
            }
            return path
        }
    }

    struct Silent: Error, CustomStringConvertible {
        var description: String
    }

    let directory: TemporaryDirectory
    let port: Int
    let release: Release
    private let account: Account?
    private var process: Process

    var configuration: RPCConfiguration { RPCConfiguration(url: "http://127.0.0.1:\(port)/transmission/rpc")! }

    /// An own client, as another program on the seedbox has one.
    var client: RPCClient {
        var configuration = configuration
        (configuration.user, configuration.password) = (account?.user, account?.password)
        configuration.replyDeadline = .seconds(20)
        return RPCClient(configuration, group: MultiThreadedEventLoopGroup.singleton)
    }

    /// `more` goes into its settings.json.
    init(_ release: Release = .installed, account: Account? = nil, _ more: [String: Value] = [:]) async throws {
        self.release = release
        directory = try TemporaryDirectory()
        self.account = account
        let ports = Self.freePorts(2)
        port = ports[0]
        var settings: [String: Value] = [
            "rpc-bind-address": "127.0.0.1", "rpc-port": .int(Int64(port)), "rpc-whitelist-enabled": false,
            "rpc-authentication-required": .bool(account != nil),
            "download-dir": .string(directory.path + "/downloads"),
            "incomplete-dir-enabled": false, "rename-partial-files": false, "dht-enabled": false, "lpd-enabled": false,
            "pex-enabled": false,
            "utp-enabled": false, "port-forwarding-enabled": false, "peer-port": .int(Int64(ports[1])),
            "bind-address-ipv4": "127.0.0.1",
        ]
        if let account {
            settings["rpc-username"] = .string(account.user)
            settings["rpc-password"] = .string(account.password)
        }
        settings.merge(more) { _, new in new }
        _ = try directory.write("settings.json", JSON.text(.map(settings)))
        process = try Self.start(release, directory.path)
        try await answering()
    }

    deinit { stop() }

    func stop() {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    func restart() async throws {
        stop()
        process = try Self.start(release, directory.path)
        try await answering()
    }

    func freeze() { kill(process.processIdentifier, SIGSTOP) }
    func thaw() { kill(process.processIdentifier, SIGCONT) }

    /// Adds a torrent of one file, stopped, as another program would; its data do not exist.
    @discardableResult
    func add(_ name: String, size: Int = 40_000) async throws -> InfoHash {
        let answer = try await client.call(
            "torrent-add",
            ["metainfo": .string(Base64.encode(Self.metainfo(name, size: size))), "paused": true]
        )
        let added = answer.named("torrent-added")
        return InfoHash(added?.named("hashString")?.string ?? "")!
    }

    /// Runs `transmission-remote` as another user of the seedbox would.
    func remote(_ words: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try release.path("transmission-remote"))
        process.arguments = ["127.0.0.1:\(port)"] + words
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    /// A torrent whose pieces nobody has.
    static func metainfo(_ name: String, size: Int = 40_000) -> [UInt8] {
        let pieces = (size + 16_383) / 16_384
        let text = Array(name.utf8)
        return Array("d4:infod6:lengthi\(size)e4:name\(text.count):".utf8) + text
            + Array("12:piece lengthi16384e6:pieces\(pieces * 20):".utf8)
            + [UInt8](repeating: 7, count: pieces * 20) + Array("ee".utf8)
    }

    /// A torrent of several files of 40,000 bytes each, in a directory.
    static func metainfo(_ name: String, files: [String]) -> [UInt8] {
        let pieces = (files.count * 40_000 + 16_383) / 16_384
        let list = files.map { "d6:lengthi40000e4:pathl\($0.utf8.count):\($0)ee" }.joined()
        return Array("d4:infod5:filesl\(list)e4:name\(name.utf8.count):\(name)".utf8)
            + Array("12:piece lengthi16384e6:pieces\(pieces * 20):".utf8)
            + [UInt8](repeating: 7, count: pieces * 20) + Array("ee".utf8)
    }

    private static func start(_ release: Release, _ directory: String) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try release.path("transmission-daemon"))
        // What it asks of the world (the port test) ends at a closed door of this machine.
        process.environment = [
            "PATH": "/usr/bin:/bin", "HOME": directory, "http_proxy": "http://127.0.0.1:1",
            "https_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1",
        ]
        process.arguments = ["-f", "-g", directory]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    private func answering() async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if (try? await client.call("session-get")) != nil { return }
            guard process.isRunning else { throw Silent(description: "transmission-daemon ended at once") }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Silent(description: "transmission-daemon did not answer within 30 s")
    }

    /// Taken at the same time, so that no two are the same.
    private static func freePorts(_ count: Int) -> [Int] {
        let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        defer { for socket in sockets { close(socket) } }
        return sockets.map(freePort)
    }

    private static func freePort(_ descriptor: Int32) -> Int {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                _ = bind(descriptor, pointer, length)
                _ = getsockname(descriptor, pointer, &length)
            }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
