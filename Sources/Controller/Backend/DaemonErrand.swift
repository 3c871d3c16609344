/// What is asked of the daemon under one key, and told again to the next one where it ends before it has answered.
import Calls
import NIOCore
import Notation
import Seedbox
import Synchronization

struct DaemonErrand: Sendable {
    /// How long the next daemon is waited for where one has ended under a command.
    private static let restarting = Duration.seconds(10)

    private let procedure: String
    private let arguments: [String: Value]
    private let upload: [UInt8]?
    private let configuration: Configuration
    private let patience: Patience
    private let deadline: ContinuousClock.Instant?

    /// `procedure` takes a `key`, by which the daemon knows a repetition, `wait` and `queue`. The time begins to count now.
    init(
        _ procedure: String,
        _ arguments: [String: Value],
        upload: [UInt8]? = nil,
        key: String,
        _ patience: Patience,
        _ configuration: Configuration
    ) {
        self.procedure = procedure
        self.arguments = arguments.merging(
            ["key": .string(key), "wait": .bool(!patience.returnsAtOnce), "queue": .bool(!patience.refusesQueue)]
        ) { _, own in own }
        self.upload = upload
        self.patience = patience
        self.configuration = configuration
        deadline = patience.deadline
    }

    /// Waits as `patience` says; throws the `Problem` that ended the job.
    func carriedOut(over connection: CallConnection) async throws -> ChangeOutcome {
        if let answer = await answer(of: connection) { return try answer.get() }
        guard !patience.refusesQueue else { throw Self.unanswered }
        return try await repeated()
    }

    /// Nil where the daemon has ended before it answered. One that lives says of a broken circuit, too, that a connection
    /// is lost: that is its answer.
    private func answer(of daemon: CallConnection) async -> Result<ChangeOutcome, any Error>? {
        do {
            return .success(try await asked(of: daemon))
        } catch  where daemon.isOver && Failure.problem(error)?.code == .connectionLost {
            return nil
        } catch {
            return .failure(error)
        }
    }

    /// Whether the daemon that has ended had kept the command or not, the next one does.
    private func repeated() async throws -> ChangeOutcome {
        var next = NextDaemon(configuration, within: Self.restarting)
        while let connection = try await next.connection(until: deadline) {
            let answer: Result<ChangeOutcome, any Error>?
            do {
                answer = try await Backend.greeting(connection) { await self.answer(of: connection) }
            } catch  where Failure.problem(error)?.code == .connectionLost {
                // It has ended before it greeted.
                continue
            }
            if let answer { return try answer.get() }
        }
        throw Self.unanswered
    }

    private static let unanswered = Problem(
        .connectionLost,
        "The daemon has ended before it answered. If it had accepted the command, that is kept as a job, which the next "
            + "`farseed serve` carries out: `farseed jobs` shows it."
    )

    private func asked(of daemon: CallConnection) async throws -> ChangeOutcome {
        let accepted = Accepted()
        let limit = deadline.map { max(.zero, $0 - .now) } ?? (patience.untilEnd ? nil : patience.grace)
        let call = try await daemon.open(procedure, .map(arguments))
        do {
            let job = try await within(limit, orThrow: Backend.overdue) {
                try await send(on: call)
                for await input in call.events {
                    if case .event(let job) = input { accepted.note(job) }
                }
                return try await call.result()
            }
            return try Backend.outcome(of: job)
        } catch let problem as Problem where problem == Backend.overdue {
            guard let job = accepted.job else { throw problem }
            if patience.refusesQueue, let outcome = try await takenBack(job, daemon) { return outcome }
            guard deadline == nil else {
                throw Problem(
                    .timedOut,
                    "The command has not ended in time. It is kept as job \(Backend.number(job)) and goes on; "
                        + "`farseed jobs` shows it, `farseed jobs cancel` ends it."
                )
            }
            return Backend.pending(job)
        }
    }

    /// Whoever wants no queue leaves no job that was not sent: throws why it was not. Nil where it was and goes on.
    private func takenBack(_ job: Value, _ daemon: CallConnection) async throws -> ChangeOutcome? {
        guard let id = job["id"], let now = try? await daemon.call("job", ["id": id]) else { return nil }
        if now["ended"]?.bool == true { return try Backend.outcome(of: now) }
        guard (try? await daemon.call("job.cancel", ["id": id])) != nil else { return nil }
        throw now["problem"].flatMap(Problem.init)
            ?? Problem(.timedOut, "The command could not be sent in time, and its job is cancelled. Nothing was done.")
    }

    private func send(on call: OutgoingCall) async throws {
        guard let upload else { return }
        try await call.send(ByteBuffer(bytes: upload), lane: 0)
        try await call.end(lane: 0)
    }
}

/// The job that the daemon has accepted.
private final class Accepted: Sendable {
    private let state = Mutex<Value?>(nil)

    var job: Value? { state.withLock { $0 } }

    func note(_ job: Value) { state.withLock { $0 = job } }
}
