/// Who keeps the jobs that a command asks about: the daemon, or the command itself where none runs.
import Calls
import Notation
import Seedbox

enum JobKeeper: Sendable {
    case daemon(CallConnection, Configuration)
    case own(OwnOutbox)

    /// `sends`: a job may have to be carried out, so without a daemon the way to the seedbox must be configured whole.
    static func with<Success: Sendable>(
        _ choice: BoxChoice,
        sends: Bool = false,
        _ body: @Sendable (JobKeeper) async throws -> Success
    ) async throws -> Success {
        let configuration = try choice.load(acceptMissingFiles: true)
        if let connection = try await ControlSocket.connect(configuration.controlSocket) {
            return try await Backend.greeting(connection) {
                try await body(.daemon(connection, configuration))
            }
        }
        let complete = sends ? try choice.load() : configuration
        let boxes = complete.boxes.map { OwnReach($0, of: complete, logger: choice.logger) }
        let outbox = OwnOutbox(complete, boxes: boxes, logger: choice.logger)
        let result: Result<Success, any Error>
        do {
            result = .success(try await body(.own(outbox)))
        } catch {
            result = .failure(error)
        }
        await outbox.end()
        for box in boxes { await box.end() }
        return try result.get()
    }

    /// `jobs`, `job` or `job.cancel`.
    func ask(_ procedure: String, _ arguments: Value) async throws -> Value {
        switch self {
        case .daemon(let connection, _): try await connection.call(procedure, arguments)
        case .own(let outbox): try await outbox.answer(procedure, arguments)
        }
    }

    /// Hands each job over that has not ended, and then each that changes; until the daemon ends, or `body` returns false.
    func watch(_ arguments: Value, _ body: (Value) async throws -> Bool) async throws {
        guard case .daemon(let connection, _) = self else {
            throw Problem(.controllerAbsent, "No daemon runs, so nothing changes. Start it with `farseed serve`.")
        }
        let call = try await connection.open("jobs.watch", arguments)
        for await input in call.events {
            guard case .event(let job) = input else { continue }
            guard try await body(job) else { return call.cancel() }
        }
        _ = try await call.result()
    }

    /// Takes a job back, the newest where `id` is nil.
    func undo(_ id: Int64?, _ patience: Patience) async throws -> ChangeOutcome {
        let key = Backend.newKey()
        let arguments: [String: Value] = id.map { ["id": .int($0)] } ?? [:]
        let errand = { (configuration: Configuration) in
            DaemonErrand("job.undo", arguments, key: key, patience, configuration)
        }
        switch self {
        case .daemon(let connection, let configuration):
            return try await errand(configuration).carriedOut(over: connection)
        case .own(let outbox):
            let told = errand(outbox.configuration)
            return try await outbox.undo(id, key: key, patience) { daemon in
                try await Backend.greeting(daemon) { try await told.carriedOut(over: daemon) }
            }
        }
    }

    /// What a command needs that watches the torrents of a job; nil where its seedbox is no more.
    func backend(of job: Value) -> Backend? {
        guard let box = job["box"]?.string else { return nil }
        switch self {
        case .daemon(let connection, let configuration):
            return Backend(road: .daemon(connection), box: box, configuration: configuration)
        case .own(let outbox): return outbox.backend(for: box)
        }
    }
}
