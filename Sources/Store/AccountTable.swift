// Accounts: made, changed and removed by an owner, and asked for by a name and a password.

import GRDB
import Notation
package import Seedbox

extension Ledger {
    package var accounts: AccountTable { AccountTable(store: self) }
}

package struct AccountTable: Sendable {
    package static let unknown = Problem(
        .notFound,
        "There is no user of this name. `farseed user list` names them."
    )

    let store: Ledger

    package static func duplicate(_ name: String) -> Problem {
        Problem(.duplicate, "There is a user \(name) already, and it was left as it is.")
    }

    /// Adds an account; without a password only a link lets it in. `duplicate` where the name is taken.
    package func add(
        _ name: String,
        password: String?,
        role: AccountRole,
        labels: [String] = [],
        now: Int64
    ) async throws -> StoredAccount {
        try AccountRules.check(name: name)
        try AccountRules.check(labels: labels, role: role)
        let hash = try await hashed(password, name)
        return try await store.write { database in
            guard try find(database, name) == nil else {
                throw Self.duplicate(name)
            }
            try database.execute(
                sql: """
                    INSERT INTO accounts (name, role, labels, password, created_at, changed_at)
                    VALUES (?, ?, ?, ?, ?, ?)
                    """,
                arguments: [name, role.rawValue, encoded(labels), hash?.text, now, now]
            )
            return try required(database, name)
        }
    }

    /// Sets the password and ends the account's sessions, whose ids are returned: their sockets must be closed.
    package func setPassword(_ name: String, _ password: String, now: Int64) async throws -> [String] {
        let hash = try await hashed(password, name)
        return try await store.write { database in
            _ = try required(database, name)
            try database.execute(
                sql: "UPDATE accounts SET password = ?, changed_at = ? WHERE name = ?",
                arguments: [hash?.text, now, name]
            )
            return try endSessions(database, name)
        }
    }

    /// Gives the account another role and ends its sessions, whose ids are returned. The last owner stays one.
    package func setRole(
        _ name: String,
        _ role: AccountRole,
        labels: [String] = [],
        now: Int64
    ) async throws -> [String] {
        try AccountRules.check(labels: labels, role: role)
        return try await store.write { database in
            if role != .owner { try keepOwner(database, besides: name) }
            _ = try required(database, name)
            try database.execute(
                sql: "UPDATE accounts SET role = ?, labels = ?, changed_at = ? WHERE name = ?",
                arguments: [role.rawValue, encoded(labels), now, name]
            )
            return try endSessions(database, name)
        }
    }

    /// Removes the account with its sessions, whose ids are returned. The last owner stays.
    package func remove(_ name: String) async throws -> [String] {
        try await store.write { database in
            _ = try required(database, name)
            try keepOwner(database, besides: name)
            let sessions = try endSessions(database, name)
            try database.execute(sql: "DELETE FROM accounts WHERE name = ?", arguments: [name])
            return sessions
        }
    }

    /// The account that stands for this machine's own user: the owner of that name, or else the first owner; made, without
    /// a password, where there is none.
    package func owner(_ name: String, now: Int64) async throws -> StoredAccount {
        try await store.write { database in
            let owners = try Row.fetchAll(
                database,
                sql: "SELECT * FROM accounts WHERE role = 'owner' ORDER BY name <> ?, created_at, name LIMIT 1",
                arguments: [name]
            )
            if let owner = owners.first { return account(owner) }
            try database.execute(
                sql: """
                    INSERT INTO accounts (name, role, labels, password, created_at, changed_at)
                    VALUES (?, 'owner', '[]', NULL, ?, ?)
                    ON CONFLICT (name) DO UPDATE SET role = 'owner', labels = '[]', changed_at = excluded.changed_at
                    """,
                arguments: [name, now, now]
            )
            return try required(database, name)
        }
    }

    package func list() async throws -> [StoredAccount] {
        try await store.read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM accounts ORDER BY name").map(account)
        }
    }

    package func find(_ name: String) async throws -> StoredAccount? {
        try await store.read { try find($0, name) }
    }

    /// The account, if the password is its own. A name that does not exist takes as long as a wrong password.
    package func verify(_ name: String, _ password: String, now: Int64) async throws -> StoredAccount? {
        // Bounded before it is hashed; what is too long is no password and needs no hiding.
        guard password.utf8.count <= 1024, name.utf8.count <= 256 else { return nil }
        let row = try await store.read { database in
            try Row.fetchOne(database, sql: "SELECT * FROM accounts WHERE name = ?", arguments: [name]).map { row in
                (account: account(row), hash: row["password"] as String?)
            }
        }
        let hash = row?.hash.flatMap(PasswordHash.init(text:))
        guard try await store.passwords.verify(password, hash), let row, let hash else { return nil }
        if hash.cost != store.passwords.cost {
            // Only now is the password at hand to hash it at today's price.
            let text = try await store.passwords.hash(password).text
            try await store.write { database in
                try database.execute(
                    sql: "UPDATE accounts SET password = ? WHERE name = ? AND password = ?",
                    arguments: [text, name, hash.text]
                )
            }
        }
        return row.account
    }

    private func hashed(_ password: String?, _ name: String) async throws -> PasswordHash? {
        guard let password else { return nil }
        try AccountRules.check(password: password, name: name)
        return try await store.passwords.hash(password)
    }

    private func find(_ database: Database, _ name: String) throws -> StoredAccount? {
        try Row.fetchOne(database, sql: "SELECT * FROM accounts WHERE name = ?", arguments: [name]).map(account)
    }

    private func required(_ database: Database, _ name: String) throws -> StoredAccount {
        guard let account = try find(database, name) else {
            throw Self.unknown
        }
        return account
    }

    private func keepOwner(_ database: Database, besides name: String) throws {
        let isOwner = try find(database, name)?.role == .owner
        let others = try Int.fetchOne(
            database,
            sql: "SELECT count(*) FROM accounts WHERE role = 'owner' AND name <> ?",
            arguments: [name]
        )
        guard !isOwner || (others ?? 0) > 0 else {
            throw Problem(
                .conflict,
                "\(name) is the only owner, so nothing was changed. Make another user owner first."
            )
        }
    }

    private func endSessions(_ database: Database, _ name: String) throws -> [String] {
        try database.execute(sql: "DELETE FROM links WHERE account = ?", arguments: [name])
        return try String.fetchAll(
            database,
            sql: "DELETE FROM sessions WHERE account = ? RETURNING id",
            arguments: [name]
        )
    }

    private func encoded(_ labels: [String]) -> String {
        JSON.text(.array(labels.map { .string($0) }))
    }
}

extension AccountTable {
    func account(_ row: Row) -> StoredAccount {
        let labels = (try? JSON.decode(row["labels"] as String))?.array ?? []
        return StoredAccount(
            name: row["name"],
            // The column's check allows nothing else; the least of all where it was tampered with.
            role: AccountRole(rawValue: row["role"]) ?? .guest,
            labels: labels.compactMap(\.string),
            hasPassword: row["password"] as String? != nil,
            createdAt: row["created_at"],
            changedAt: row["changed_at"]
        )
    }
}
