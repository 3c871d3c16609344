/// A real transmission-daemon of this machine, on loopback and in a directory of its own.

import Foundation
import NIOPosix
import Notation
import Seedbox
import Transmission

@testable import Agent

final class TransmissionDaemon: @unchecked Sendable {
    // Unchecked: `process` is replaced by `restart` only, which one test calls at a time.

    struct Missing: Error, CustomStringConvertible {
        var description = "transmission-daemon is not installed: apt-get install transmission-daemon transmission-cli"
    }

    struct Silent: Error, CustomStringConvertible {
        var description: String
    }

    static let program = "/usr/bin/transmission-daemon"

    let directory: TemporaryDirectory
    let port: Int
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

    init(account: Account? = nil) async throws {
        guard access(Self.program, X_OK) == 0 else { throw Missing() }
        directory = try TemporaryDirectory()
        self.account = account
        port = Self.freePort()
        var settings: [String: Value] = [
            "rpc-bind-address": "127.0.0.1", "rpc-port": .int(Int64(port)), "rpc-whitelist-enabled": false,
            "rpc-authentication-required": .bool(account != nil),
            "download-dir": .string(directory.path + "/downloads"),
            "incomplete-dir-enabled": false, "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false,
            "utp-enabled": false, "port-forwarding-enabled": false, "peer-port": .int(Int64(Self.freePort())),
            "bind-address-ipv4": "127.0.0.1",
        ]
        if let account {
            settings["rpc-username"] = .string(account.user)
            settings["rpc-password"] = .string(account.password)
        }
        _ = try directory.write("settings.json", JSON.text(.map(settings)))
        process = try Self.start(directory.path)
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
        process = try Self.start(directory.path)
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

    /// A torrent whose pieces nobody has.
    static func metainfo(_ name: String, size: Int = 40_000) -> [UInt8] {
        let pieces = (size + 16_383) / 16_384
        let text = Array(name.utf8)
        return Array("d4:infod6:lengthi\(size)e4:name\(text.count):".utf8) + text
            + Array("12:piece lengthi16384e6:pieces\(pieces * 20):".utf8)
            + [UInt8](repeating: 7, count: pieces * 20) + Array("ee".utf8)
    }

    private static func start(_ directory: String) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
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

    private static func freePort() -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
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
