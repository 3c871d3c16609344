// Sessions, tickets and one-time links: each lets in exactly whom it was made for, as often as it may.

import Foundation
import Seedbox
import Testing

@testable import Store

@Suite struct SessionTests {
    private let origin = "https://farseed.test"

    private func house(_ scratch: ScratchLedger) async throws -> Ledger {
        let ledger = try await scratch.open()
        _ = try await ledger.accounts.add("ann", password: nil, role: .owner, now: 0)
        _ = try await ledger.accounts.add("bob", password: nil, role: .owner, now: 0)
        return ledger
    }

    @Test func `a cookie is its session until it ends`() async throws {
        let scratch = try ScratchLedger()
        let sessions = try await house(scratch).sessions
        let (secret, session, _) = try await sessions.open("ann", address: "::1", now: 10)
        #expect(secret.utf8.count == 64)
        #expect(try await sessions.find(secret, now: 20) == session)
        for wrong in ["", "x", session.id, secret + "0", secret.uppercased(), String(repeating: "0", count: 100_000)] {
            #expect(try await sessions.find(wrong, now: 20) == nil)
        }
        #expect(try await sessions.end(secret: secret) == session.id)
        #expect(try await sessions.end(secret: secret) == nil)
        #expect(try await sessions.find(secret, now: 20) == nil)
    }

    @Test func `an unused session ends, a used one lives on to its limit`() async throws {
        let scratch = try ScratchLedger()
        let sessions = try await house(scratch).sessions
        let idle = sessions.limits.idle
        let (unused, _, _) = try await sessions.open("ann", address: "a", now: 0)
        let (used, session, _) = try await sessions.open("ann", address: "a", now: 0)
        var now: Int64 = 0
        while now + idle / 2 < sessions.limits.lifetime {
            now += idle / 2
            #expect(try await sessions.find(used, now: now) != nil)
        }
        #expect(try await sessions.find(unused, now: idle) == nil)
        #expect(try await sessions.find(used, now: sessions.limits.lifetime) == nil)
        #expect(try await sessions.sweep(now: sessions.limits.lifetime).contains(session.id))
    }

