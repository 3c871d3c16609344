// The outbox: what was accepted is carried out, however long the way is closed and whatever dies meanwhile.

package import Logging
import Notation
import Seedbox
import ServiceLifecycle
import Synchronization

/// Takes jobs, keeps them in its queue and has its executor carry them out, exactly once in effect.
///
/// A job is accepted when it is committed. Before it is sent, that it is being sent is committed; so after a crash it
/// counts as perhaps executed, is sent again with the same key, and the agent, which remembers keys, settles it.
/// `submit`, `cancel` and the reads work whether or not `run` does.
package final class Outbox: Service {
    let queue: any JobQueue
    let executor: any JobExecutor
    let configuration: OutboxConfiguration
    let logger: Logger
    let inbox = OutboxInbox()
    private let readers = Mutex<[WeakMailbox]>([])

    package init(
        queue: any JobQueue,
        executor: any JobExecutor,
        configuration: OutboxConfiguration = OutboxConfiguration(),
        logger: Logger
    ) {
        self.queue = queue
        self.executor = executor
        self.configuration = configuration
        self.logger = logger
    }

    /// Accepts a job: it is kept from the return on. A key that is known answers with its job, as it now stands;
    /// `conflict` where that job asks for something else.
    package func submit(_ request: JobRequest) async throws -> Job {
        let job = try request.job(at: configuration.now(), defaultExpiry: configuration.expiry)
        return try await accept(job)
    }

    /// Takes back a job that was not sent yet.
    package func cancel(_ id: Int64, by who: String) async throws -> Job {
        let job = try await queue.cancel(id, by: who, at: configuration.now())
        inbox.post(.cancelled(job.lean))
        return job
    }

    /// Accepts the job that undoes another, or where `id` is nil the newest of `who` that can be undone. A key that is
    /// known answers with its job; `conflict` where that undoes something else.
    package func undo(_ id: Int64?, who: String, origin: String, key: String? = nil) async throws -> Job {
        if let key, let known = try await queue.job(key: key) {
            guard let undone = known.undoes, undone == id ?? undone, known.who == who else { throw Self.otherKey }
            return known
        }
        let job = try await undoable(id, who: who)
        guard let recipe = job.undo, job.isUndoable else {
            let reason =
                if !job.state.isEnd {
                    "has not ended; cancel it instead"
                } else if let other = job.undoneBy {
                    "was undone already, by job \(other)"
                } else if job.state.name != .done {
                    "changed nothing (\(job.state.name))"
                } else {
                    "cannot be undone, because nothing was kept that would bring its effect back"
                }
            throw Problem(job.undoneBy == nil ? .refused : .conflict, "Job \(job.id) \(reason).")
        }
        let request = JobRequest(
            box: job.box,
            verb: recipe.verb,
            arguments: recipe.arguments,
            targets: recipe.targets,
            who: who,
            origin: origin,
            key: key
        )
        var undoing = try request.job(at: configuration.now(), defaultExpiry: configuration.expiry)
        undoing.undoes = job.id
        return try await accept(undoing)
    }

    package func job(_ id: Int64) async throws -> Job {
        guard let job = try await queue.job(id) else { throw StoreQueue.noSuchJob(id) }
        return job
    }

    /// The job that was accepted under this key, if there is one.
    package func job(key: String) async throws -> Job? {
        try await queue.job(key: key)
    }

    /// The newest first, without arguments.
    package func jobs(_ filter: JobFilter = JobFilter()) async throws -> [Job] {
        try await queue.jobs(filter)
    }

    /// How many jobs there are in each state, for metrics.
    package func counts() async throws -> [JobState.Name: Int] {
        try await queue.counts()
    }

    /// Waits for the job to end and returns it; `cancelled` where the caller's task is. A deadline is the caller's.
    package func ended(_ id: Int64) async throws -> Job {
        // Before the look, so that an end between the two is not missed.
        let changes = changes()
        let job = try await job(id)
        if job.state.isEnd { return job }
        for await changed in changes {
            if changed.contains(where: { $0.id == id && $0.state.isEnd }) { return try await self.job(id) }
        }
        throw CancellationError()
    }

    /// The jobs that changed from now on, without arguments, for one reader. Who reads slowly sees only the newest state of each.
    package func changes() -> AsyncStream<[Job]> {
        let mailbox = JobMailbox()
        readers.withLock { readers in
            readers.removeAll { $0.mailbox == nil }
            readers.append(WeakMailbox(mailbox: mailbox))
        }
        return AsyncStream(unfolding: { await mailbox.next() }, onCancel: { mailbox.close() })
    }

    func announce(_ jobs: [Job]) {
        guard !jobs.isEmpty else { return }
        for reader in readers.withLock({ $0 }) { reader.mailbox?.put(jobs) }
    }

    private func accept(_ job: Job) async throws -> Job {
        let (kept, isNew) = try await queue.accept(
            job,
            maximumUnfinished: configuration.maximumUnfinished
        )
        if isNew {
            inbox.post(.accepted)
        } else if kept.box != job.box || kept.verb != job.verb || kept.arguments != job.arguments
            || kept.targets != job.targets || kept.who != job.who
        {
            throw Self.otherKey
        }
        return kept
    }

    private static let otherKey = Problem(
        .conflict,
        "This key belongs to another job, so nothing was done. Use a new key for each job."
    )

    /// The job that `undo` would take back.
    package func undoable(_ id: Int64?, who: String) async throws -> Job {
        if let id { return try await job(id) }
        var filter = JobFilter(limit: 1)
        filter.who = who
        filter.states = [.done]
        filter.isUndoable = true
        guard let newest = try await queue.jobs(filter).first else {
            throw Problem(.notFound, "Nothing of yours can be undone. `farseed jobs` lists what was done.")
        }
        return try await job(newest.id)
    }
}

/// A reader that may have gone: its stream owns the mailbox.
private struct WeakMailbox: Sendable {
    weak let mailbox: JobMailbox?
}
