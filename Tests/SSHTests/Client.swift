import NIOCore
import NIOPosix
import TestSupport

@testable import SSH

/// Opens connections for the tests.
enum Client {
    /// A connected channel as the tunnel would hand it over.
    static func channel(port: Int) async throws -> any Channel {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: port).get()
    }

    static func configuration(_ server: SSHServer) throws -> SSHConfiguration {
        var configuration = SSHConfiguration(
            user: server.user,
            key: try PrivateKey(path: server.userKeyPath),
            hostKey: .pinned([HostKey(server.hostKeyLine)!])
        )
        configuration.deadlines.banner = .seconds(20)
        configuration.deadlines.handshake = .seconds(20)
        configuration.deadlines.login = .seconds(20)
        return configuration
    }

    static func connect(
        _ server: SSHServer,
        change: (inout SSHConfiguration) throws -> Void = { _ in }
    ) async throws -> SSHConnection {
        var configuration = try configuration(server)
        try change(&configuration)
        return try await SSHConnection.open(on: channel(port: server.port), configuration)
    }
}

/// All that a command wrote, and how it ended.
struct Output: Equatable {
    var stdout = ""
    var stderr = ""
    var exit: SSHExit?
}

extension SSHConnection {
    func output(_ command: String, input: String = "") async throws -> Output {
        let channel = try await exec(command)
        if !input.isEmpty { try await channel.write(ByteBuffer(string: input)) }
        try await channel.sendEOF()
        var output = Output()
        while let read = try await channel.read() {
            switch read {
            case .stdout(let bytes): output.stdout += String(buffer: bytes)
            case .stderr(let bytes): output.stderr += String(buffer: bytes)
            }
        }
        output.exit = try await channel.exit()
        await channel.close()
        return output
    }
}

struct TooLate: Error {}

/// Fails instead of waiting for ever.
func within<Result: Sendable>(
    _ seconds: Double,
    _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: .seconds(seconds))
            throw TooLate()
        }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}
