// The database file: who may read it, and what happens when it is locked, full, damaged or not ours.

import Foundation
import GRDB
import Seedbox
import Testing

@testable import Store

@Suite struct LedgerTests {
    @Test func `a new database is for its owner only and survives power failures`() async throws {
        let scratch = try ScratchLedger()
        let nested = LedgerConfiguration(path: "\(scratch.directory)/state/deep/farseed.db", passwordCost: .trivial)
        let ledger = try await Ledger.open(nested)
        _ = try await ledger.jobs.accept(someRow(1), maximumUnfinished: 10)
        for suffix in ["", "-wal", "-shm"] {
            #expect(try mode(nested.path + suffix) == 0o600)
        }
        #expect(try mode("\(scratch.directory)/state") == 0o700)
        #expect(try mode("\(scratch.directory)/state/deep") == 0o700)
        let pragmas = try await ledger.write { database in
            [
                try String.fetchOne(database, sql: "PRAGMA journal_mode"),
                try String.fetchOne(database, sql: "PRAGMA synchronous"),
                try String.fetchOne(database, sql: "PRAGMA foreign_keys"),
            ]
        }
        #expect(pragmas == ["wal", "2", "1"])
    }

    @Test func `a database that others could read is closed to them`() async throws {
        let scratch = try ScratchLedger()
        try await scratch.open().close()
        #expect(chmod(scratch.path, 0o644) == 0)
        try await scratch.open().close()
        #expect(try mode(scratch.path) == 0o600)
    }

    @Test func `what was written is there after a reopening`() async throws {
        let scratch = try ScratchLedger()
        var ledger = try await scratch.open()
        let row = try await ledger.jobs.accept(someRow(1), maximumUnfinished: 10).row
        try ledger.close()
        ledger = try await scratch.open()
        #expect(try await ledger.jobs.row(row.id) == row)
    }

