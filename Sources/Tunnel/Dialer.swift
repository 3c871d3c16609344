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
    private let socks: TorAddress
    private let group: any EventLoopGroup

    private static let connecting = TimeAmount.seconds(10)
    /// The command that the gate on the VPS knows.
    private static let command = "farseed-agent serve"
    /// Exit status of a shell that finds no such program, or may not run it.
    private static let notFound: Int32 = 127
    private static let notExecutable: Int32 = 126

    package init(_ configuration: TunnelConfiguration, socks: TorAddress, group: any EventLoopGroup) {
        self.configuration = configuration
        self.socks = socks
        self.group = group
    }

    /// Goes all the way. The connection must be driven by `AgentSession.run()`.
    ///
    /// - Parameter isolation: the SOCKS password. Another one means another circuit; on the control port it finds ours.
    package func dial(
        _ address: String,
        isolation: String,
        reached: @escaping @Sendable (Stage) -> Void = { _ in }
    ) async throws -> AgentSession {
        let ssh = try await logIn(address, isolation: isolation, reached: reached)
        do {
            reached(.greeting)
            return try await greet(ssh)
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
            username: "farseed-\(configuration.box)",
            password: isolation,
            ahead: SSHConfiguration.identification
        )
        let connected = group.any().makePromise(of: Void.self)
        let bootstrap = ClientBootstrap(group: group)
            .connectTimeout(Self.connecting)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(SOCKS5Handler(request, connected: connected))
                }
            }
        let channel: any Channel
        do {
            switch socks {
            case .tcp(let host, let port):
                // A literal address: nothing is resolved here.
                channel = try await bootstrap.connect(to: SocketAddress(ipAddress: host, port: port)).get()
            case .unix(let path): channel = try await bootstrap.connect(unixDomainSocketPath: path).get()
            }
        } catch {
            connected.fail(error)
            throw DialFailure(
                Problem(
                    .socksUnreachable,
                    "Tor's SOCKS port \(socks) does not answer. Start tor, or correct `socks` in the configuration."
                ),
                .backOff,
                at: .socks
            )
        }
        reached(.circuit)
        let deadline = channel.eventLoop.scheduleTask(in: .init(configuration.timing.socks)) {
            connected.fail(ChannelError.connectTimeout(.init(configuration.timing.socks)))
        }
        defer { deadline.cancel() }
        return try await withTaskCancellationHandler {
            do {
                try await connected.futureResult.get()
                return channel
            } catch {
                channel.close(promise: nil)
                try Task.checkCancellation()
                if let failure = error as? SOCKSFailure {
                    throw DialFailure(failure.problem, failure.remedy, at: .circuit)
                }
                throw DialFailure(
                    Problem(
                        .timedOut,
                        "Tor found no circuit to the seedbox in time. It may be slow or the VPS may be down; "
                            + "this is tried again by itself."
                    ),
                    .newCircuit,
                    at: .circuit
                )
            }
        } onCancel: {
            channel.close(promise: nil)
        }
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

    private func greet(_ ssh: SSHConnection) async throws -> AgentSession {
        let channel: SSHChannel
        do {
            // Given out before the server has agreed: the greeting goes with the request, which saves a round trip.
            channel = try await ssh.exec(Self.command, eager: true)
        } catch {
            try Task.checkCancellation()
            throw DialFailure(error, at: .greeting)
        }
        let stream = SSHByteStream(channel)
        let hello = Hello(
            software: configuration.software,
            capabilities: ["exec", "resume", "verbs", "watch"],
            epoch: configuration.epoch
        )
        let connection = CallConnection(stream: stream, hello: hello, side: .caller)
        let session = AgentSession(connection: connection, ssh: ssh)
        session.start()
        do {
            let timeout = Problem(
                .timedOut,
                "The agent did not greet in time. The VPS may be overloaded; this is tried again by itself."
            )
            session.hello = try await within(configuration.timing.greeting, orThrow: timeout) {
                try await connection.peerHello()
            }
            return session
        } catch {
            let failure = await explained(error, stream, channel)
            await session.end()
            try Task.checkCancellation()
            throw failure
        }
    }

    /// Why there is no greeting: what the shell or the gate said, and how the command ended.
    private func explained(_ error: any Error, _ stream: SSHByteStream, _ channel: SSHChannel) async -> DialFailure {
        guard let error = error as? CallsError, error.code == .notFarseed || error.code == .notGreeted else {
            return DialFailure(error, at: .greeting)
        }
        let exit = try? await within(.seconds(5), orThrow: CancellationError()) {
            while try await stream.read() != nil {}
            return try await channel.exit()
        }
        let said = neutralised(error.received + stream.complaint)
        let words = said.isEmpty ? "" : " The VPS said: \(said.hasSuffix(".") ? said : said + ".")"
        if case .status(let status)? = exit, status == Self.notFound || status == Self.notExecutable {
            return DialFailure(
                Problem(
                    .agentMissing,
                    "The login works, but the forced command does not start the agent: it is missing or not "
                        + "executable on the VPS, or the key is not bound to it.\(words) Install farseed-agent there and "
                        + "check the line in authorized_keys."
                ),
                .tellOwner,
                at: .greeting
            )
        }
        if error.code == .notFarseed {
            return DialFailure(
                Problem(
                    .agentUnexpected,
                    "Something else than the agent answers on the VPS.\(words) Bind the key to farseed-agent in "
                        + "authorized_keys, and let the login shell print nothing."
                ),
                .tellOwner,
                at: .greeting
            )
        }
        return DialFailure(
            Problem(
                .agentFailed,
                "The agent on the VPS ended before its greeting.\(words) Run `farseed-agent check` there."
            ),
            .backOff,
            at: .greeting
        )
    }
}
