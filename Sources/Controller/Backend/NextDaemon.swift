/// The daemon that comes after one which has ended under a command: a service manager starts it again.
import Calls
import Seedbox

struct NextDaemon {
    private static let knockEvery = Duration.milliseconds(100)

    private let socket: String
    /// How long one is waited for.
    private let patience: Duration
    private var last: ContinuousClock.Instant
    private var reached: ContinuousClock.Instant?

    /// The time begins to count now.
    init(_ configuration: Configuration, within patience: Duration) {
        socket = configuration.controlSocket
        self.patience = patience
        last = .now + patience
    }

    /// Its connection, to be driven by the caller; nil where none has come in time, or by `deadline`.
    ///
    /// Asked again where that one has ended, too: it has its own time if it had worked for a while, and no more than what is
    /// left if it ended at once.
    mutating func connection(until deadline: ContinuousClock.Instant?) async throws -> CallConnection? {
        if let reached, ContinuousClock.now - reached > patience { last = .now + patience }
        while ContinuousClock.now < min(last, deadline ?? last) {
            try await Task.sleep(for: Self.knockEvery)
            // It may not be one's to open yet: the daemon gives it to its group a moment after it has made it.
            guard let connection = try? await ControlSocket.connect(socket) else { continue }
            reached = .now
            return connection
        }
        return nil
    }
}
