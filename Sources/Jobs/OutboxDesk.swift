// What the outbox's loop has before it: the scheduler, and what its last steps asked for but has not been done yet.

import Seedbox

/// Keeps a step's orders until their commit has happened, over as many failed commits as there are.
struct OutboxDesk {
    private(set) var scheduler: JobScheduler
    /// The queue has jobs that were not read yet.
    private(set) var mustRead = true
    /// Changed jobs that are not committed yet.
    private(set) var unsaved: [Int64: Job] = [:]
    private var starts: [Int64] = []
    private var asks: [String] = []
    private var news: [Int64: Job] = [:]
    private var report: [Job] = []
    private var wakeAt: Int64?
    /// The earliest wake-up that is under way already.
    private var alarm: Int64?

    init(scheduler: JobScheduler) {
        self.scheduler = scheduler
    }

    mutating func take(_ events: [OutboxInbox.Event], at now: Int64) {
        if let alarm, alarm <= now { self.alarm = nil }
        for event in events {
            switch event {
            case .accepted: mustRead = true
            case .cancelled(let job):
                drop(job.id)
                news[job.id] = job
                report.append(job)
            case .noted(let id): scheduler.noted(id)
            case .answered(let id, let result): scheduler.answered(id, result, at: now)
            case .failed(let id, let problem): scheduler.failed(id, problem, at: now)
            case .live(let box): scheduler.live(box)
            case .linkFailed(let box): scheduler.linkFailed(box)
            // An alarm may ring a little early; without this none would be set again.
            case .woke: alarm = nil
            }
        }
    }

    mutating func load(_ jobs: [Job], isLast: Bool, at now: Int64) {
        mustRead = !isLast
        for job in jobs {
            scheduler.load(job, at: now)
            news[job.id] = job
        }
    }

    mutating func step(at now: Int64) {
        let step = scheduler.step(at: now)
        for job in step.save { unsaved[job.id] = job }
        starts += step.start
        asks += step.ask
        wakeAt = step.wakeAt
    }

    /// All that was unsaved is committed, but for jobs that had ended in the queue before.
    mutating func saved(without gone: Set<Int64>) {
        for id in gone { drop(id) }
        for (id, job) in unsaved {
            news[id] = job
            report.append(job)
        }
        unsaved = [:]
    }

    mutating func takeStarts() -> [Job] {
        defer { starts = [] }
        return starts.compactMap { scheduler[$0] }
    }

    mutating func takeAsks() -> [String] {
        defer { asks = [] }
        return asks
    }

    /// The newest state of each job that changed, in the order of ids.
    mutating func takeNews() -> [Job] {
        defer { news = [:] }
        return news.values.sorted { $0.id < $1.id }
    }

    mutating func takeReport() -> [Job] {
        defer { report = [] }
        return report
    }

    /// When to ring the bell, where no earlier ring is under way.
    mutating func takeWake() -> Int64? {
        guard let wakeAt, wakeAt < alarm ?? .max else { return nil }
        alarm = wakeAt
        return wakeAt
    }

    private mutating func drop(_ id: Int64) {
        scheduler.dropped(id)
        unsaved[id] = nil
        news[id] = nil
        starts.removeAll { $0 == id }
    }
}
