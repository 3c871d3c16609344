// Sessions of the web, their single-use tickets, and the one-time links that begin one.

import Foundation
import GRDB
import Seedbox

extension Ledger {
    package var sessions: SessionTable { SessionTable(store: self) }
}

/// A login that lasts until it ends, idles or expires.
package struct StoredSession: Sendable, Hashable {
    /// Names it in lists and to the sockets that belong to it; it lets nobody in.
    package var id: String
    package var account: StoredAccount
    package var address: String
    package var createdAt: Int64
    package var seenAt: Int64
    package var expiresAt: Int64
}

/// How long each way in stays open, in milliseconds.
package struct SessionLimits: Sendable, Hashable {
    /// Seven days in all, one day unused.
    package var lifetime: Int64 = 7 * 86_400_000
    package var idle: Int64 = 86_400_000
    package var ticket: Int64 = 60_000
    package var link: Int64 = 3_600_000
    /// Sessions of one account; the one unseen for longest makes room.
    package var perAccount = 32
    /// Unused tickets of one session; the ones that expire first make room.
    package var ticketsPerSession = 64

    package init() {}
}

package struct SessionTable: Sendable {
    /// How often `seen_at` is written at most, so that reading does not cost a disk sync each time.
    private static let touchInterval: Int64 = 60_000

    let store: Ledger
    package var limits = SessionLimits()

    /// Begins a session; the secret is for the cookie and is nowhere kept. `ended` are sessions that made room.
    package func open(
        _ account: String,
        address: String,
        now: Int64
    ) async throws -> (secret: String, session: StoredSession, ended: [String]) {
        try await store.write { try insert($0, account, address, now) }
    }

    /// The session of a cookie's secret; nil for any that does not let in.
    package func find(_ secret: String, now: Int64) async throws -> StoredSession? {
        guard let digest = AccessSecret.digest(secret) else { return nil }
        let session = try await store.read { database in
            try fetch(database, "sessions.digest = ?", [Data(digest)], now).first
        }
        if let session, now - session.seenAt >= Self.touchInterval {
            try await store.write { database in
                try database.execute(
                    sql: "UPDATE sessions SET seen_at = max(seen_at, ?) WHERE id = ?",
                    arguments: [now, session.id]
                )
            }
        }
        return session
    }

    /// The live sessions, of one account or of all.
    package func list(account: String? = nil, now: Int64) async throws -> [StoredSession] {
        try await store.read { database in
            try fetch(database, "(?1 IS NULL OR sessions.account = ?1)", [account], now)
        }
    }

    /// Ends the session of a cookie; returns its id, or nil where there was none.
    package func end(secret: String) async throws -> String? {
        guard let digest = AccessSecret.digest(secret) else { return nil }
        return try await store.write { database in
            try String.fetchOne(
                database,
                sql: "DELETE FROM sessions WHERE digest = ? RETURNING id",
                arguments: [Data(digest)]
            )
        }
    }

    package func end(id: String) async throws -> Bool {
        try await store.write { database in
            try database.execute(sql: "DELETE FROM sessions WHERE id = ?", arguments: [id])
            return database.changesCount == 1
        }
    }

    /// Ends all sessions of an account; returns their ids.
    package func endAll(_ account: String) async throws -> [String] {
        try await store.write { database in
            try String.fetchAll(
                database,
                sql: "DELETE FROM sessions WHERE account = ? RETURNING id",
                arguments: [account]
            )
        }
    }

    /// A ticket for one websocket of this session from this origin; nil where the session has ended.
    package func issueTicket(session id: String, origin: String, now: Int64) async throws -> String? {
        let secret = AccessSecret.make()
        guard let digest = AccessSecret.digest(secret) else { return nil }
        return try await store.write { database in
            guard let session = try fetch(database, "sessions.id = ?", [id], now).first else { return nil }
            try database.execute(
                sql: """
                    DELETE FROM tickets WHERE session = ? AND digest NOT IN (
                        SELECT digest FROM tickets WHERE session = ? AND expires_at > ?
                        ORDER BY expires_at DESC LIMIT ?
                    )
                    """,
                arguments: [id, id, now, limits.ticketsPerSession - 1]
            )
            try database.execute(
                sql: "INSERT INTO tickets (digest, session, origin, role, expires_at) VALUES (?, ?, ?, ?, ?)",
                arguments: [Data(digest), id, origin, session.account.role.rawValue, now + limits.ticket]
            )
            return secret
        }
    }

    /// Uses a ticket up and returns its session. Nil for every wrong use alike: unknown, used, late, of another
    /// origin or another account, of an ended session, or of a role that has changed since.
    package func redeem(
        ticket: String,
        account: String,
        origin: String,
        now: Int64
    ) async throws -> StoredSession? {
        guard let digest = AccessSecret.digest(ticket).map({ Data($0) }) else { return nil }
        // A guess costs a look, not a disk sync.
        let exists = try await store.read { database in
            try Bool.fetchOne(database, sql: "SELECT 1 FROM tickets WHERE digest = ?", arguments: [digest]) ?? false
        }
        guard exists else { return nil }
        return try await store.write { database in
            let row = try Row.fetchOne(
                database,
                sql: "DELETE FROM tickets WHERE digest = ? RETURNING session, origin, role, expires_at",
                arguments: [digest]
            )
            guard let row, row["origin"] == origin, now < row["expires_at"] as Int64,
                let session = try fetch(database, "sessions.id = ?", [row["session"] as String], now).first,
                session.account.name == account, session.account.role.rawValue == row["role"]
            else { return nil }
            return session
        }
    }

    /// A one-time link's secret for the account.
    package func issueLink(_ account: String, now: Int64) async throws -> String {
        let secret = AccessSecret.make()
        let digest = AccessSecret.digest(secret) ?? []
        return try await store.write { database in
            try requireAccount(database, account)
            try database.execute(
                sql: "INSERT INTO links (digest, account, expires_at) VALUES (?, ?, ?)",
                arguments: [Data(digest), account, now + limits.link]
            )
            return secret
        }
    }

    /// Uses a link up and begins a session; nil where it does not let in.
    package func redeemLink(
        _ secret: String,
        address: String,
        now: Int64
    ) async throws -> (secret: String, session: StoredSession, ended: [String])? {
        guard let digest = AccessSecret.digest(secret).map({ Data($0) }) else { return nil }
        let exists = try await store.read { database in
            try Bool.fetchOne(database, sql: "SELECT 1 FROM links WHERE digest = ?", arguments: [digest]) ?? false
        }
        guard exists else { return nil }
        return try await store.write { database in
            let row = try Row.fetchOne(
                database,
                sql: "DELETE FROM links WHERE digest = ? RETURNING account, expires_at",
                arguments: [digest]
            )
            guard let row, now < row["expires_at"] as Int64 else { return nil }
            return try insert(database, row["account"], address, now)
        }
    }

    /// Deletes what has expired; returns the ids of the sessions among it.
    package func sweep(now: Int64) async throws -> [String] {
        try await store.write { database in
            try database.execute(sql: "DELETE FROM tickets WHERE expires_at <= ?", arguments: [now])
            try database.execute(sql: "DELETE FROM links WHERE expires_at <= ?", arguments: [now])
            return try String.fetchAll(
                database,
                sql: "DELETE FROM sessions WHERE expires_at <= ? OR seen_at <= ? RETURNING id",
                arguments: [now, now - limits.idle]
            )
        }
    }

    private func insert(
        _ database: Database,
        _ account: String,
        _ address: String,
        _ now: Int64
    ) throws -> (secret: String, session: StoredSession, ended: [String]) {
        try requireAccount(database, account)
        let ended = try String.fetchAll(
            database,
            sql: """
                DELETE FROM sessions WHERE id IN (
                    SELECT id FROM sessions WHERE account = ? ORDER BY seen_at DESC, id LIMIT -1 OFFSET ?
                ) RETURNING id
                """,
            arguments: [account, limits.perAccount - 1]
        )
        let secret = AccessSecret.make()
        let id = AccessSecret.random(8).hex
        try database.execute(
            sql: """
                INSERT INTO sessions (id, digest, account, address, created_at, seen_at, expires_at)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                id, AccessSecret.digest(secret).map { Data($0) }, account, address, now, now, now + limits.lifetime,
            ]
        )
        guard let session = try fetch(database, "sessions.id = ?", [id], now).first else {
            preconditionFailure("A session inserted in this transaction is there.")
        }
        return (secret, session, ended)
    }

    private func requireAccount(_ database: Database, _ name: String) throws {
        let exists = try Bool.fetchOne(database, sql: "SELECT 1 FROM accounts WHERE name = ?", arguments: [name])
        guard exists ?? false else {
            throw AccountTable.unknown
        }
    }

    /// Live sessions only: an expired or idle one is as good as none.
    private func fetch(
        _ database: Database,
        _ condition: String,
        _ arguments: StatementArguments,
        _ now: Int64
    ) throws -> [StoredSession] {
        try Row.fetchAll(
            database,
            sql: """
                SELECT accounts.*, sessions.id AS session_id, sessions.address AS session_address,
                       sessions.created_at AS session_created_at, sessions.seen_at AS session_seen_at,
                       sessions.expires_at AS session_expires_at
                FROM sessions JOIN accounts ON accounts.name = sessions.account
                WHERE \(condition) ORDER BY sessions.created_at, sessions.id
                """,
            arguments: arguments
        ).compactMap { row in
            let session = StoredSession(
                id: row["session_id"],
                account: store.accounts.account(row),
                address: row["session_address"],
                createdAt: row["session_created_at"],
                seenAt: row["session_seen_at"],
                expiresAt: row["session_expires_at"]
            )
            return now < session.expiresAt && now < session.seenAt + limits.idle ? session : nil
        }
    }
}