    @Test func `a password change, a role change and a removal end every session`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await house(scratch)
        for change in 0..<3 {
            let (secret, session, _) = try await ledger.sessions.open("ann", address: "a", now: 1)
            let (other, _, _) = try await ledger.sessions.open("bob", address: "a", now: 1)
            let link = try await ledger.sessions.issueLink("ann", now: 1)
            let ended =
                switch change {
                case 0: try await ledger.accounts.setPassword("ann", "a new one for ann's", now: 2)
                case 1: try await ledger.accounts.setRole("ann", .operator, now: 2)
                default: try await ledger.accounts.remove("ann")
                }
            #expect(ended == [session.id])
            #expect(try await ledger.sessions.find(secret, now: 3) == nil)
            #expect(try await ledger.sessions.redeemLink(link, address: "a", now: 3) == nil)
            #expect(try await ledger.sessions.find(other, now: 3) != nil)
        }
    }

    /// A ticket's uses meet on the one writer; this many rounds would show a gap between its look and its deletion.
    @Test func `a thousand tickets, used a hundred times at once each, let in a thousand times`() async throws {
        let scratch = try ScratchLedger()
        let sessions = try await house(scratch).sessions
        let (_, session, _) = try await sessions.open("ann", address: "a", now: 0)
        for round in 0..<1_000 {
            let ticket = try #require(try await sessions.issueTicket(session: session.id, origin: origin, now: 0))
            let admitted = try await withThrowingTaskGroup(of: StoredSession?.self) { tasks in
                for _ in 0..<100 {
                    tasks.addTask { try await sessions.redeem(ticket: ticket, account: "ann", origin: origin, now: 1) }
                }
                return try await tasks.reduce(into: 0) { if $1 != nil { $0 += 1 } }
            }
            try #require(admitted == 1, "round \(round)")
        }
    }

    @Test func `the password with the name of its user in it is refused at a change too`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await house(scratch)
        _ = try await ledger.accounts.add("annabella", password: nil, role: .viewer, now: 1)
        await #expect(throws: Problem.self) {
            _ = try await ledger.accounts.setPassword("annabella", "annabella 12345", now: 2)
        }
    }

    @Test func `sessions of an account are bounded; the longest unseen makes room`() async throws {
        let scratch = try ScratchLedger()
        var sessions = try await house(scratch).sessions
        sessions.limits.perAccount = 3
        let (first, session, _) = try await sessions.open("ann", address: "a", now: 1)
        for now in 2...3 as ClosedRange<Int64> { _ = try await sessions.open("ann", address: "a", now: now) }
        #expect(try await sessions.open("ann", address: "a", now: 4).ended == [session.id])
        #expect(try await sessions.find(first, now: 5) == nil)
        #expect(try await sessions.list(account: "ann", now: 5).count == 3)
        #expect(try await sessions.list(now: 5).count == 3)
    }

    @Test func `of a hundred uses of one ticket exactly one is let in`() async throws {
        let scratch = try ScratchLedger()
        let sessions = try await house(scratch).sessions
        let (_, session, _) = try await sessions.open("ann", address: "a", now: 1)
        let origin = origin
        for _ in 0..<20 {
            let ticket = try #require(try await sessions.issueTicket(session: session.id, origin: origin, now: 2))
            let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        try await sessions.redeem(ticket: ticket, account: "ann", origin: origin, now: 3) != nil
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(winners == 1)
        }
    }

    @Test func `a ticket of another user, origin, time, role or ended session is none`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await house(scratch)
        let sessions = ledger.sessions
        let (secret, session, _) = try await sessions.open("ann", address: "a", now: 1)
        func ticket() async throws -> String {
            try #require(try await sessions.issueTicket(session: session.id, origin: origin, now: 1))
        }
        let other = try await ticket()
        #expect(try await sessions.redeem(ticket: other, account: "bob", origin: origin, now: 2) == nil)
        // A wrong use uses it up.
        #expect(try await sessions.redeem(ticket: other, account: "ann", origin: origin, now: 2) == nil)
        #expect(
            try await sessions.redeem(ticket: ticket(), account: "ann", origin: "https://evil.test", now: 2) == nil
        )
        #expect(
            try await sessions.redeem(ticket: ticket(), account: "ann", origin: origin, now: 1 + sessions.limits.ticket)
                == nil
        )
        let late = try await ticket()
        _ = try await sessions.end(secret: secret)
        #expect(try await sessions.redeem(ticket: late, account: "ann", origin: origin, now: 2) == nil)
        #expect(try await sessions.issueTicket(session: session.id, origin: origin, now: 2) == nil)
        for forged in ["", "x", String(repeating: "0", count: 64)] {
            #expect(try await sessions.redeem(ticket: forged, account: "ann", origin: origin, now: 2) == nil)
        }
    }

    @Test func `tickets of a session are bounded`() async throws {
        let scratch = try ScratchLedger()
        var sessions = try await house(scratch).sessions
        sessions.limits.ticketsPerSession = 2
        let (_, session, _) = try await sessions.open("ann", address: "a", now: 1)
        var tickets: [String] = []
        for now in 1...4 as ClosedRange<Int64> {
            tickets.append(try #require(try await sessions.issueTicket(session: session.id, origin: origin, now: now)))
        }
        var isLetIn: [Bool] = []
        for ticket in tickets {
            isLetIn.append(try await sessions.redeem(ticket: ticket, account: "ann", origin: origin, now: 5) != nil)
        }
        #expect(isLetIn == [false, false, true, true])
    }

    @Test func `a one-time link begins one session`() async throws {
        let scratch = try ScratchLedger()
        let sessions = try await house(scratch).sessions
        let link = try await sessions.issueLink("ann", now: 1)
        let sessionsBegun = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<50 {
                group.addTask { try await sessions.redeemLink(link, address: "a", now: 2) != nil }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(sessionsBegun == 1)
        let late = try await sessions.issueLink("ann", now: 1)
        #expect(try await sessions.redeemLink(late, address: "a", now: 1 + sessions.limits.link) == nil)
        await #expect(throws: Problem.self) { _ = try await sessions.issueLink("nobody", now: 1) }
    }

    @Test func `no secret is on the disk`() async throws {
        let scratch = try ScratchLedger()
        let ledger = try await house(scratch)
        let (cookie, session, _) = try await ledger.sessions.open("ann", address: "a", now: 1)
        let ticket = try #require(
            try await ledger.sessions.issueTicket(session: session.id, origin: origin, now: 1)
        )
        let link = try await ledger.sessions.issueLink("ann", now: 1)
        let password = "only ever in memory"
        _ = try await ledger.accounts.add("carol", password: password, role: .viewer, now: 1)
        for suffix in ["", "-wal"] {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path + suffix))
            for secret in [cookie, ticket, link, password] {
                #expect(bytes.range(of: Data(secret.utf8)) == nil)
                #expect(bytes.range(of: Data([UInt8](hex: secret) ?? Array(secret.utf8))) == nil)
            }
        }
    }
}
