// A second engine for the outbox, of a few lines: what `JobQueue` asks for and no more.

import Notation
import Seedbox
import Synchronization

@testable import Jobs

/// Keeps jobs as long as itself; for tests of what every engine must do.
final class MemoryQueue: JobQueue {
    private struct State {
        var jobs: [Int64: Job] = [:]
        var lastID: Int64 = 0
    }

    private let state = Mutex(State())

    func accept(_ job: Job, maximumUnfinished: Int) async throws -> (job: Job, isNew: Bool) {
        try state.withLock { state in
            if let old = state.jobs.values.first(where: { $0.key == job.key }) { return (old, false) }
            guard state.jobs.values.count(where: { !$0.state.isEnd }) < maximumUnfinished else {
                throw Problem(.refused, "The queue is full. Cancel some jobs.")
            }
            if let undone = job.undoes {
                guard state.jobs[undone]?.undo != nil, state.jobs[undone]?.undoneBy == nil else {
                    throw Problem(.conflict, "The job was undone already.")
                }
            }
            state.lastID += 1
            var kept = job
            kept.id = state.lastID
            kept.hasUndo = kept.undo != nil
            state.jobs[kept.id] = kept
            if let undone = job.undoes { state.jobs[undone]?.undoneBy = kept.id }
            return (kept, true)
        }
    }

    func unfinished(after id: Int64, limit: Int) async throws -> [Job] {
        listed { $0.id > id && !$0.state.isEnd }.sorted { $0.id < $1.id }.prefix(limit).map { $0 }
    }

    func save(_ jobs: [Job]) async throws -> Set<Int64> {
        state.withLock { state in
            var ended: Set<Int64> = []
            for job in jobs {
                guard let old = state.jobs[job.id], !old.state.isEnd else {
                    ended.insert(job.id)
                    continue
                }
                state.jobs[job.id]?.state = job.state
                state.jobs[job.id]?.attempts = job.attempts
                state.jobs[job.id]?.changedAt = job.changedAt
            }
            return ended
        }
    }

    func note(_ undo: UndoRecipe, for id: Int64) async throws {
        state.withLock { state in
            guard state.jobs[id]?.state.isEnd == false else { return }
            state.jobs[id]?.undo = undo
            state.jobs[id]?.hasUndo = true
        }
    }

    func cancel(_ id: Int64, by who: String, at now: Int64) async throws -> Job {
        try state.withLock { state in
            guard let job = state.jobs[id] else { throw Problem(.notFound, "There is no such job.") }
            var machine = JobMachine(job, at: now)
            try machine.cancelled(by: who, at: now)
            state.jobs[id] = machine.job
            return machine.job
        }
    }

    func job(_ id: Int64) async throws -> Job? { state.withLock { $0.jobs[id] } }

    func job(key: String) async throws -> Job? {
        state.withLock { $0.jobs.values.first { $0.key == key } }
    }

    func addition(of hash: InfoHash, to box: String) async throws -> Job? {
        state.withLock { state in
            state.jobs.values.filter { job in
                guard case .done(let result) = job.state else { return false }
                return job.verb == "torrent.add" && job.box == box && job.arguments["metainfo"] != nil
                    && result["hash"]?.string == hash.hex
            }.max { $0.id < $1.id }
        }
    }

    func jobs(_ filter: JobFilter) async throws -> [Job] {
        listed { job in
            if let box = filter.box, box != job.box { return false }
            if let who = filter.who, who != job.who { return false }
            if let states = filter.states, !states.contains(job.state.name) { return false }
            if let before = filter.before, before <= job.id { return false }
            return !filter.isUndoable || (job.hasUndo && job.undoneBy == nil)
        }.sorted { $0.id > $1.id }.prefix(filter.limit).map { $0 }
    }

    func counts() async throws -> [JobState.Name: Int] {
        state.withLock { $0.jobs.values.reduce(into: [:]) { $0[$1.state.name, default: 0] += 1 } }
    }

    func forget(endedBefore time: Int64, keeping: Int) async throws -> Int {
        state.withLock { state in
            let ended = state.jobs.values.filter { $0.state.isEnd }
            let newest = ended.sorted { ($0.changedAt, $0.id) > ($1.changedAt, $1.id) }.prefix(keeping)
            let kept = Set(newest.filter { $0.changedAt >= time }.map(\.id))
            for job in ended where !kept.contains(job.id) { state.jobs[job.id] = nil }
            return ended.count - kept.count
        }
    }

    /// Those that `isMeant`, as lists have them: without what may be large.
    private func listed(_ isMeant: (Job) -> Bool) -> [Job] {
        state.withLock { $0.jobs.values.filter(isMeant) }.map { job in
            var listed = job
            listed.arguments = .null
            listed.precondition = .null
            listed.undo = nil
            return listed
        }
    }
}

/// The engines that the outbox's tests run with.
enum Engine: CaseIterable, Sendable {
    case sqlite, memory

    func queue(in scratch: ScratchState) async throws -> any JobQueue {
        switch self {
        case .sqlite: StoreQueue(try await scratch.open())
        case .memory: MemoryQueue()
        }
    }
}
