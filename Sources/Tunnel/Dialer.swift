/// The whole way to an agent: tor's SOCKS port, the circuit, SSH, the forced command, the greeting.
import Calls
import Logging
package import NIOCore
import NIOPosix
import SSH
import Seedbox
import Wire

/// One attempt; everything that goes wrong is a `DialFailure` with a `Problem` and what to do about it.
package struct Dialer: Sendable {
    /// How far an attempt has come.
    package enum Stage: Int, Sendable, Comparable, CaseIterable {
        /// To tor's SOCKS port.
        case socks
        /// Tor looks for a circuit to the seedbox.
        case circuit
        /// The stream is open; keys are exchanged and the host key is compared.
        case handshake
        case login
        /// The forced command has been asked for; the agent's greeting is waited for.
        case greeting

        package static func < (left: Stage, right: Stage) -> Bool { left.rawValue < right.rawValue }
    }

    private let configuration: TunnelConfiguration
    private let tor: Tor
    private let group: any EventLoopGroup

    /// For the control port to say why a stream failed.
    private static let explaining = Duration.milliseconds(500)
    /// The command that the gate on the VPS knows.
    private static let command = "farseed-agent serve"

    package init(_ configuration: TunnelConfiguration, tor: Tor, group: any EventLoopGroup) {
        self.configuration = configuration
        self.tor = tor
        self.group = group
    }

    /// Goes all the way, the agent's greeting included.
    ///
    /// - Parameter isolation: the SOCKS password. Another one means another circuit; on the control port it finds ours.
    package func dial(
        _ address: String,
        isolation: String,
        reached: @escaping @Sendable (Stage) -> Void = { _ in }
    ) async throws -> AgentSession {
        let session = try await ask(address, isolation: isolation, reached: reached)
        try await session.greeted(within: configuration.timing.greeting)
        return session
    }

    /// Goes as far as asking for the agent. Calls may be made at once; whoever calls awaits `greeted` beside them, which
    /// says why there will be no answer.
    package func ask(
        _ address: String,
        isolation: String,
        reached: @escaping @Sendable (Stage) -> Void
    ) async throws -> AgentSession {
        let ssh = try await logIn(address, isolation: isolation, reached: reached)
        do {
            reached(.greeting)
            return try await ask(ssh)
        } catch {
            await ssh.close()
            throw error
        }
    }

    /// Goes as far as the login; the connection is the caller's.
    func logIn(
        _ address: String,
        isolation: String,
        reached: @escaping @Sendable (Stage) -> Void
    ) async throws -> SSHConnection {
        reached(.socks)
        let channel = try await connect(address, isolation: isolation, reached: reached)
        reached(.handshake)
        return try await logIn(on: channel, reached: reached)
    }

    // MARK: Tor

    private func connect(
        _ address: String,
        isolation: String,
        reached: @escaping @Sendable (Stage) -> Void
    ) async throws -> any Channel {
        let request = SOCKS5Client.Request(
            host: address,
            port: configuration.port,
            username: TorNews.username + configuration.box,
            password: isolation,
            ahead: SSHConfiguration.identification
        )
        let connected = group.any().makePromise(of: Void.self)
        let deadlines = SOCKS5Handler.Deadlines(circuit: .init(configuration.timing.socks))
        let channel: any Channel
        do {
            channel = try await tor.socks.connect(by: group, within: Tor.connecting, autoRead: false) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = SOCKS5Handler(request, deadlines: deadlines, connected: connected)
                    try channel.pipeline.syncOperations.addHandler(handler)
                    return channel
                }
            }
        } catch {
            connected.fail(error)
            throw DialFailure(Tor.unreachable(tor.socks), .backOff, at: .socks)
        }
        reached(.circuit)
        return try await withTaskCancellationHandler {
            do {
                try await connected.futureResult.get()
                return channel
            } catch {
                channel.close(promise: nil)
                try Task.checkCancellation()
                // An error of the stream itself is an end before its time, too.
                let failure = error as? SOCKSFailure ?? .closed
                let reason = await reason(of: failure, isolation)
                throw DialFailure(failure, to: address, isTorReady: tor.status.isUsable, reason: reason)
            }
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// What the control port says of a failure for which SOCKS has no word; it comes beside tor's answer.
    private func reason(of failure: SOCKSFailure, _ isolation: String) async -> String? {
        guard failure == .reply(.generalFailure), tor.status.news != nil else { return nil }
        await tor.status(within: Self.explaining) { status in
            status.news.map { $0.failures[isolation] != nil } ?? true
        }
        return tor.status.news?.failures[isolation]
    }

    // MARK: SSH

    private func logIn(
        on channel: any Channel,
        reached: @escaping @Sendable (Stage) -> Void
    ) async throws -> SSHConnection {
        do {
            let hostKeys = configuration.hostKeys.compactMap(HostKey.init)
            let key = try PrivateKey(path: configuration.keyFile)
            var ssh = SSHConfiguration(user: configuration.user, key: key, hostKey: .pinned(hostKeys))
            ssh.compression = configuration.compression
            ssh.isIdentified = true
            return try await SSHConnection.open(on: channel, ssh) { progress in
                if case .handshaken = progress { reached(.login) }
            }
        } catch {
            channel.close(promise: nil)
            try Task.checkCancellation()
            throw DialFailure(error, at: .handshake)
        }
    }

    // MARK: Agent

    /// Asks for the agent and waits for nothing: calls may be made at once, and go out with our greeting.
    private func ask(_ ssh: SSHConnection) async throws -> AgentSession {
        let channel: SSHChannel
        do {
            // Given out before the server has agreed: the greeting goes with the request, which saves a round trip.
            channel = try await ssh.exec(Self.command, eager: true)
        } catch {
            try Task.checkCancellation()
            throw DialFailure(error, at: .greeting)
        }
        let hello = Hello(
            software: configuration.software,
            capabilities: ["exec", "resume", "verbs", "watch"],
            epoch: configuration.epoch
        )
        let session = AgentSession(channel, ssh: ssh, hello: hello)
        session.start()
        return session
    }
}
