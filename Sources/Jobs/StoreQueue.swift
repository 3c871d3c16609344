// The outbox's queue in SQLite.

import Notation
package import Seedbox
package import Store

package struct StoreQueue: JobQueue {
    private let table: JobTable

    package init(_ store: Ledger) {
        table = store.jobs
    }

    package func accept(
        _ job: Job,
        maximumUnfinished: Int
    ) async throws -> (job: Job, isNew: Bool) {
        let (row, isNew) = try await table.accept(
            job.newRow(),
            maximumUnfinished: maximumUnfinished
        )
        return (Job(row), isNew)
    }

    package func unfinished(after id: Int64, limit: Int) async throws -> [Job] {
        var filter = JobRowFilter(limit: limit)
        filter.isEnded = false
        filter.after = id
        return try await table.rows(filter).map(Job.init)
    }

    package func save(_ jobs: [Job]) async throws -> Set<Int64> {
        try await table.save(jobs.map(\.stateRow))
    }

    package func note(_ undo: UndoRecipe, for id: Int64) async throws {
        try await table.note(undo: undo.encoded, for: id)
    }

    package func cancel(_ id: Int64, by who: String, at now: Int64) async throws -> Job {
        let row = try await table.change(id) { row in
            var machine = JobMachine(Job(row), at: now)
            try machine.cancelled(by: who, at: now)
            return machine.job.stateRow
        }
        guard let row else { throw Self.noSuchJob(id) }
        return Job(row)
    }

    package func job(_ id: Int64) async throws -> Job? {
        try await table.row(id).map(Job.init)
    }

    package func job(key: String) async throws -> Job? {
        try await table.row(key: key).map(Job.init)
    }

    package func addition(of hash: InfoHash, to box: String) async throws -> Job? {
        let done = JobState.Name.done.rawValue
        // A name may hold another torrent's hash, so that a few are looked at.
        let rows = try await table.newest(
            16,
            verb: "torrent.add",
            box: box,
            state: done,
            asking: "metainfo",
            answering: hash.hex
        )
        return rows.map(Job.init).first { job in
            guard case .done(let result) = job.state, job.arguments["metainfo"] != nil else { return false }
            return result["hash"]?.string == hash.hex
        }
    }

    package func jobs(_ filter: JobFilter) async throws -> [Job] {
        var rows = JobRowFilter(limit: filter.limit)
        rows.box = filter.box
        rows.who = filter.who
        rows.states = filter.states.map { Set($0.map(\.rawValue)) }
        rows.isUndoable = filter.isUndoable
        rows.before = filter.before
        rows.newestFirst = true
        return try await table.rows(rows).map(Job.init)
    }

    package func counts() async throws -> [JobState.Name: Int] {
        var counts: [JobState.Name: Int] = [:]
        for (name, count) in try await table.counts() {
            if let name = JobState.Name(rawValue: name) { counts[name] = count }
        }
        return counts
    }

    package func forget(endedBefore time: Int64, keeping: Int) async throws -> Int {
        try await table.forget(endedBefore: time, keeping: keeping)
    }

    static func noSuchJob(_ id: Int64) -> Problem {
        Problem(.notFound, "There is no job \(id). `farseed jobs` lists those that are kept.")
    }
}
