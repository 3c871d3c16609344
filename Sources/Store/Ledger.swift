// Farseed's memory on disk: one SQLite file, opened with care and never shared as SQLite.

import Foundation
import GRDB
import Seedbox

/// The database `farseed.db` of the controller. Everything it throws is a `Problem`; a thrown problem changed nothing.
///
/// All work runs on SQLite's own queues: no call blocks an event loop. Times are Unix milliseconds, given by the caller.
package final class Ledger: Sendable {
    /// The file, for messages.
    package let path: String
    private let pool: DatabasePool
    private let writer: GroupWriter
    let passwords: PasswordHasher

    /// Opens the file, or makes it (0600), and brings its tables up to date.
    ///
    /// A file of another program, of a newer Farseed or with damage is left untouched.
    package static func open(_ configuration: LedgerConfiguration) async throws -> Ledger {
        let opened = Task.detached {
            // Detached because opening blocks on the disk, and on another process for up to the busy timeout.
            do {
                return try Ledger(configuration)
            } catch {
                throw StoreFault.problem(error, path: configuration.path)
            }
        }
        return try await opened.value
    }

    private init(_ configuration: LedgerConfiguration) throws {
        path = configuration.path
        var settings = Configuration()
        settings.label = "farseed.store"
        // Two readers: lists for the page must not wait for each other, and there is one owner.
        settings.maximumReaderCount = 2
        let wait = configuration.busyTimeout
        settings.busyMode = .timeout(Double(wait.components.seconds) + Double(wait.components.attoseconds) / 1e18)
        settings.prepareDatabase { database in
            try database.execute(sql: "PRAGMA trusted_schema = OFF")
        }
        try DatabaseFile.prepare(path) { new in
            let database = try DatabaseQueue(path: new, configuration: settings)
            try database.inDatabase { database in
                try database.execute(
                    sql: "PRAGMA application_id = \(LedgerSchema.applicationID); PRAGMA journal_mode = WAL"
                )
            }
            try database.close()
        }
        let isCurrent = try Self.examine(path, settings, searching: configuration.searchesForDamage)
        pool = try DatabasePool(path: path, configuration: settings)
        writer = GroupWriter(pool: pool)
        passwords = PasswordHasher(cost: configuration.passwordCost)
        try pool.writeWithoutTransaction { database in
            // GRDB chooses NORMAL, which may forget the last commits when the power fails: accepted means kept.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            let pageSize = try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 4096
            try database.execute(sql: "PRAGMA max_page_count = \(max(64, configuration.maximumBytes / pageSize))")
        }
        if isCurrent { return }
        // GRDB looks which steps were taken before the transaction in which it takes one: of two processes that begin
        // together the second would take the first one's again.
        try DatabaseFile.alone(with: path, within: wait) { try LedgerSchema.migrator.migrate(pool) }
    }

    /// Looks for damage and for a newer version's tables without writing a byte; false where tables are to be made yet.
    private static func examine(_ path: String, _ settings: Configuration, searching: Bool) throws -> Bool {
        var settings = settings
        settings.readonly = true
        let database = try DatabaseQueue(path: path, configuration: settings)
        // One transaction: another process may be making the tables.
        var isCurrent = false
        try database.inDatabase { database in
            try database.inTransaction(.deferred) {
                if searching, try String.fetchOne(database, sql: "PRAGMA quick_check(1)") != "ok" {
                    throw StoreFault.corrupt.problem(path)
                }
                let migrator = LedgerSchema.migrator
                guard try !migrator.hasBeenSuperseded(database) else { throw StoreFault.newer.problem(path) }
                isCurrent = try migrator.hasCompletedMigrations(database)
                return .commit
            }
        }
        try database.close()
        return isCurrent
    }

    /// A number that is higher at each call, also on a new database: what the agent tells an old controller by.
    ///
    /// It is the time in milliseconds where that is higher than the last one, so that a lost state directory does not
    /// count from one again, and of two controllers one is the newer.
    package func nextEpoch(now: Int64) async throws -> Int64 {
        try await write { database in
            try Int64.fetchOne(
                database,
                sql: """
                    INSERT INTO counters (name, value) VALUES ('epoch', ?)
                    ON CONFLICT (name) DO UPDATE SET value = max(value + 1, excluded.value) RETURNING value
                    """,
                arguments: [max(1, now)]
            )!
        }
    }

    /// Ends all connections to the file; later calls fail. Where it is not called, the process's end does.
    package func close() throws {
        do {
            try pool.close()
        } catch {
            throw StoreFault.problem(error, path: path)
        }
    }

    func write<Answer: Sendable>(_ body: @escaping @Sendable (Database) throws -> Answer) async throws -> Answer {
        do {
            return try await writer.write(body)
        } catch {
            throw StoreFault.problem(error, path: path)
        }
    }

    func read<Answer: Sendable>(_ body: @escaping @Sendable (Database) throws -> Answer) async throws -> Answer {
        do {
            return try await pool.read(body)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw StoreFault.problem(error, path: path)
        }
    }
}
