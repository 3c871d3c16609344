/// Links, logins and tickets.
import Notation
import Testing

@testable import Web

@Suite struct LoginTests {
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
            let other = try await live.request(
                "POST",
                "/api/login",
                fields,
                body: #"{"token":"\#(MemoryLogins.secret())"}"#
            )
            #expect(again.status == 401 && other.status == 401)
            #expect(again.body == other.body)
        }
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
}
