/// How a command opens its own session with a seedbox when no daemon runs.
import Calls
import Logging
import Seedbox

protocol SessionOpener: Sendable {
    /// Goes all the way through Tor and SSH to the agent's greeting; throws a `Problem` that names the hop at fault.
    ///
    /// `progress` is told each time a hop's state changes.
    func open(
        _ box: Configuration.Box,
        of configuration: Configuration,
        logger: Logger,
        progress: @escaping @Sendable (LinkStatus) -> Void
    ) async throws -> OwnSession
}

/// A session that a command opened for itself.
struct OwnSession: Sendable {
    /// Greeted, and driven by whoever opened it.
    let connection: CallConnection
    /// Ends it and all that was started for it, such as an own tor.
    let end: @Sendable () async -> Void
}
