// The outbox's rows: accepted once per key, changed only while unfinished.

import Foundation
import GRDB
import Seedbox

extension Ledger {
    package var jobs: JobTable { JobTable(store: self) }
}

package struct JobTable: Sendable {
    let store: Ledger

    /// Stores a new row, with its entry in the audit log, and returns it with its id, or returns the row that has its key already.
    ///
    /// The row that a new one undoes is marked in the same commit; where it was undone meanwhile, nothing is stored and
    /// the problem is `conflict`.
    package func accept(
        _ row: JobRow,
        maximumUnfinished: Int
    ) async throws -> (row: JobRow, isNew: Bool) {
        try await store.write { database in
            if let old = try fetch(database, "WHERE key = ?", [row.key]).first { return (old, false) }
            let unfinished = try Int.fetchOne(database, sql: "SELECT count(*) FROM jobs WHERE ended_at IS NULL") ?? 0
            guard unfinished < maximumUnfinished else {
                throw Problem(
                    .refused,
                    "\(unfinished) jobs wait already, which is as many as the outbox holds, so this one was not taken. "
                        + "Bring the link up or cancel some, and try again."
                )
            }
            try database.execute(
                sql: """
                    INSERT INTO jobs (key, box, verb, targets, request, who, origin, accepted_at, expires_at, state,
                                      outcome, attempts, changed_at, ended_at, undo, undoes)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    row.key, row.box, row.verb, row.targets.blob, (row.request ?? []).blob, row.who, row.origin,
                    row.acceptedAt, row.expiresAt,
                    row.state, row.outcome.blob, row.attempts, row.changedAt, row.endedAt, row.undo?.blob,
                    row.undoes,
                ]
            )
            var stored = row
            stored.id = database.lastInsertedRowID
            if let undoing = row.undoes {
                try database.execute(
                    sql: "UPDATE jobs SET undone_by = ? WHERE id = ? AND undone_by IS NULL AND undo IS NOT NULL",
                    arguments: [stored.id, undoing]
                )
                guard database.changesCount == 1 else {
                    throw Problem(.conflict, "Job \(undoing) was undone already, so nothing was changed.")
                }
            }
            try AuditTable.insert(
                AuditEntry(
                    at: row.acceptedAt,
                    who: row.who,
                    origin: row.origin,
                    action: row.verb,
                    target: "\(row.box), job \(stored.id)"
                ),
                database
            )
            return (stored, true)
        }
    }

    /// Replaces what became of the rows, in one commit; returns the ids that had ended meanwhile and were left alone.
    package func save(_ rows: [JobRow]) async throws -> Set<Int64> {
        try await store.write { database in
            var ended: Set<Int64> = []
            let statement = try database.cachedStatement(
                sql: """
                    UPDATE jobs SET state = ?, outcome = ?, attempts = ?, changed_at = ?, ended_at = ?
                    WHERE id = ? AND ended_at IS NULL
                    """
            )
            for row in rows {
                try statement.execute(arguments: [
                    row.state, row.outcome.blob, row.attempts, row.changedAt, row.endedAt, row.id,
                ])
                if database.changesCount == 0 { ended.insert(row.id) }
            }
            return ended
        }
    }

    /// Replaces what became of one row by what `body` makes of it, which may throw to leave it; nil where there is none.
    package func change(_ id: Int64, _ body: @escaping @Sendable (JobRow) throws -> JobRow) async throws -> JobRow? {
        try await store.write { database in
            guard let old = try fetch(database, "WHERE id = ?", [id]).first else { return nil }
            let changed = try body(old)
            try database.execute(
                sql: """
                    UPDATE jobs SET state = ?, outcome = ?, attempts = ?, changed_at = ?, ended_at = ? WHERE id = ?
                    """,
                arguments: [
                    changed.state, changed.outcome.blob, changed.attempts, changed.changedAt, changed.endedAt, id,
                ]
            )
            return try fetch(database, "WHERE id = ?", [id]).first
        }
    }

    /// Keeps how to undo an unfinished row.
    package func note(undo: [UInt8], for id: Int64) async throws {
        try await store.write { database in
            try database.execute(
                sql: "UPDATE jobs SET undo = ? WHERE id = ? AND ended_at IS NULL",
                arguments: [undo.blob, id]
            )
        }
    }

    package func row(_ id: Int64) async throws -> JobRow? {
        try await store.read { try fetch($0, "WHERE id = ?", [id]).first }
    }

    package func row(key: String) async throws -> JobRow? {
        try await store.read { try fetch($0, "WHERE key = ?", [key]).first }
    }

    /// The newest rows of this verb and state whose request and outcome hold these texts, as CBOR does: byte by byte.
    package func newest(
        _ limit: Int,
        verb: String,
        box: String,
        state: String,
        asking words: String,
        answering text: String
    ) async throws -> [JobRow] {
        try await store.read { database in
            let clause = """
                WHERE verb = ? AND box = ? AND state = ? AND instr(request, CAST(? AS BLOB)) > 0
                    AND instr(outcome, CAST(? AS BLOB)) > 0
                ORDER BY id DESC LIMIT ?
                """
            return try fetch(database, clause, [verb, box, state, words, text, limit])
        }
    }

    /// Rows without their requests and recipes.
    package func rows(_ filter: JobRowFilter) async throws -> [JobRow] {
        var terms: [String] = []
        var arguments = StatementArguments()
        func narrow(_ term: String, _ values: [any DatabaseValueConvertible] = []) {
            terms.append(term)
            arguments += StatementArguments(values)
        }
        if let isEnded = filter.isEnded { narrow(isEnded ? "ended_at IS NOT NULL" : "ended_at IS NULL") }
        if let box = filter.box { narrow("box = ?", [box]) }
        if let who = filter.who { narrow("who = ?", [who]) }
        if let after = filter.after { narrow("id > ?", [after]) }
        if let before = filter.before { narrow("id < ?", [before]) }
        if filter.isUndoable { narrow("undo IS NOT NULL AND undone_by IS NULL") }
        if let states = filter.states {
            let marks = Array(repeating: "?", count: states.count).joined(separator: ", ")
            narrow("state IN (\(marks))", states.sorted())
        }
        let condition = terms.isEmpty ? "" : "WHERE \(terms.joined(separator: " AND ")) "
        let clause = condition + "ORDER BY id \(filter.newestFirst ? "DESC" : "ASC") LIMIT ?"
        let all = arguments + [filter.limit]
        return try await store.read { try fetch($0, clause, all, columns: Self.listColumns) }
    }

    /// How many rows are in each state.
    package func counts() async throws -> [String: Int] {
        try await store.read { database in
            let rows = try Row.fetchAll(database, sql: "SELECT state, count(*) FROM jobs GROUP BY state")
            return Dictionary(uniqueKeysWithValues: rows.map { ($0[0], $0[1]) })
        }
    }

    /// Deletes rows that ended before `time`, and the oldest beyond the newest `keeping` ended ones.
    package func forget(endedBefore time: Int64, keeping: Int) async throws -> Int {
        try await store.write { database in
            try database.execute(
                sql: """
                    DELETE FROM jobs WHERE ended_at < ? OR id IN (
                        SELECT id FROM jobs WHERE ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT -1 OFFSET ?
                    )
                    """,
                arguments: [time, keeping]
            )
            return database.changesCount
        }
    }

    private static let allColumns = "*, undo IS NOT NULL AS has_undo"
    /// Without what may be megabytes.
    private static let listColumns = """
        id, key, box, verb, targets, NULL AS request, who, origin, accepted_at, expires_at, state, outcome, attempts,
        changed_at, ended_at, NULL AS undo, undo IS NOT NULL AS has_undo, undoes, undone_by
        """

    private func fetch(
        _ database: Database,
        _ clause: String,
        _ arguments: StatementArguments,
        columns: String = allColumns
    ) throws -> [JobRow] {
        try Row.fetchAll(database, sql: "SELECT \(columns) FROM jobs \(clause)", arguments: arguments).map { row in
            JobRow(
                id: row["id"],
                key: row["key"],
                box: row["box"],
                verb: row["verb"],
                targets: [UInt8](blob: row["targets"]),
                request: (row["request"] as Data?).map([UInt8].init),
                who: row["who"],
                origin: row["origin"],
                acceptedAt: row["accepted_at"],
                expiresAt: row["expires_at"],
                state: row["state"],
                outcome: [UInt8](blob: row["outcome"]),
                attempts: row["attempts"],
                changedAt: row["changed_at"],
                endedAt: row["ended_at"],
                undo: (row["undo"] as Data?).map([UInt8].init),
                hasUndo: row["has_undo"],
                undoes: row["undoes"],
                undoneBy: row["undone_by"]
            )
        }
    }
}

extension [UInt8] {
    /// The bytes as SQLite's BLOB.
    var blob: Data { Data(self) }

    init(blob: Data) { self.init(blob) }
}
