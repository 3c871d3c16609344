/// The outbox where no daemon runs: jobs in the same ledger, sent by the command itself while it holds the state
/// directory. What it leaves, the next `farseed serve` or the next command that changes something carries out.
import Calls
import Jobs
import Logging
import Notation
import Seedbox
import Store

actor OwnOutbox {
    /// How a change goes through a daemon that has started meanwhile.
    typealias ThroughDaemon = @Sendable (CallConnection) async throws -> ChangeOutcome

    /// A job that is under way is waited for as long as its agent may take; nobody else would hear the answer.
    private static let underWay = Duration.seconds(300)
    private static let tryAgainAfter = Duration.seconds(2)

    private let configuration: Configuration
    private let boxes: [OwnReach]
    private let logger: Logger
    private var opened: (ledger: Ledger, audit: AuditLog)?

    init(_ configuration: Configuration, boxes: [OwnReach], logger: Logger) {
        self.configuration = configuration
        self.boxes = boxes
        self.logger = logger
    }

    // MARK: What commands use

    /// Keeps what the arguments of `submit` ask for, and carries it out as far as `patience` goes.
    func change(
        _ asked: [String: Value],
        _ upload: [UInt8]?,
        over reach: OwnReach,
        _ patience: Patience,
        daemon: ThroughDaemon
    ) async throws -> ChangeOutcome {
        var asked = asked
        asked["box"] = .string(reach.name)
        if patience.refusesQueue {
            // Fails now where the link is down, before anything is kept.
            let closed = Problem(
                .timedOut,
                "The way to the seedbox was not open in time. Nothing was done, and nothing is kept."
            )
            _ = try await within(patience.limit, orThrow: closed) { try await reach.connection(within: .zero) }
            asked["queue"] = true
        }
        let sent = Value.map(asked)
        return try await carried(patience, daemon) { desk in
            try await desk.accept(sent, upload, who: Owner.name, origin: UserDesk.origin)
        }
    }

    /// Takes a job back, the newest of the owner's where `id` is nil.
    func undo(_ id: Int64?, daemon: ThroughDaemon) async throws -> ChangeOutcome {
        try await carried(Patience(), daemon) { desk in
            try await desk.outbox.undo(id, who: Owner.name, origin: UserDesk.origin)
        }
    }

    /// What the ledger alone answers: `jobs`, `job`, `job.cancel`.
    func answer(_ procedure: String, _ arguments: Value) async throws -> Value {
        let directory = configuration.stateDirectory
        guard FileMode(StateDirectory.database(configuration)) != nil else {
            if FileMode(directory) != nil { try StateDirectory.prepareOwn(directory) }
            throw Problem(
                .controllerAbsent,
                "No daemon runs, and none has ever kept a job in \(visible(directory)). Start it with "
                    + "`farseed serve`."
            )
        }
        let desk = try await desk(boxes)
        let answer = try await desk.answer(procedure, arguments, who: Owner.name, origin: UserDesk.origin)
        guard let answer else { preconditionFailure("Only the desk's own procedures are asked here.") }
        return answer
    }

    /// Writes down what begins, and again how it failed.
    func noting<Success: Sendable>(
        _ action: String,
        target: String,
        _ body: @Sendable () async throws -> Success
    ) async throws -> Success {
        let audit = try await open().audit
        audit.note(action, who: Owner.name, from: UserDesk.origin, target: target)
        await audit.flush()
        do {
            return try await body()
        } catch {
            let outcome = Failure.problem(error)?.code.rawValue
            if let outcome {
                audit.note(action, who: Owner.name, from: UserDesk.origin, target: target, outcome: outcome)
            }
            throw error
        }
    }

    /// Closes the ledger, where it was needed.
    func end() async {
        guard let (ledger, audit) = opened else { return }
        opened = nil
        await audit.flush()
        // Every commit is on disk; the process's end closes what this does not.
        try? ledger.close()
    }

    // MARK: How

    private func open() async throws -> (ledger: Ledger, audit: AuditLog) {
        if let opened { return opened }
        try StateDirectory.prepareOwn(configuration.stateDirectory)
        let ledger = try await Ledger.open(LedgerConfiguration(path: StateDirectory.database(configuration)))
        let new = (ledger, AuditLog(ledger: ledger, logger: logger))
        opened = new
        return new
    }

    /// The same as the daemon's, over the command's own sessions.
    private func desk(_ boxes: [OwnReach]) async throws -> JobDesk {
        let (ledger, audit) = try await open()
        return JobDesk(ledger, boxes: boxes, audit: audit, logger: logger)
    }

    /// The lock is held while a job is accepted, and again while jobs are sent, but not while the way is opened: other
    /// commands need not wait for that, and a daemon that starts meanwhile reads the job.
    private func carried(
        _ patience: Patience,
        _ daemon: ThroughDaemon,
        _ accept: (JobDesk) async throws -> Job
    ) async throws -> ChangeOutcome {
        let deadline = patience.limit.map { ContinuousClock.now + $0 }
        let desk = try await desk(boxes)
        let job: Job
        switch try await StateHold.take(configuration) {
        case .daemon(let connection): return try await daemon(connection)
        case .mine(let lock):
            job = try await accept(desk)
            withExtendedLifetime(lock) {}
        }
        guard !job.state.isEnd, !patience.returnsAtOnce else { return try outcome(of: job, nil, patience) }
        guard let reach = boxes.first(where: { $0.name == job.box }) else {
            return try outcome(of: job, Problem(.notFound, "There is no seedbox of that name any more."), patience)
        }
        if let problem = await unreachable(reach, until: deadline) { return try await left(job, problem, patience) }
        switch try await StateHold.take(configuration) {
        case .daemon(let connection): return try await daemon(connection)
        case .mine(let lock):
            try await send(job, over: reach, until: deadline)
            withExtendedLifetime(lock) {}
        }
        return try await left(job, nil, patience)
    }

    /// Opens the way: the problem that keeps it closed, tried again as long as the caller waits.
    private func unreachable(_ reach: OwnReach, until deadline: ContinuousClock.Instant?) async -> Problem? {
        while true {
            do {
                let left = deadline.map { max(.zero, $0 - .now) }
                _ = try await within(left, orThrow: Backend.overdue) { try await reach.connection(within: .zero) }
                return nil
            } catch {
                let problem = Failure.problem(error) ?? Problem(.linkDown, "The link to the seedbox is not up.")
                guard let deadline, ContinuousClock.now + Self.tryAgainAfter < deadline,
                    (try? await Task.sleep(for: Self.tryAgainAfter)) != nil
                else { return problem }
            }
        }
    }

    /// Runs the outbox until the job has ended, and those before it; or until nobody waits any more.
    private func send(_ job: Job, over reach: OwnReach, until deadline: ContinuousClock.Instant?) async throws {
        let outbox = try await desk([reach]).outbox
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await outbox.run() }
            defer { group.cancelAll() }
            let limit = deadline.map { max(.zero, $0 - .now) } ?? Patience.grace
            if try await Self.ended([job.id], outbox, within: limit) {
                var before = JobFilter(limit: Self.mostBefore)
                before.box = job.box
                before.before = job.id
                before.states = Set(JobState.Name.allCases.filter { !$0.isEnd })
                let others = try await outbox.jobs(before).map(\.id)
                _ = try await Self.ended(others, outbox, within: min(limit, Self.forOthers))
            } else if deadline == nil, try await outbox.job(job.id).state.name == .sent {
                _ = try await Self.ended([job.id], outbox, within: Self.underWay)
            }
        }
    }

    /// Jobs before its own that a command stays for, and how long: one that cannot be settled yet holds up nobody.
    private static let mostBefore = 1000
    private static let forOthers = Duration.seconds(10)

    private static func ended(_ ids: [Int64], _ outbox: Outbox, within limit: Duration) async throws -> Bool {
        do {
            try await within(limit, orThrow: Backend.overdue) {
                for id in ids { _ = try await outbox.ended(id) }
            }
            return true
        } catch let problem as Problem where problem == Backend.overdue {
            return false
        }
    }

    /// What became of the job. Whoever wants no queue leaves none that was not sent.
    private func left(_ job: Job, _ reason: Problem?, _ patience: Patience) async throws -> ChangeOutcome {
        let outbox = try await desk(boxes).outbox
        let job = try await outbox.job(job.id)
        if patience.refusesQueue, !job.state.isEnd, (try? await outbox.cancel(job.id, by: Owner.name)) != nil {
            throw reason ?? job.state.problem ?? Backend.overdue
        }
        return try outcome(of: job, reason, patience)
    }

    private func outcome(of job: Job, _ reason: Problem?, _ patience: Patience) throws -> ChangeOutcome {
        var value = job.value
        guard !job.state.isEnd else { return try Backend.outcome(of: value) }
        let problem = reason.flatMap { $0 == Backend.overdue ? nil : $0 } ?? job.state.problem
        if let problem, var map = value.map {
            map["problem"] = problem.value
            value = .map(map)
        }
        let next =
            "no daemon runs: the next `farseed serve`, or the next command that changes something, carries it out."
        let because = problem.map { " " + $0.message } ?? ""
        guard patience.limit == nil || patience.returnsAtOnce else {
            throw Problem(.timedOut, "Not done in time. It is kept as job \(job.id), and \(next)\(because)")
        }
        return .pending(job: value, told: "accepted as job \(job.id); \(next)\(visible(because))")
    }
}
