/// The outbox where no daemon runs: jobs in the same ledger, sent by the command itself while it holds the state
/// directory. What it leaves, the next `farseed serve` or the next command that changes something carries out.
import Calls
import Foundation
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
    /// The pause after the first attempt to open the way that failed, doubled with each further one.
    private static let tryAgainAfter = Duration.seconds(2)
    private static let longestPause = Duration.seconds(30)
    /// The lock is let go of after this at the latest, and always while the job only waits: a daemon that starts, or
    /// another command, has it then. What was under way is asked for again, under its key.
    static let longestHold = Duration.seconds(30)
    /// Whoever waits for the lock knocks more often.
    private static let betweenHolds = Duration.milliseconds(500)

    let configuration: Configuration
    private let boxes: [OwnReach]
    private let longestHold: Duration
    private let logger: Logger
    private var opened: (ledger: Ledger, audit: AuditLog)?

    init(
        _ configuration: Configuration,
        boxes: [OwnReach],
        longestHold: Duration = OwnOutbox.longestHold,
        logger: Logger
    ) {
        self.configuration = configuration
        self.boxes = boxes
        self.longestHold = longestHold
        self.logger = logger
    }

    // MARK: What commands use

    /// Keeps what the arguments of `submit` ask for, and carries it out as far as `patience` goes.
    func change(
        _ asked: [String: Value],
        key: String,
        _ upload: [UInt8]?,
        over reach: OwnReach,
        _ patience: Patience,
        daemon: ThroughDaemon
    ) async throws -> ChangeOutcome {
        let deadline = patience.deadline
        let own: [String: Value] = ["box": .string(reach.name), "key": .string(key)]
        let sent = Value.map(asked.merging(own) { $1 })
        if patience.refusesQueue { try await Self.open(reach, patience) }
        return try await carried(patience, until: deadline, daemon) { desk in
            try await desk.accept(sent, upload, who: Owner.name, origin: UserDesk.origin)
        }
    }

    /// Takes a job back, the newest of the owner's where `id` is nil. A daemon that starts meanwhile knows by `key` that
    /// it is taken back already.
    func undo(_ id: Int64?, key: String, _ patience: Patience, daemon: ThroughDaemon) async throws -> ChangeOutcome {
        let deadline = patience.deadline
        if patience.refusesQueue {
            let box = try await desk(boxes).outbox.undoable(id, who: Owner.name).box
            if let reach = boxes.first(where: { $0.name == box }) { try await Self.open(reach, patience) }
        }
        return try await carried(patience, until: deadline, daemon) { desk in
            try await desk.outbox.undo(id, who: Owner.name, origin: UserDesk.origin, key: key)
        }
    }

    /// What a command needs that watches the torrents of a job; nil where the seedbox is no more.
    nonisolated func backend(for box: String) -> Backend? {
        boxes.first { $0.name == box }.map {
            Backend(road: .own($0, self), box: box, configuration: configuration)
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

    /// Writes down what begins, and again how it failed. The way to the seedbox is opened meanwhile.
    ///
    /// What cannot be written down is told in the log, and done all the same: a full disk here is no reason to keep the
    /// owner from the seedbox.
    func noting<Success: Sendable>(
        _ action: String,
        target: String,
        over reach: OwnReach,
        _ body: @Sendable () async throws -> Success
    ) async throws -> Success {
        if let problem = refusal { throw problem }
        async let _ = try? reach.session()
        let audit = await writableAudit()
        audit?.note(action, who: Owner.name, from: UserDesk.origin, target: target)
        await audit?.flush()
        do {
            return try await body()
        } catch {
            let outcome = Failure.problem(error)?.code.rawValue
            if let outcome {
                audit?.note(action, who: Owner.name, from: UserDesk.origin, target: target, outcome: outcome)
            }
            throw error
        }
    }

    /// Why this user may not work here at all.
    private var refusal: Problem? {
        do {
            try StateDirectory.prepareOwn(configuration.stateDirectory)
            return nil
        } catch {
            let problem = Failure.problem(error)
            return problem?.code == .notPermitted ? problem : nil
        }
    }

    private func writableAudit() async -> AuditLog? {
        do {
            return try await open(searched: false).audit
        } catch {
            logger.error(
                "The audit log could not be opened, so this is not written down.",
                metadata: ["error.code": "\(Failure.problem(error)?.code.rawValue ?? "\(type(of: error))")"]
            )
            return nil
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

    /// `searched`: the whole file is looked through for damage first, which takes longer the longer it is.
    private func open(searched: Bool = true) async throws -> (ledger: Ledger, audit: AuditLog) {
        if let opened { return opened }
        try StateDirectory.prepareOwn(configuration.stateDirectory)
        let path = StateDirectory.database(configuration)
        let ledger = try await Ledger.open(LedgerConfiguration(path: path, searchesForDamage: searched))
        let new = (ledger, AuditLog(ledger: ledger, logger: logger))
        opened = new
        return new
    }

    /// The same as the daemon's, over the command's own sessions.
    private func desk(_ boxes: [OwnReach]) async throws -> JobDesk {
        let (ledger, audit) = try await open()
        return JobDesk(ledger, boxes: boxes, audit: audit, logger: logger)
    }

    /// Fails where the way cannot be opened now.
    private static func open(_ reach: OwnReach, _ patience: Patience) async throws {
        let closed = Problem(
            .timedOut,
            "The way to the seedbox was not open in time. Nothing was done, and nothing is kept."
        )
        _ = try await within(patience.limit, orThrow: closed) { try await reach.connection(within: .zero) }
    }

    /// The lock is held while a job is accepted, and again while jobs are sent, but not while the way is opened: other
    /// commands need not wait for that, and a daemon that starts meanwhile reads the job.
    private func carried(
        _ patience: Patience,
        until deadline: ContinuousClock.Instant?,
        _ daemon: ThroughDaemon,
        _ accept: (JobDesk) async throws -> Job
    ) async throws -> ChangeOutcome {
        let desk = try await desk(boxes)
        let job: Job
        switch try await StateHold.take(configuration, until: deadline) {
        case .daemon(let connection): return try await daemon(connection)
        case .mine(let lock):
            job = try await accept(desk)
            withExtendedLifetime(lock) {}
        }
        guard !job.state.isEnd, !patience.returnsAtOnce else { return try outcome(of: job, nil, patience) }
        guard let reach = boxes.first(where: { $0.name == job.box }) else {
            return try outcome(of: job, Problem(.notFound, "There is no seedbox of that name any more."), patience)
        }
        return try await sent(job, over: reach, patience, until: deadline, daemon)
    }

    /// Sends in turns with others, until the job has ended or nobody waits any more.
    private func sent(
        _ job: Job,
        over reach: OwnReach,
        _ patience: Patience,
        until deadline: ContinuousClock.Instant?,
        _ daemon: ThroughDaemon
    ) async throws -> ChangeOutcome {
        let desk = try await desk(boxes)
        var end = deadline
        var isUnderWay = false
        while true {
            let problem = await unreachable(reach, for: job, patience, until: end)
            // One that expires is ended by the outbox, which needs no way for that.
            if let problem, !job.isOverdue { return try await left(job, problem, patience) }
            if Self.left(until: end) == .zero { return try await left(job, nil, patience) }
            switch try await turn(job, over: reach, problem, patience, until: end) {
            case .daemon(let connection): return try await daemon(connection)
            case .busy where patience.untilEnd && end == nil: continue
            case .busy: return try await left(job, StateHold.busy(configuration), patience)
            case .sent(let since):
                if end == nil, !patience.untilEnd { end = since + patience.grace }
            }
            let state = try await desk.outbox.job(job.id).state
            if state.isEnd { return try await left(job, nil, patience) }
            if let last = end, .now >= last {
                guard deadline == nil, !isUnderWay, state.isUnderWay else { return try await left(job, nil, patience) }
                isUnderWay = true
                end = last + Self.underWay
            }
            try await rest(job, desk.outbox, until: end)
        }
    }

    private enum Turn {
        case daemon(CallConnection)
        /// Others did not let go of the lock.
        case busy
        /// We had the lock.
        case sent(since: ContinuousClock.Instant)
    }

    /// Sends while it holds the lock, which it has let go of when it returns.
    private func turn(
        _ job: Job,
        over reach: OwnReach,
        _ problem: Problem?,
        _ patience: Patience,
        until end: ContinuousClock.Instant?
    ) async throws -> Turn {
        let hold: StateHold
        do {
            hold = try await StateHold.take(configuration, until: end)
        } catch let busy as Problem where busy.code == .conflict {
            return .busy
        }
        switch hold {
        case .daemon(let connection): return .daemon(connection)
        case .mine(let lock):
            let began = ContinuousClock.now
            let most = problem == nil ? longestHold : Self.tryAgainAfter
            let wanted = Self.left(until: end) ?? (patience.untilEnd ? most : patience.grace)
            try await send(job, over: reach, for: min(most, wanted))
            withExtendedLifetime(lock) {}
            return .sent(since: began)
        }
    }

    private static func left(until end: ContinuousClock.Instant?) -> Duration? {
        end.map { max(.zero, $0 - .now) }
    }

    /// Opens the way: the problem that keeps it closed, tried again as long as the caller waits.
    private func unreachable(
        _ reach: OwnReach,
        for job: Job,
        _ patience: Patience,
        until end: ContinuousClock.Instant?
    ) async -> Problem? {
        var pause = Self.tryAgainAfter
        while true {
            do {
                _ = try await within(Self.left(until: end), orThrow: Backend.overdue) {
                    try await reach.connection(within: .zero)
                }
                return nil
            } catch {
                let problem = Failure.problem(error) ?? Problem(.linkDown, "The link to the seedbox is not up.")
                let isWorthwhile: Bool
                let left: Duration
                if let end {
                    left = end - .now
                    isWorthwhile = left > Self.tryAgainAfter
                } else {
                    left = job.timeLeft
                    isWorthwhile = patience.untilEnd && !patience.refusesQueue && left > .zero
                }
                guard isWorthwhile, (try? await Task.sleep(for: min(pause, left))) != nil else { return problem }
                pause = min(pause * 2, Self.longestPause)
            }
        }
    }

    /// Without the lock, until the job's own pause is over or others have ended it.
    private func rest(_ job: Job, _ outbox: Outbox, until end: ContinuousClock.Instant?) async throws {
        var pause = Self.betweenHolds
        repeat {
            try await Task.sleep(for: min(pause, Self.left(until: end) ?? pause))
            let state = try await outbox.job(job.id).state
            guard !state.isEnd, let rest = state.rest, Self.left(until: end) != .zero else { return }
            pause = min(rest, Self.tryAgainAfter)
        } while true
    }

    /// Runs the outbox until the job has ended, and those before it; or until it only waits or `limit` is over.
    private func send(_ job: Job, over reach: OwnReach, for limit: Duration) async throws {
        let outbox = try await desk([reach]).outbox
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await outbox.run() }
            defer { group.cancelAll() }
            guard try await Self.inTime(limit, { try await Self.ended(job.id, outbox) }) == true else { return }
            var before = JobFilter(limit: Self.mostBefore)
            before.box = job.box
            before.before = job.id
            before.states = Set(JobState.Name.allCases.filter { !$0.isEnd })
            let others = try await outbox.jobs(before).map(\.id)
            _ = try await Self.inTime(min(limit, Self.forOthers)) {
                for id in others { _ = try await outbox.ended(id) }
            }
        }
    }

    /// Jobs before its own that a command stays for, and how long: one that cannot be settled yet holds up nobody.
    private static let mostBefore = 1000
    private static let forOthers = Duration.seconds(10)

    /// Waits for the job's end; false as soon as it only waits for a pause to pass.
    private static func ended(_ id: Int64, _ outbox: Outbox) async throws -> Bool {
        // Before the look, so that an end between the two is not missed.
        let changes = outbox.changes()
        if try await outbox.job(id).state.isEnd { return true }
        for await changed in changes {
            guard let job = changed.first(where: { $0.id == id }) else { continue }
            if job.state.isEnd { return true }
            if job.state.rest != nil { return false }
        }
        throw CancellationError()
    }

    /// Nil where it takes longer than `limit`.
    private static func inTime<Success: Sendable>(
        _ limit: Duration,
        _ body: @escaping @Sendable () async throws -> Success
    ) async throws -> Success? {
        do {
            return try await within(limit, orThrow: Backend.overdue, body)
        } catch let problem as Problem where problem == Backend.overdue {
            return nil
        }
    }

    /// What became of the job. Whoever wants no queue leaves none that was not sent.
    private func left(_ job: Job, _ reason: Problem?, _ patience: Patience) async throws -> ChangeOutcome {
        let outbox = try await desk(boxes).outbox
        let job = try await outbox.job(job.id)
        if patience.refusesQueue, !job.state.isEnd, (try? await outbox.cancel(job.id, by: Owner.name)) != nil {
            throw Self.told(reason)
                ?? job.state.problem
                ?? Problem(.timedOut, "Not done in time, and not kept: job \(job.id) is cancelled.")
        }
        return try outcome(of: job, reason, patience)
    }

    private func outcome(of job: Job, _ reason: Problem?, _ patience: Patience) throws -> ChangeOutcome {
        var value = job.value
        guard !job.state.isEnd else { return try Backend.outcome(of: value) }
        let problem = Self.told(reason) ?? job.state.problem
        if let problem, var map = value.map {
            map["problem"] = problem.value
            value = .map(map)
        }
        let next =
            "no daemon runs: the next `farseed serve`, or the next command that changes something, carries it out."
        let because = problem.map { " " + $0.message } ?? ""
        guard patience.limit == nil && !patience.untilEnd || patience.returnsAtOnce else {
            throw Problem(.timedOut, "Not done in time. It is kept as job \(job.id), and \(next)\(because)")
        }
        return .pending(job: value, told: "accepted as job \(job.id); \(next)\(visible(because))")
    }

    /// That nobody waits any more says nothing of why it is not done.
    private static func told(_ reason: Problem?) -> Problem? { reason == Backend.overdue ? nil : reason }
}

extension JobState {
    /// How long it is not sent yet, because an attempt was fruitless; nil where that is over.
    fileprivate var rest: Duration? {
        switch self {
        case .waiting(let pause), .confirming(let pause):
            let left = pause.until - unixMilliseconds()
            return left > 0 ? .milliseconds(left) : nil
        case .accepted, .sent, .done, .failed, .expired, .cancelled: return nil
        }
    }

    /// The agent has it, perhaps.
    fileprivate var isUnderWay: Bool { name == .sent || name == .confirming }
}

extension Job {
    fileprivate var timeLeft: Duration { .milliseconds(max(0, expiresAt - unixMilliseconds())) }
    /// The time within which it is wanted is over.
    fileprivate var isOverdue: Bool { timeLeft == .zero }
}

private func unixMilliseconds() -> Int64 { Int64(Date.now.timeIntervalSince1970 * 1000) }
