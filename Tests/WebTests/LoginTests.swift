/// Links, logins and tickets.
import Notation
import Synchronization
import Testing

@testable import Web

/// A clock that stands until it is moved.
private final class ManualClock: Sendable {
    private let state = Mutex(ContinuousClock.now)
    var now: ContinuousClock.Instant { state.withLock { $0 } }
    func advance(by time: Duration) { state.withLock { $0 += time } }
}

@Suite struct LoginTests {
    private let owner = Account(name: "owner", role: .owner)

    @Test("a one-time link logs in once")
    func linkOnce() async throws {
        try await LiveServer.with { live in
            let token = live.logins.makeLink(for: Account(name: "owner", role: .owner))
            let fields = [("x-farseed", "1")]
            let body = #"{"token":"\#(token)"}"#
            let answer = try await live.request("POST", "/api/login", fields, body: body)
            #expect(answer.status == 204)
            let cookie = try #require(answer.fields["set-cookie"])
            #expect(
                cookie.hasPrefix("farseed=") && cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict")
            )
            #expect(answer.fields["cache-control"] == "no-store")
            let again = try await live.request("POST", "/api/login", fields, body: body)
            let other = try await live.request("POST", "/api/login", fields, body: #"{"token":"\#(Secret.make())"}"#)
            #expect(again.status == 401 && other.status == 401)
            #expect(again.body == other.body)
        }
    }

    @Test("a link, a ticket and a login end with their time")
    func lifetimes() throws {
        let clock = ManualClock()
        let logins = LoginStore(now: { clock.now })
        let link = logins.makeLink(for: owner)
        clock.advance(by: LoginStore.linkLifetime)
        #expect(logins.open(link: link, client: "") == nil)

        let new = logins.open(owner)
        let (login, cookie) = (new.login, new.cookie)
        let ticket = try #require(logins.makeTicket(for: login, origin: nil))
        clock.advance(by: LoginStore.ticketLifetime)
        #expect(logins.redeem(ticket: ticket, user: "owner", origin: nil) == nil)

        for _ in 0..<4 {
            clock.advance(by: .seconds(6 * 24 * 3600))
            #expect(logins.login(cookie: cookie) == login)
        }
        clock.advance(by: .seconds(6 * 24 * 3600))
        #expect(logins.login(cookie: cookie) == nil)
        let idle = logins.open(owner).cookie
        clock.advance(by: LoginStore.idleLifetime)
        #expect(logins.expire().count == 2)
        #expect(logins.login(cookie: idle) == nil)
    }

