// The audit log: complete, in order, final.

import GRDB
import Seedbox
import Testing

@testable import Store

@Suite struct AuditTests {
    @Test func `entries are listed newest first, by page and by person`() async throws {
        let scratch = try ScratchLedger()
        let audit = try await scratch.open().audit
        for number in 1...10 as ClosedRange<Int64> {
            try await audit.append(
                AuditEntry(at: number, who: number.isMultiple(of: 2) ? "ann" : "bob", origin: "::1", action: "login")
            )
        }
        #expect(try await audit.entries(limit: 3).map(\.at) == [10, 9, 8])
        #expect(try await audit.entries(before: 8, who: "ann", limit: 2).map(\.at) == [6, 4])
        #expect(try await audit.forget(before: 3, keeping: 5) == 5)
        #expect(try await audit.entries().map(\.at) == [10, 9, 8, 7, 6])
    }

    @Test func `an entry is never changed`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await scratch.open()
        try await ledger.audit.append(AuditEntry(at: 1, who: "ann", origin: "::1", action: "torrent.remove"))
        await #expect(throws: Problem.self) {
            try await ledger.write { try $0.execute(sql: "UPDATE audit SET who = 'bob'") }
        }
        #expect(try await ledger.audit.entries().map(\.who) == ["ann"])
    }

    @Test func `what strangers write is cut and stays text`() async throws {
        let scratch = try ScratchLedger()
        let audit = try await scratch.open().audit
        let long = String(repeating: "ü'; DROP TABLE audit; --\u{0}\n", count: 1_000)
        try await audit.append(AuditEntry(at: 1, who: long, origin: "::1", action: "login", outcome: "not-permitted"))
        let entry = try #require(try await audit.entries().first)
        #expect(entry.who.utf8.count <= 260)
        #expect(entry.who.hasPrefix("ü'; DROP"))
    }
}
