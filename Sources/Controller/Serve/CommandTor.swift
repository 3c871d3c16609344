/// Tor for as long as one command takes: a running one, the daemon's too, or a child of our own; and the sessions through it.
import Calls
import Logging
import NIOPosix
import Seedbox
import Tunnel

struct CommandTor: Sendable {
    /// How long an own tor may take to bootstrap; 40 s are usual.
    static let bootstrapping = Duration.seconds(120)

    let tor: Tor
    private let running: Task<Void, any Error>

    /// Returns at once; `end` it in any case.
    static func begin(_ configuration: Configuration, logger: Logger) async throws -> CommandTor {
        var isShared = false
        if configuration.tor.socks == nil {
            try StateDirectory.prepare(configuration.stateDirectory)
            // Another command's would end with that command.
            isShared = await ControlSocket.isOpen(configuration.controlSocket)
        }
        let tor = try TunnelSetup.tor(
            configuration,
            isShared: isShared,
            group: MultiThreadedEventLoopGroup.singleton,
            logger: logger
        )
        // Not in a group: it must outlive this function; `end` cancels it.
        return CommandTor(tor: tor, running: Task { try await tor.run() })
    }

    /// Returns once it can be used; `end` it in any case.
    static func start(_ configuration: Configuration, logger: Logger) async throws -> CommandTor {
        let started = try await begin(configuration, logger: logger)
        await started.tor.usable(within: bootstrapping)
        let status = started.tor.status
        if !status.isUsable, let problem = status.problem ?? status.bootstrapProblem {
            await started.end()
            throw problem
        }
        return started
    }

    func end() async {
        running.cancel()
        _ = await running.result
    }

    /// A session with the agent, which is pinged until it ends.
    func open(
        _ box: Configuration.Box,
        of configuration: Configuration,
        progress: @escaping @Sendable (OneShotLink.Event) -> Void = { _ in },
        failed: @escaping @Sendable (DialFailure) -> Void = { _ in }
    ) async throws -> OwnSession {
        let tunnel = TunnelSetup.box(box, configuration, epoch: nil)
        let link = link(tunnel)
        let session = try await link.open(progress)
        let greeting = Task { try await link.greeted(session, failed: failed) }
        let watching = Task {
            if (try? await greeting.value) != nil { await session.keepAlive(tunnel.timing) }
        }
        return OwnSession(connection: session.connection, greeted: { try await greeting.value }) {
            greeting.cancel()
            watching.cancel()
            await session.end()
        }
    }

    /// A login as `user` with the administrator's key.
    func openAdmin(
        _ box: Configuration.Box,
        of configuration: Configuration,
        user: String,
        key: String
    ) async throws -> AdminSession {
        var tunnel = TunnelSetup.box(box, configuration, epoch: nil)
        tunnel.user = user
        tunnel.keyFile = key
        return try await link(tunnel).openAdmin()
    }

    private func link(_ tunnel: TunnelConfiguration) -> OneShotLink {
        OneShotLink(tunnel, tor: tor, group: MultiThreadedEventLoopGroup.singleton)
    }
}
