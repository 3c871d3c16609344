/// Opens a session for one command where no controller runs.
import Logging
import NIOPosix
import Seedbox
import Tunnel

func sessionOpener() -> any SessionOpener { OwnSessionOpener() }

private struct OwnSessionOpener: SessionOpener {
    /// How long an own tor may take to bootstrap; 40 s are usual.
    private static let bootstrapping = Duration.seconds(120)

    func open(
        _ box: Configuration.Box,
        of configuration: Configuration,
        logger: Logger,
        progress: @escaping @Sendable (LinkStatus) -> Void
    ) async throws -> OwnSession {
        let group = MultiThreadedEventLoopGroup.singleton
        if configuration.tor.socks == nil { try StateDirectory.prepare(configuration.stateDirectory) }
        let tor = try TunnelSetup.tor(configuration, group: group, logger: logger)
        // Not in a group: it must outlive this function; `end` cancels it.
        let running = Task { try await tor.run() }
        do {
            await tor.usable(within: Self.bootstrapping)
            if !tor.status.isUsable, let problem = tor.status.problem { throw problem }
            let session = try await OneShotLink(
                TunnelSetup.box(box, configuration, epoch: nil),
                tor: tor,
                group: group
            ).open(progress)
            return OwnSession(connection: session.connection) {
                await session.end()
                running.cancel()
                _ = await running.result
            }
        } catch {
            running.cancel()
            _ = await running.result
            throw error
        }
    }
}
