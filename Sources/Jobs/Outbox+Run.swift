// The outbox at work: one loop that steps the scheduler, commits, and only then sends.

import Logging
import Notation
import Seedbox
import ServiceLifecycle

extension Outbox {
    /// Jobs read from the queue at a time.
    private static let page = 500

    /// Carries jobs out until it is cancelled or a graceful shutdown begins; at most once for each outbox.
    ///
    /// What is under way then is cancelled and settled by the next start.
    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.loop() }
    }

    private func loop() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.sweep() }
            inbox.post(.accepted)
            var desk = OutboxDesk(scheduler: JobScheduler(limits: configuration.limits, timing: configuration.timing))
            for await _ in inbox.bell {
                if Task.isCancelled { break }
                let now = configuration.now()
                desk.take(inbox.take(), at: now)
                do {
                    try await read(into: &desk, at: now)
                    desk.step(at: now)
                    if !desk.unsaved.isEmpty {
                        let gone = try await queue.save(desk.unsaved.values.sorted { $0.id < $1.id })
                        desk.saved(without: gone)
                    }
                } catch {
                    if Task.isCancelled { break }
                    // Nothing was sent that is not committed: what is on the desk waits for the next commit.
                    logger.error(
                        "The outbox cannot be kept; jobs wait until it can",
                        metadata: ["error.type": "\(type(of: error))", "error.code": "\(Self.code(of: error))"]
                    )
                    group.addTask { await self.wake(after: self.configuration.retryPause) }
                    continue
                }
                for job in desk.takeReport() {
                    logger.log(
                        level: job.state.isEnd ? .info : .debug,
                        "Job changed",
                        metadata: Self.metadata(of: job)
                    )
                }
                announce(desk.takeNews())
                for box in desk.takeAsks() {
                    group.addTask { await self.ask(box) }
                }
                for job in desk.takeStarts() {
                    group.addTask { await self.attempt(job) }
                }
                if let time = desk.takeWake() {
                    group.addTask { await self.wake(after: .milliseconds(max(1, time - now))) }
                }
            }
            group.cancelAll()
        }
    }

    private func read(into desk: inout OutboxDesk, at now: Int64) async throws {
        while desk.mustRead {
            let jobs = try await queue.unfinished(after: desk.scheduler.lastID, limit: Self.page)
            desk.load(jobs, isLast: jobs.count < Self.page, at: now)
        }
    }

    private func attempt(_ job: Job) async {
        do {
            let limit = configuration.attemptLimit
            let result = try await withDeadline(limit) {
                // The scheduler's copy is without its arguments.
                guard let job = try await self.queue.job(job.id) else { throw StoreQueue.noSuchJob(job.id) }
                if !job.hasUndo, let undo = try await self.recipe(toUndo: job) {
                    try await self.queue.note(undo, for: job.id)
                    self.inbox.post(.noted(job.id))
                }
                return try await self.executor.execute(job)
            }
            inbox.post(.answered(job.id, result))
        } catch {
            // A job whose attempt is cut short by our own end stays as it is committed: the next start settles it.
            if Task.isCancelled { return }
            let problem = error as? Problem
            if problem == nil {
                logger.warning(
                    "A job's attempt broke off",
                    metadata: ["job.id": "\(job.id)", "error.type": "\(type(of: error))"]
                )
            }
            let lost = Problem(.connectionLost, "The connection broke while this was under way; it is being settled.")
            inbox.post(.failed(job.id, problem ?? lost))
        }
    }

    private func recipe(toUndo job: Job) async throws -> UndoRecipe? {
        do {
            return try await executor.recipe(toUndo: job)
        } catch let problem as Problem where problem.code.jobVerdict == .ends {
            // A lost attempt may have removed the torrent that the recipe asks for: only `execute` says what became of
            // the job.
            return nil
        }
    }

    private func ask(_ box: String) async {
        do {
            try await executor.whenLive(box)
            inbox.post(.live(box))
        } catch {
            if Task.isCancelled { return }
            logger.debug(
                "The link is not live",
                metadata: ["box": "\(box)", "error.code": "\(Self.code(of: error))"]
            )
            // Ends early only with the outbox.
            try? await Task.sleep(for: configuration.retryPause)
            inbox.post(.linkFailed(box))
        }
    }

    private func wake(after pause: Duration) async {
        // An hour at most, so that a clock set forward is noticed.
        guard (try? await Task.sleep(for: min(pause, .seconds(3600)))) != nil else { return }
        inbox.post(.woke)
    }

    private func sweep() async {
        while !Task.isCancelled {
            let (seconds, _) = configuration.retention.components
            do {
                let count = try await queue.forget(
                    endedBefore: configuration.now() - seconds * 1000,
                    keeping: configuration.retainedJobs
                )
                if count > 0 { logger.info("Old jobs deleted", metadata: ["jobs.count": "\(count)"]) }
            } catch {
                logger.warning("Old jobs cannot be deleted", metadata: ["error.code": "\(Self.code(of: error))"])
            }
            guard (try? await Task.sleep(for: configuration.sweepInterval)) != nil else { return }
        }
    }

    private static func code(of error: any Error) -> String {
        (error as? Problem)?.code.rawValue ?? "\(type(of: error))"
    }

    private static func metadata(of job: Job) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "job.id": "\(job.id)", "job.box": "\(job.box)", "job.verb": "\(job.verb)",
            "job.state": "\(job.state.name.rawValue)", "job.attempts": "\(job.attempts)",
        ]
        if let problem = job.state.problem { metadata["job.problem"] = "\(problem.code.rawValue)" }
        return metadata
    }
}

/// Runs `work`, cancels it after `limit` and then throws `timed-out`.
private func withDeadline<Answer: Sendable>(
    _ limit: Duration,
    _ work: @escaping @Sendable () async throws -> Answer
) async throws -> Answer {
    try await withThrowingTaskGroup(of: Answer.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw Problem(
                .timedOut,
                "The seedbox did not answer within \(limit); what became of this is being settled."
            )
        }
        defer { group.cancelAll() }
        guard let answer = try await group.next() else { throw CancellationError() }
        return answer
    }
}
