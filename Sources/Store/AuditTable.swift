// The audit log: who did what, when, from where, and how it went. Entries are added and outlive their time, never edited.

import GRDB

extension Ledger {
    package var audit: AuditTable { AuditTable(store: self) }
}

package struct AuditEntry: Sendable, Hashable {
    /// Rises with each entry; 0 for one not stored yet.
    package var id: Int64 = 0
    package var at: Int64
    /// The account, or `-` where nobody is logged in.
    package var who: String
    /// The address, or the control socket's user.
    package var origin: String
    /// Such as `login`, `logout`, `torrent.remove`, `user.add`.
    package var action: String
    /// What it was done to: a box and hash, a user's name. Never a secret.
    package var target: String
    /// `ok`, or a problem's code.
    package var outcome: String

    package init(at: Int64, who: String, origin: String, action: String, target: String = "", outcome: String = "ok") {
        self.at = at
        self.who = who
        self.origin = origin
        self.action = action
        self.target = target
        self.outcome = outcome
    }
}

package struct AuditTable: Sendable {
    /// The most bytes kept of each text: strangers write some of them, such as a user name that does not exist.
    private static let maximumText = 256

    let store: Ledger

    package func append(_ entry: AuditEntry) async throws { try await append([entry]) }

    /// All in one commit, in their order.
    package func append(_ entries: [AuditEntry]) async throws {
        try await store.write { database in
            for entry in entries { try Self.insert(entry, database) }
        }
    }

    /// Within a write of another table, so that what was done and that it was done are one.
    static func insert(_ entry: AuditEntry, _ database: Database) throws {
        let texts = [entry.who, entry.origin, entry.action, entry.target, entry.outcome].map { text in
            String(decoding: text.utf8.prefix(maximumText), as: UTF8.self)
        }
        try database.execute(
            sql: "INSERT INTO audit (at, who, origin, action, target, outcome) VALUES (?, ?, ?, ?, ?, ?)",
            arguments: [entry.at, texts[0], texts[1], texts[2], texts[3], texts[4]]
        )
    }

    /// The newest entries first; `before` an id for the next page.
    package func entries(before id: Int64? = nil, who: String? = nil, limit: Int = 100) async throws -> [AuditEntry] {
        try await store.read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM audit WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR who = ?2)
                    ORDER BY id DESC LIMIT ?3
                    """,
                arguments: [id, who, limit]
            ).map { row in
                var entry = AuditEntry(
                    at: row["at"],
                    who: row["who"],
                    origin: row["origin"],
                    action: row["action"],
                    target: row["target"],
                    outcome: row["outcome"]
                )
                entry.id = row["id"]
                return entry
            }
        }
    }

    /// Deletes entries older than `time`, and the oldest beyond the newest `keeping`; returns how many.
    package func forget(before time: Int64, keeping: Int) async throws -> Int {
        try await store.write { database in
            try database.execute(
                sql: """
                    DELETE FROM audit WHERE at < ? OR id IN (SELECT id FROM audit ORDER BY id DESC LIMIT -1 OFFSET ?)
                    """,
                arguments: [time, keeping]
            )
            return database.changesCount
        }
    }
}
