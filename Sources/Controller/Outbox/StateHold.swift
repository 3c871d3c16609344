/// Who sends the jobs of a state directory: the daemon, or for a moment a command without one. Never two at once.
import Calls
import Seedbox
import Store

enum StateHold {
    /// The lock is ours for as long as it is kept.
    case mine(StateLock)
    /// A daemon has it, and answers here.
    case daemon(CallConnection)

    private static let knockEvery = Duration.milliseconds(50)
    /// A command holds the lock while it sends, `OwnOutbox.longestHold` at most, and a daemon while it starts or ends.
    private static let patience = Duration.seconds(60)

    /// Waits while another command has the lock, and no longer than a caller that has until `end`.
    static func take(_ configuration: Configuration, until end: ContinuousClock.Instant?) async throws -> StateHold {
        try await take(configuration, within: end.map { min(patience, max(.zero, $0 - .now)) } ?? patience)
    }

    /// Waits while another command has the lock; `conflict` where it does not let go in time.
    static func take(_ configuration: Configuration, within patience: Duration = patience) async throws -> StateHold {
        let path = StateDirectory.lock(configuration)
        let deadline = ContinuousClock.now + patience
        while true {
            if let lock = try StateLock(path: path) { return .mine(lock) }
            if let daemon = try await ControlSocket.connect(configuration.controlSocket) { return .daemon(daemon) }
            guard ContinuousClock.now < deadline else {
                throw Problem(.conflict, busy(configuration).message + " Nothing was done; try again.")
            }
            try await Task.sleep(for: knockEvery)
        }
    }

    static func busy(_ configuration: Configuration) -> Problem {
        let path = visible(StateDirectory.lock(configuration))
        return Problem(
            .conflict,
            "Another farseed works with this state directory (it holds \(path)) and has not let go of it in time."
        )
    }

    /// For the daemon itself, which takes no other's place.
    static func toServe(_ configuration: Configuration) async throws -> StateLock {
        switch try await take(configuration) {
        case .mine(let lock): return lock
        case .daemon(let other):
            try await Backend.driven(other) {}
            throw Problem(
                .conflict,
                "Another farseed serves with this state directory (it holds \(visible(StateDirectory.lock(configuration)))"
                    + "), so this one does not start. End the other one, or name another state directory."
            )
        }
    }
}
