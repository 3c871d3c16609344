/// How a command opens its own session with a seedbox when no daemon runs.
import Calls
import Logging
import Seedbox

protocol SessionOpener: Sendable {
    /// Goes all the way through Tor and SSH, and asks for the agent; throws a `Problem` that names the hop at fault.
    func open(_ box: Configuration.Box, of configuration: Configuration, logger: Logger) async throws -> OwnSession
}

/// A session that a command opened for itself.
struct OwnSession: Sendable {
    /// Driven by whoever opened it. What is called before the agent has greeted goes out with our own greeting.
    let connection: CallConnection
    /// Returns once the agent has greeted; throws the `Problem` that keeps it away, and why calls on it fail.
    let greeted: @Sendable () async throws -> Void
    /// Ends it and all that was started for it, such as an own tor.
    let end: @Sendable () async -> Void
}
