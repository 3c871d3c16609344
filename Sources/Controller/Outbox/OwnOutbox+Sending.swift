/// How a command sends its jobs by itself: in turns with others, and only while it holds the state directory.
import Calls
import Foundation
import Jobs
import Notation
import Seedbox
import Store

extension OwnOutbox {
    /// A job that is under way is waited for as long as its agent may take; nobody else would hear the answer.
    private static let underWay = Duration.seconds(300)
    /// The pause after the first attempt to open the way that failed, doubled with each further one.
    private static let tryAgainAfter = Duration.seconds(2)
    private static let longestPause = Duration.seconds(30)
    /// Whoever waits for the lock knocks more often.
    private static let betweenHolds = Duration.milliseconds(500)

    /// The lock is held while a job is accepted, and again while jobs are sent, but not while the way is opened: other
    /// commands need not wait for that, and a daemon that starts meanwhile reads the job.
    func carried(
        _ patience: Patience,
        until deadline: ContinuousClock.Instant?,
        _ daemon: ThroughDaemon,
        _ accept: (JobDesk) async throws -> Job
    ) async throws -> ChangeOutcome {
        let desk = try await desk(boxes)
        let job: Job
        switch try await StateHold.take(configuration, until: deadline) {
        case .daemon(let connection): return try await handedOver(to: connection, daemon)
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
            case .daemon(let connection): return try await handedOver(to: connection, daemon)
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

    /// A daemon that has started does the rest; for its own way it needs the tor that ours may have started.
    private func handedOver(to connection: CallConnection, _ daemon: ThroughDaemon) async throws -> ChangeOutcome {
        for box in boxes { await box.end() }
        return try await daemon(connection)
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
            before.states = JobState.Name.open
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
