import Calls
import NIOCore
import NIOPosix
import SSH
import Seedbox
import TestSupport
import Testing
import Wire

@testable import Tunnel

/// The agent's greeting over a real SSH server, or what is there instead, and its silence later.
struct GreetingTests {
    private func session(_ server: SSHServer, _ command: String) async throws -> AgentSession {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: server.port).get()
        let key = try PrivateKey(path: server.userKeyPath)
        let hostKey = try #require(HostKey(server.hostKeyLine))
        let configuration = SSHConfiguration(user: server.user, key: key, hostKey: .pinned([hostKey]))
        let ssh = try await SSHConnection.open(on: channel, configuration)
        let session = AgentSession(
            try await ssh.exec(command, eager: true),
            ssh: ssh,
            hello: Hello(software: "farseed", capabilities: [])
        )
        session.start()
        return session
    }

    @Test func `An agent that says nothing is given up at the deadline, and the session with it`() async throws {
        let session = try await session(SSHServer(), "sleep 600")
        let failure = await #expect(throws: DialFailure.self) { try await session.greeted(within: .milliseconds(300)) }
        #expect(failure?.problem.code == .timedOut && failure?.stage == .greeting && failure?.remedy == .newCircuit)
        #expect(failure?.problem.message.hasPrefix("The agent did not greet in time.") == true)
        #expect(session.connection.isOver)
    }

    @Test(
        arguments: [
            ("echo hello; read -r line", Problem.Code.agentUnexpected, SOCKSReply.Remedy.tellOwner),
            ("echo no such thing >&2; exit 127", .agentMissing, .tellOwner),
            ("echo broken >&2; exit 1", .agentFailed, .backOff),
        ]
    )
    func `What is there instead of an agent is told`(
        command: String,
        code: Problem.Code,
        remedy: SOCKSReply.Remedy
    ) async throws {
        let session = try await session(SSHServer(), command)
        let failure = await #expect(throws: DialFailure.self) { try await session.greeted(within: .seconds(30)) }
        #expect(failure?.problem.code == code && failure?.remedy == remedy, "\(String(describing: failure))")
    }

    /// Greets, answers two pings after 0.4 s each, and says no more.
    private static let fallingSilent = """
        python3 -c 'import sys, time
        said, told, left = sys.stdin.buffer, sys.stdout.buffer, 2
        def tell(kind, payload):
            told.write((len(payload) + 5).to_bytes(4, "big") + bytes([kind, 0, 0, 0, 0]) + payload)
            told.flush()
        told.write(b"FARSEED\\n")
        tell(1, b"\\xa1\\x68versions\\x82\\x01\\x01")
        said.read(8)
        while len(head := said.read(4)) == 4:
            frame = said.read(int.from_bytes(head, "big"))
            if frame[0] == 10 and left:
                time.sleep(0.4)
                tell(11, frame[5:])
                left -= 1'
        """

    @Test func `An agent that falls silent is given up after a time that its round trips tell`() async throws {
        let session = try await session(SSHServer(), Self.fallingSilent)
        try await session.greeted(within: .seconds(30))
        var timing = LinkTiming()
        timing.pingEvery = .milliseconds(10)
        timing.deadAfter = .seconds(2)
        await session.keepAlive(timing)
        let problem = await #expect(throws: Problem.self) { try await session.connection.call("status") }
        let words = try #require(problem?.message.split(separator: " "))
        // Eight round trips of at least 0.4 s, where two seconds are the least.
        #expect(words.compactMap { Int($0) }.first ?? 0 >= 3, "\(words)")
        await session.end()
    }
}
