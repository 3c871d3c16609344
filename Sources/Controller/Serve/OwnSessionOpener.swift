/// Opens a session for one command where no controller runs.
import Calls
import Logging
import NIOPosix
import Seedbox
import Tunnel

func sessionOpener() -> any SessionOpener { OwnSessionOpener() }

private struct OwnSessionOpener: SessionOpener {
    /// How long an own tor may take to bootstrap; 40 s are usual.
    private static let bootstrapping = Duration.seconds(120)

    /// Pings until it is cancelled; a circuit that has died in silence ends the connection, and with it the command.
    private static func keepAlive(_ connection: CallConnection, _ timing: LinkTiming) async {
        let silent = Problem(
            .connectionLost,
            "The seedbox has not answered for \(timing.deadAfter.components.seconds) s: the circuit is dead. Try again."
        )
        while (try? await Task.sleep(for: timing.pingEvery)) != nil {
            do {
                _ = try await within(timing.deadAfter, orThrow: silent) { try await connection.ping() }
            } catch let problem as Problem where problem == silent {
                return await connection.close(problem)
            } catch {
                return
            }
        }
    }

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
            let timing = TunnelSetup.box(box, configuration, epoch: nil).timing
            let watching = Task { await Self.keepAlive(session.connection, timing) }
            return OwnSession(connection: session.connection) {
                watching.cancel()
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
