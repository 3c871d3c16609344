import NIOCore
import TestSupport
import Testing

@testable import SSH

/// A real server that says no more from some step on: each wait ends at its own deadline, with its own sentence. The first
/// two steps are among the hostile servers.
struct DeadlineTests {
    private static let short = TimeAmount.seconds(2)

    private func connect(
        _ server: SSHServer,
        by relay: Relay,
        progress: @escaping @Sendable (SSHProgress) -> Void = { _ in },
        change: (inout SSHConfiguration.Deadlines) -> Void
    ) async throws -> SSHConnection {
        var configuration = try Client.configuration(server)
        change(&configuration.deadlines)
        return try await SSHConnection.open(
            on: Client.channel(port: relay.port),
            configuration,
            progress: progress
        )
    }

    @Test func `The login`() async throws {
        let server = try SSHServer()
        let relay = try await Relay(to: server.port)
        let error = await #expect(throws: SSHError.self) {
            try await within(30) {
                try await connect(server, by: relay) { progress in
                    if case .handshaken = progress { relay.stop() }
                } change: {
                    $0.login = Self.short
                }
            }
        }
        #expect(error?.code == .timedOut)
        #expect(error?.message == "The SSH login took longer than 2 s.")
    }

    @Test(
        arguments: [
            (0, "Opening an SSH channel took longer than 2 s."),
            (1, "Starting the command took longer than 2 s."),
        ]
    )
    func `The opening of a channel, and the start of a command on it`(pieces: Int, message: String) async throws {
        let server = try SSHServer()
        let relay = try await Relay(to: server.port)
        let connection = try await connect(server, by: relay) {
            $0.channelOpen = pieces == 0 ? Self.short : .seconds(20)
            $0.exec = pieces == 1 ? Self.short : .seconds(20)
        }
        // Once its channel is closed the server has nothing more to say by itself.
        #expect(try await connection.output("echo first").stdout == "first\n")
        relay.stop(after: pieces)
        let error = await #expect(throws: SSHError.self) {
            try await within(30) { try await connection.exec("echo second") }
        }
        #expect(error?.code == .timedOut && error?.message == message)
        try await within(30) { await connection.close() }
    }

    @Test func `An eager command is told of by its first read`() async throws {
        let server = try SSHServer()
        let relay = try await Relay(to: server.port)
        let connection = try await connect(server, by: relay) { $0.exec = Self.short }
        #expect(try await connection.output("echo first").stdout == "first\n")
        relay.stop(after: 1)
        let channel = try await connection.exec("echo second", eager: true)
        let error = await #expect(throws: SSHError.self) { try await within(30) { try await channel.read() } }
        #expect(error?.message == "Starting the command took longer than 2 s.")
    }

    @Test func `The goodbye of a channel and of the connection`() async throws {
        let server = try SSHServer()
        let relay = try await Relay(to: server.port)
        let connection = try await connect(server, by: relay) { $0.close = Self.short }
        let channel = try await connection.exec("cat")
        relay.stop()
        let waited = try await ContinuousClock().measure { try await within(30) { await channel.close() } }
        #expect(waited >= .milliseconds(1_990))
        let error = await #expect(throws: SSHError.self) { try await channel.read() }
        #expect(error?.code == .channelClosed && error?.message == "The SSH channel is closed.")
        try await within(30) { await connection.close() }
        #expect(try await connection.closed.get().message == "The connection is closed.")
    }

    /// The one wait that libssh2 keeps to itself: it hands over no data while keys are exchanged (libssh2#1672). When the
    /// server asks for new keys is not ours to say, so it is stopped after one piece more each time.
    @Test func `An exchange of new keys that does not end`() async throws {
        let server = try SSHServer(["RekeyLimit 256K"])
        var found: SSHError?
        for pieces in 0..<40 where found == nil {
            let relay = try await Relay(to: server.port)
            let connection = try await connect(server, by: relay) { $0.stall = Self.short }
            #expect(try await connection.output("echo first").stdout == "first\n")
            let half = ByteBuffer(repeating: 7, count: 512 << 10)
            let channel = try await connection.exec("head -c \(half.readableBytes); exec cat > /dev/null")
            relay.stop(after: pieces)
            do {
                // Less than the server's window of 2 MiB, so that nothing else stops it. By the time that nothing comes
                // any more, the server has said what it had to say.
                try await within(30) { try await channel.write(half) }
                while (try? await within(0.5) { try await channel.read() }) != nil {}
                try await within(30) { try await channel.write(half) }
            } catch let error as SSHError {
                found = error
            }
            try await within(30) { await connection.close() }
        }
        #expect(found?.code == .stalled)
        #expect(found?.message == "The SSH connection has not moved for 2 s though it should; it is dropped.")
    }
}
