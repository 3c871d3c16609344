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
    /// A command holds the lock while it sends, and a daemon while it starts or ends.
    private static let patience = Duration.seconds(60)

    /// Waits while another command has the lock; `conflict` where it does not let go in time.
    static func take(_ configuration: Configuration, within patience: Duration = patience) async throws -> StateHold {
        let path = StateDirectory.lock(configuration)
        let deadline = ContinuousClock.now + patience
        while true {
            if let lock = try StateLock(path: path) { return .mine(lock) }
            if let daemon = try await ControlSocket.connect(configuration.controlSocket) { return .daemon(daemon) }
            guard ContinuousClock.now < deadline else {
                throw Problem(
                    .conflict,
                    "Another farseed works with this state directory (it holds \(visible(path))) and has not ended in "
                        + "time. Nothing was done; try again."
                )
            }
            try await Task.sleep(for: knockEvery)
        }
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