    @Test func `a lock by another program is waited for, then named, and nothing is changed`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open { $0.busyTimeout = .milliseconds(50) }
        var settings = Configuration()
        settings.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(path: scratch.path, configuration: settings)
        try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
        let problem = await #expect(throws: Problem.self) {
            _ = try await ledger.jobs.accept(someRow(1), maximumUnfinished: 10)
        }
        #expect(problem?.code == .timedOut)
        #expect(problem?.message.contains("locked by another program") == true)
        try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        #expect(try await ledger.jobs.rows(JobRowFilter(limit: 10)).isEmpty)
        #expect(try await ledger.jobs.accept(someRow(1), maximumUnfinished: 10).isNew)
    }

    @Test func `a full disk is named, and what was accepted before is whole`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open { $0.maximumBytes = 400_000 }
        var accepted = 0
        var problem: Problem?
        while problem == nil, accepted < 100 {
            do {
                _ = try await ledger.jobs.accept(someRow(accepted, padding: 20_000), maximumUnfinished: 1_000)
                accepted += 1
            } catch { problem = error as? Problem }
        }
        #expect(problem?.code == .tooLarge)
        #expect(problem?.message.contains("no room left") == true)
        #expect(accepted > 2)
        #expect(try await ledger.jobs.rows(JobRowFilter(limit: 1_000)).count == accepted)
        try ledger.close()
        let again = try await scratch.open()
        #expect(try await again.jobs.rows(JobRowFilter(limit: 1_000)).count == accepted)
    }

    @Test func `when the disk fills, no write of the shared commit claims success`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open { $0.maximumBytes = 400_000 }
        let accepted = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let answer = try? await ledger.jobs.accept(
                        someRow(number, padding: 20_000),
                        maximumUnfinished: 1_000
                    )
                    return answer != nil
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(try await ledger.jobs.rows(JobRowFilter(limit: 1_000)).count == accepted)
    }

    @Test func `a damaged database is named and left as it is`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open()
        for number in 0..<50 {
            _ = try await ledger.jobs.accept(someRow(number, padding: 2_000), maximumUnfinished: 100)
        }
        try await ledger.write { _ in }
        try ledger.close()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path))
        for index in 8_192..<bytes.count { bytes[index] = UInt8(truncatingIfNeeded: index &* 31) }
        try bytes.write(to: URL(fileURLWithPath: scratch.path))
        let problem = await #expect(throws: Problem.self) { _ = try await scratch.open() }
        #expect(problem?.message.contains("damaged") == true, "\(problem?.message ?? "")")
        #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.path)) == bytes)
    }

    @Test func `who needs only a part of it opens a database without a search for damage`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open()
        for number in 0..<50 {
            _ = try await ledger.jobs.accept(someRow(number, padding: 2_000), maximumUnfinished: 100)
        }
        try ledger.close()
        let file = URL(fileURLWithPath: scratch.path)
        var bytes = try Data(contentsOf: file)
        // The last page is one of the jobs' padding.
        for index in bytes.count - 4_096..<bytes.count { bytes[index] = UInt8(truncatingIfNeeded: index &* 31) }
        try bytes.write(to: file)
        await #expect(throws: Problem.self) { _ = try await scratch.open() }
        let opened = try await scratch.open { $0.searchesForDamage = false }
        try opened.close()
    }

    @Test(arguments: ["text", "short", "sqlite", "empty"])
    func `a file of another program is left as it is`(_ kind: String) async throws {
        let scratch = try ScratchLedger()
        switch kind {
        case "text": try Data(repeating: 65, count: 5_000).write(to: URL(fileURLWithPath: scratch.path))
        case "empty": try Data().write(to: URL(fileURLWithPath: scratch.path))
        case "short": try Data("SQLite format 3\0".utf8).write(to: URL(fileURLWithPath: scratch.path))
        default:
            let other = try DatabaseQueue(path: scratch.path)
            try await other.write { try $0.execute(sql: "CREATE TABLE theirs (id INTEGER)") }
            try other.close()
        }
        let before = try Data(contentsOf: URL(fileURLWithPath: scratch.path))
        let problem = await #expect(throws: Problem.self) { _ = try await scratch.open() }
        #expect(problem?.code == .configurationInvalid)
        #expect(problem?.message.contains("not Farseed's database") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.path)) == before)
    }

    @Test func `a database of a newer version is left as it is`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open()
        try await ledger.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99 from the future')") }
        try ledger.close()
        let problem = await #expect(throws: Problem.self) { _ = try await scratch.open() }
        #expect(problem?.code == .configurationInvalid)
        #expect(problem?.message.contains("newer Farseed") == true)
    }

    @Test func `a directory in the file's place is named`() async throws {
        let scratch = try ScratchLedger()
        try FileManager.default.createDirectory(atPath: scratch.path, withIntermediateDirectories: false)
        await #expect(throws: Problem.self) { _ = try await scratch.open() }
    }

    @Test func `the epoch rises at each start, whatever the clock says`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open()
        #expect(try await ledger.nextEpoch(now: 5_000) == 5_000)
        #expect(try await ledger.nextEpoch(now: 5_000) == 5_001)
        #expect(try await ledger.nextEpoch(now: 1_000) == 5_002)
        try ledger.close()
        let again = try await scratch.open()
        #expect(try await again.nextEpoch(now: -1) == 5_003)
        #expect(try await again.nextEpoch(now: 9_000) == 9_000)
    }

    @Test func `one state directory has one sender of jobs`() throws {
        let scratch = try ScratchLedger()
        let path = "\(scratch.directory)/farseed.lock"
        var lock: StateLock? = try StateLock(path: path)
        #expect(lock != nil)
        let other = try StateLock(path: path)
        #expect(other == nil)
        withExtendedLifetime(lock) {}
        lock = nil
        let next = try StateLock(path: path)
        #expect(next != nil)
    }

    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? -1
    }
}
