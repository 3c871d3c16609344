/// Logins as the daemon keeps them: what goes into the audit log, and sessions that another process ends.
import Foundation
import Logging
import Seedbox
import Store
import Testing

@testable import Controller
@testable import Web

/// Logins on a ledger of their own; the audit log runs while `body` does and is whole when `check` is called.
private func withLogins(
    _ body: (StoredLogins, Ledger) async throws -> Void,
    check: ([AuditEntry]) throws -> Void
) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "farseed-\(UUID().uuidString.prefix(8))")
    defer { try? FileManager.default.removeItem(at: directory) }
    let path = directory.appending(path: "farseed.db").path
    let ledger = try await Ledger.open(LedgerConfiguration(path: path, passwordCost: .trivial))
    let audit = AuditLog(ledger: ledger, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let running = Task { try await audit.run() }
    do {
        try await body(StoredLogins(ledger: ledger, audit: audit), ledger)
    } catch {
        running.cancel()
        throw error
    }
    running.cancel()
    try await running.value
    try check(try await ledger.audit.entries(limit: 10_000).reversed())
    try ledger.close()
}

@Suite struct StoredLoginTests {
    @Test func `logins, logouts and refused tickets are written down`() async throws {
        try await withLogins { logins, ledger in
            _ = try await ledger.accounts.add("ann", password: "four words in a row", role: .owner, now: 1)
            #expect(try await logins.open(name: "ann", password: "wrong", client: "192.0.2.1") == nil)
            #expect(try await logins.open(name: "my password", password: "", client: "192.0.2.1") == nil)
            #expect(try await logins.open(link: "guess", client: "192.0.2.1") == nil)
            let new = try #require(
                try await logins.open(name: "ann", password: "four words in a row", client: "192.0.2.2")
            )
            let ticket = try #require(try await logins.makeTicket(for: new.login, origin: "https://a.test"))
            #expect(
                try await logins.redeem(ticket: ticket, user: "ann", origin: "https://b.test", client: "192.0.2.3")
                    == nil
            )
            #expect(try await logins.close(cookie: new.cookie) == new.login.id)
            #expect(try await logins.close(cookie: new.cookie) == nil)
        } check: { entries in
            let texts = entries.map { [$0.action, $0.who, $0.origin, $0.target, $0.outcome].joined(separator: " ") }
            #expect(
                texts == [
                    "login ann 192.0.2.1 password not-permitted", "login - 192.0.2.1 password not-permitted",
                    "login - 192.0.2.1 link not-permitted", "login ann 192.0.2.2 password ok",
                    "ticket ann 192.0.2.3  refused", "logout ann 192.0.2.2  ok",
                ]
            )
        }
    }

    @Test func `a session that another process ended is told of`() async throws {
        try await withLogins { logins, ledger in
            _ = try await ledger.accounts.add("ann", password: nil, role: .owner, now: 1)
            let account = Account(name: "ann", role: .owner)
            let new = try #require(
                try await logins.open(link: try await logins.makeLink(for: account), client: "::1")
            )
            let ticket = try #require(try await logins.makeTicket(for: new.login, origin: nil))
            #expect(try await logins.redeem(ticket: ticket, user: "ann", origin: nil, client: "::1") == new.login)
            #expect(try await logins.expire().isEmpty)
            _ = try await ledger.accounts.setPassword("ann", "four words in a row", now: 2)
            #expect(try await logins.expire() == [new.login.id])
            // And once more, for a websocket that was just being let in.
            #expect(try await logins.expire() == [new.login.id])
            #expect(try await logins.expire().isEmpty)
        } check: { _ in
        }
    }

    @Test func `a flood of guesses is counted instead of kept, and hides nobody who is refused unheard`() async throws {
        try await withLogins { logins, _ in
            for _ in 0..<500 {
                let login = try await logins.redeem(ticket: "guess", user: "ann", origin: nil, client: "::1")
                #expect(login == nil)
            }
            logins.note(.throttled(client: "192.0.2.9"))
        } check: { entries in
            let kept = entries.count { $0.action == "ticket" }
            let omitted = entries.reduce(0) { $0 + (Int($1.target.prefix { $0.isNumber }) ?? 0) }
            #expect(kept + omitted == 500)
            // A minute may have begun anew in between.
            #expect(kept <= 240)
            let throttled = entries.filter { $0.action == "login.throttled" }
            #expect(throttled.map(\.origin) == ["192.0.2.9"])
        }
    }

    @Test func `logins that are refused unheard are one entry an address and a count`() async throws {
        try await withLogins { logins, _ in
            for _ in 0..<1_000 { logins.note(.throttled(client: "192.0.2.1")) }
            logins.note(.throttled(client: "192.0.2.2"))
            for number in 0..<500 { logins.note(.throttled(client: "2001:db8::\(number)")) }
        } check: { entries in
            // A minute may have begun anew in between.
            #expect((66...140).contains(entries.count))
            #expect(
                entries.allSatisfy { $0.who == "-" && ($0.outcome == "refused") == ($0.action == "login.throttled") }
            )
            let first = entries.filter { $0.origin == "192.0.2.1" && $0.action == "login.throttled" }
            let counted = first.reduce(0) { $0 + (Int($1.target.prefix { $0.isNumber }) ?? 1) }
            #expect(counted == 1_000)
            #expect(entries.contains { $0.action == "audit.omitted" })
        }
    }

    @Test func `what one user may not do hides nobody else's failures`() async throws {
        try await withLogins { logins, _ in
            for number in 0..<1_000 {
                let topic = "some.topic.\(number)"
                logins.note(.notPermitted(who: "guest", client: "192.0.2.1", action: "publish", name: topic))
            }
            logins.note(.notPermitted(who: "ann", client: "192.0.2.2", action: "call", name: "some.procedure"))
            logins.note(.workerRefused(name: nil, client: "192.0.2.3"))
        } check: { entries in
            // A minute may have begun anew in between.
            #expect(entries.count { $0.who == "guest" } <= 240)
            #expect(entries.contains { $0.who == "ann" && $0.target == "some.procedure" })
            #expect(entries.contains { $0.who == "-" && $0.origin == "192.0.2.3" })
        }
    }

    @Test func `workers are written down, and no name that nobody has`() async throws {
        try await withLogins { logins, _ in
            logins.note(.workerEntered(name: "reporter", client: "192.0.2.1"))
            logins.note(.workerRefused(name: "reporter", client: "192.0.2.2"))
            logins.note(.workerRefused(name: nil, client: "192.0.2.3"))
        } check: { entries in
            let texts = entries.map { [$0.action, $0.who, $0.origin, $0.target, $0.outcome].joined(separator: " ") }
            #expect(
                texts == [
                    "login worker.reporter 192.0.2.1 key ok", "login worker.reporter 192.0.2.2 key not-permitted",
                    "login - 192.0.2.3 key not-permitted",
                ]
            )
        }
    }

    @Test func `what a role does not allow and whose sessions were ended is written down`() async throws {
        try await withLogins { logins, _ in
            let name = "farseed.vps.torrent.remove"
            logins.note(.notPermitted(who: "vera", client: "192.0.2.1", action: "call", name: name))
            logins.note(.sessionsKilled(who: "owner", client: "192.0.2.2", users: ["vera", "vera"]))
        } check: { entries in
            let texts = entries.map { [$0.action, $0.who, $0.origin, $0.target, $0.outcome].joined(separator: " ") }
            #expect(
                texts == [
                    "call vera 192.0.2.1 farseed.vps.torrent.remove not-permitted",
                    "session.kill owner 192.0.2.2 vera, vera ok",
                ]
            )
        }
    }

    @Test func `a cookie lives as long as its session`() async throws {
        try await withLogins { logins, ledger in
            _ = try await ledger.accounts.add("ann", password: nil, role: .owner, now: 1)
            let link = try await logins.makeLink(for: Account(name: "ann", role: .owner))
            let new = try #require(try await logins.open(link: link, client: "::1"))
            #expect(new.lifetime == .milliseconds(SessionLimits().lifetime))
        } check: { _ in
        }
    }

    @Test func `there is always an owner to log in`() async throws {
        try await withLogins { _, ledger in
            _ = try await ledger.accounts.add("bob", password: nil, role: .viewer, now: 1)
            #expect(try await ledger.accounts.owner("owner", now: 2).name == "owner")
            _ = try await ledger.accounts.add("ann", password: nil, role: .owner, now: 3)
            #expect(try await ledger.accounts.owner("owner", now: 4).name == "owner")
            _ = try await ledger.accounts.remove("owner")
            #expect(try await ledger.accounts.owner("owner", now: 5).name == "ann")
            #expect(try await ledger.accounts.list().map(\.name) == ["ann", "bob"])
        } check: { _ in
        }
    }
}