    @Test("session fixation: a login never keeps the cookie it came with, and ends the old one")
    func fixation() async throws {
        try await LiveServer.with { live in
            let before = try await live.login()
            let token = live.logins.makeLink(for: Account(name: "owner", role: .owner))
            let answer = try await live.request(
                "POST",
                "/api/login",
                [("x-farseed", "1"), ("cookie", before)],
                body: #"{"token":"\#(token)"}"#
            )
            let after = try #require(answer.fields["set-cookie"]).prefix { $0 != ";" }
            #expect(after != before)
            #expect(
                try await live.request("POST", "/api/ticket", [("x-farseed", "1"), ("cookie", before)]).status == 401
            )
            let planted = "farseed=planted; \(after)"
            #expect(
                try await live.request("POST", "/api/ticket", [("x-farseed", "1"), ("cookie", planted)]).status == 401
            )
        }
    }

    @Test("enumeration of users: a wrong name and a wrong password get the same answer")
    func enumeration() async throws {
        try await LiveServer.with { live in
            let fields = [("x-farseed", "1")]
            let name = try await live.request("POST", "/api/login", fields, body: #"{"user":"bob","password":"x"}"#)
            let password = try await live.request("POST", "/api/login", fields, body: #"{"user":"ann","password":"x"}"#)
            #expect(name.status == 401 && password.status == 401 && name.body == password.body)
            let right = try await live.request(
                "POST",
                "/api/login",
                fields,
                body: #"{"user":"ann","password":"correct horse"}"#
            )
            #expect(right.status == 204)
        }
    }

    @Test("a ticket is worth nothing for another user, another origin, a second time, or after logging out")
    func ticketBinding() throws {
        let logins = LoginStore()
        let new = logins.open(owner)
        let (login, cookie) = (new.login, new.cookie)
        let origin = "http://127.0.0.1:1"
        for (made, user, used) in [(origin, "ann", origin), (origin, "owner", nil), (nil, "owner", origin)] {
            let ticket = try #require(logins.makeTicket(for: login, origin: made))
            #expect(logins.redeem(ticket: ticket, user: user, origin: used) == nil)
            #expect(logins.redeem(ticket: ticket, user: "owner", origin: made) == nil)
        }
        #expect(logins.redeem(ticket: Secret.make(), user: "owner", origin: origin) == nil)
        #expect(logins.redeem(ticket: "", user: "owner", origin: origin) == nil)
        let used = try #require(logins.makeTicket(for: login, origin: origin))
        #expect(logins.redeem(ticket: used, user: "owner", origin: origin) == login)
        #expect(logins.redeem(ticket: used, user: "owner", origin: origin) == nil)
        let late = try #require(logins.makeTicket(for: login, origin: origin))
        #expect(logins.close(cookie: cookie) == login.id)
        #expect(logins.redeem(ticket: late, user: "owner", origin: origin) == nil)
    }

    @Test("tickets and logins of one account are bounded, the oldest gives way")
    func bounds() throws {
        let clock = ManualClock()
        let logins = LoginStore(now: { clock.now })
        let new = logins.open(owner)
        let (login, first) = (new.login, new.cookie)
        var tickets: [String] = []
        for _ in 0...LoginStore.ticketsPerLogin {
            tickets.append(try #require(logins.makeTicket(for: login, origin: nil)))
            clock.advance(by: .milliseconds(1))
        }
        #expect(logins.redeem(ticket: tickets[0], user: "owner", origin: nil) == nil)
        #expect(logins.redeem(ticket: tickets[1], user: "owner", origin: nil) == login)
        for _ in 0..<LoginStore.loginsPerAccount {
            clock.advance(by: .milliseconds(1))
            _ = logins.open(owner)
        }
        #expect(logins.login(cookie: first) == nil)
    }

    @Test("forged and replayed tickets: 100 sockets with one ticket get one WELCOME and 99 equal ABORTs")
    func oneWelcome() async throws {
        try await LiveServer.with { live in
            let ticket = try await live.ticket(cookie: live.login())
            let answers = try await withThrowingTaskGroup(of: Value?.self) { tasks in
                for _ in 0..<100 {
                    tasks.addTask {
                        let socket = try await TestSocket.open(live)
                        let answer = try await socket.greet(user: "owner", ticket: ticket)
                        if answer?.array?.first != 2 { socket.close() }
                        return answer
                    }
                }
                var answers: [Value?] = []
                for try await answer in tasks { answers.append(answer) }
                return answers
            }
            #expect(answers.count(where: { $0?.array?.first == 2 }) == 1)
            let aborts = answers.compactMap { $0 }.filter { $0.array?.first == 3 }
            #expect(aborts.count == 99)
            #expect(Set(aborts).count == 1)
        }
    }

    @Test("secrets are 256 bits as 43 characters, and differ")
    func secrets() {
        let secrets = Set((0..<1_000).map { _ in Secret.make() })
        #expect(secrets.count == 1_000)
        #expect(secrets.allSatisfy { $0.utf8.count == 43 })
        #expect(Base64.encodeForURL([UInt8](repeating: 0xFF, count: 3)) == "____")
        #expect(Base64.encode(Array("any carnal pleas".utf8)) == "YW55IGNhcm5hbCBwbGVhcw==")
    }
}
