/// What a stranger may try over HTTP, each test named after the attack it stops.
import Notation
import Testing

@testable import Web

@Suite struct AttackTests {
    @Test(
        "DNS rebinding: a request for another name gets nothing, on every path",
        arguments: ["/", "/healthz", "/api/boxes", "/ws"]
    )
    func rebinding(_ path: String) async throws {
        try await LiveServer.with { live in
            for host in [
                "evil.example", "evil.example:\(live.port)", "127.0.0.1.evil.example", "localhost.evil.example",
            ] {
                let client = try await live.connect()
                let answer = try await client.request(
                    "GET",
                    path,
                    host: host,
                    path == "/ws" ? TestSocket.upgradeFields(nil) : []
                )
                #expect(answer.status == 421)
                #expect(!answer.body.contains("Farseed</title>"))
                client.close()
            }
        }
    }

    @Test("two Host fields or none are refused")
    func hosts() async throws {
        try await LiveServer.with { live in
            let answer = try await live.request("GET", "/", [("host", live.host)])
            #expect(answer.status == 400)
            let client = try await live.connect()
            try await client.send("GET / HTTP/1.1\r\n\r\n")
            #expect(try await client.response()?.status == 400)
            client.close()
        }
    }

    @Test(
        "cross-site websocket: a foreign page's socket is never opened",
        arguments: [
            "https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1", "file://", "",
            "ws://evil.example", "ws://127.0.0.1", "ws://", "wss://evil.example",
        ]
    )
    func crossSiteSocket(_ origin: String) async throws {
        try await LiveServer.with { live in
            let answer = try await live.request("GET", "/ws", TestSocket.upgradeFields(origin))
            #expect(answer.status == 403)
        }
    }

    @Test("an origin that is allowed by name may open a socket")
    func allowedOrigin() async throws {
        try await LiveServer.with {
            $0.allowedOrigins = ["https://box.example"]
        } _: { live in
            let answer = try await live.request("GET", "/ws", TestSocket.upgradeFields("https://box.example"))
            #expect(answer.status == 101)
        }
    }

    @Test("a program that names the socket's own address as its origin is let in, with a ticket of no page only")
    func programsOrigin() async throws {
        try await LiveServer.with { live in
            func answer(to ticket: String) async throws -> Value? {
                let client = try await live.connect()
                let fields = TestSocket.upgradeFields("ws://\(live.host)")
                try #require(try await client.request("GET", "/ws", host: live.host, fields).status == 101)
                return try await TestSocket(client: client).greet(user: "owner", ticket: ticket)?.array?.first
            }
            let cookie = try await live.login()
            let made = try await live.request("POST", "/api/ticket", [("x-farseed", "1"), ("cookie", cookie)])
            let ofNoPage = try #require(try JSON.decode(made.body)["ticket"]?.string)
            #expect(try await answer(to: ofNoPage) == 2)
            #expect(try await answer(to: live.ticket(cookie: cookie)) == 3)
            let secure = TestSocket.upgradeFields("wss://\(live.host)")
            #expect(try await live.request("GET", "/ws", secure).status == 403)
        }
    }

    @Test("cross-site request forgery: without the header, from another site or origin nothing changes")
    func forgery() async throws {
        try await LiveServer.with { live in
            let cookie = try await live.login()
            for fields in [
                [("cookie", cookie)],
                [("cookie", cookie), ("x-farseed", "1"), ("origin", "https://evil.example")],
                [("cookie", cookie), ("x-farseed", "1"), ("sec-fetch-site", "cross-site")],
                [("cookie", cookie), ("x-farseed", "1"), ("sec-fetch-site", "same-site"), ("origin", live.origin)],
            ] {
                #expect(try await live.request("POST", "/api/ticket", fields).status == 403)
                #expect(try await live.request("POST", "/api/logout", fields).status == 403)
            }
            #expect(
                try await live.request("GET", "/api/ticket", [("cookie", cookie), ("x-farseed", "1")]).status == 405
            )
            #expect(try await live.request("OPTIONS", "/api/ticket").status == 405)
            _ = try await live.ticket(cookie: cookie)
        }
    }

    @Test(
        "clickjacking and injected scripts: every answer bears the fields that forbid them",
        arguments: [
            ("GET", "/", 200), ("GET", "/nothing", 404), ("POST", "/", 405), ("GET", "/ws", 426), ("DELETE", "/", 405),
            ("GET", "/api/boxes", 401), ("GET", "/healthz", 200), ("GET", "/main.js", 200),
        ]
    )
    func securityFields(_ method: String, _ path: String, _ status: Int) async throws {
        try await LiveServer.with { live in
            let answer = try await live.request(method, path)
            #expect(answer.status == status)
            let policy = try #require(answer.fields["content-security-policy"])
            #expect(policy.hasPrefix("default-src 'none'; "))
            #expect(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"))
            #expect(answer.fields["x-content-type-options"] == "nosniff")
            #expect(answer.fields["x-frame-options"] == "DENY")
            #expect(answer.fields["referrer-policy"] == "no-referrer")
            #expect(answer.fields["cross-origin-opener-policy"] == "same-origin")
            #expect(answer.fields["cross-origin-resource-policy"] == "same-origin")
            #expect(answer.fields["access-control-allow-origin"] == nil)
        }
    }

    @Test(
        "path traversal in static files finds nothing",
        arguments: [
            "/../Package.swift", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
            "/style.css/../../x",
            "/.git/config", "/index.html%00.js", "/api/boxes/..%2f/torrents", "/api/boxes//torrents",
        ]
    )
    func traversal(_ path: String) async throws {
        try await LiveServer.with { live in
            let answer = try await live.request("GET", path)
            #expect(answer.status == 404)
        }
    }

    @Test("response splitting: nothing of a request comes back in a header field")
    func splitting() async throws {
        try await LiveServer.with { live in
            let answer = try await live.request("GET", "/%0d%0aset-cookie:%20a=b?x=%0d%0aset-cookie:c=d")
            #expect(answer.status == 404)
            #expect(answer.fields["set-cookie"] == nil)
        }
    }

    @Test(
        "request smuggling: a request whose length is told twice or unclearly ends the connection",
        arguments: [
            "content-length: 4\r\ncontent-length: 5\r\n", "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            "content-length: +4\r\n", "transfer-encoding: gzip\r\n", "bad name: x\r\n", "x: a\u{0}b\r\n",
        ]
    )
    func smuggling(_ fields: String) async throws {
        try await LiveServer.with { live in
            let client = try await live.connect()
            try await client.send("POST /api/login HTTP/1.1\r\nhost: \(live.host)\r\nx-farseed: 1\r\n\(fields)\r\n")
            let bytes = String(decoding: try await client.rest(), as: UTF8.self)
            #expect(bytes.hasPrefix("HTTP/1.1 400"))
        }
    }

    @Test("oversize heads and bodies are refused")
    func oversize() async throws {
        try await LiveServer.with { live in
            let long = String(repeating: "a", count: 20_000)
            let answer = try await live.request("GET", "/", [("x-long", long)])
            #expect(answer.status == 431)
            #expect(try await live.request("GET", "/" + String(repeating: "a", count: 3_000)).status == 414)
            let many = (0..<150).map { ("x-\($0)", "1") }
            #expect(try await live.request("GET", "/", many).status == 431)
            #expect(try await live.request("POST", "/api/login", [("x-farseed", "1")], body: long).status == 413)
            let deep = String(repeating: "[", count: 2_000)
            #expect(try await live.request("POST", "/api/login", [("x-farseed", "1")], body: deep).status == 400)
        }
    }

    @Test("slow headers: a request that does not get done is cut off")
    func slowHeaders() async throws {
        try await LiveServer.with {
            $0.limits.headWithin = 200
        } _: { live in
            let silent = try await live.connect()
            let slow = try await live.connect()
            try await slow.send("GET / HTTP/1.1\r\nhost: ")
            #expect(try await silent.rest().isEmpty)
            #expect(try await slow.rest().isEmpty)
        }
    }

    @Test("slow bodies and idle connections are cut off too")
    func slowBodies() async throws {
        try await LiveServer.with {
            $0.limits.bodyWithin = 200
            $0.limits.idleWithin = 200
        } _: { live in
            let client = try await live.connect()
            try await client.send(
                "POST /api/login HTTP/1.1\r\nhost: \(live.host)\r\nx-farseed: 1\r\ncontent-length: 10\r\n\r\n{"
            )
            _ = try await client.rest()
            let idle = try await live.connect()
            #expect(try await idle.request("GET", "/healthz", host: live.host).status == 200)
            #expect(try await idle.rest().isEmpty)
        }
    }

    @Test("sockets that do not say who they are end, and only so many wait at once")
    func unauthenticated() async throws {
        try await LiveServer.with {
            $0.limits.welcomeWithin = 300
            $0.limits.unauthenticatedSockets = 2
        } _: { live in
            let first = try await TestSocket.open(live)
            let second = try await TestSocket.open(live)
            let third = try await live.request("GET", "/ws", TestSocket.upgradeFields(live.origin))
            #expect(third.status == 503)
            #expect(third.fields["retry-after"] == "5")
            _ = try await first.client.rest()
            _ = try await second.client.rest()
            let fourth = try await TestSocket.open(live)
            fourth.close()
        }
    }

    @Test("guessing: after some failures an address has to wait, whatever it sends then")
    func guessing() async throws {
        try await LiveServer.with {
            $0.limits.failedLogins = 3
        } _: { live in
            let fields = [("x-farseed", "1")]
            let wrong = #"{"token":"\#(MemoryLogins.secret())"}"#
            for _ in 0..<3 { #expect(try await live.request("POST", "/api/login", fields, body: wrong).status == 401) }
            let right = #"{"user":"ann","password":"correct horse"}"#
            let answer = try await live.request("POST", "/api/login", fields, body: right)
            #expect(answer.status == 429)
            #expect(answer.fields["retry-after"] == "60")
            #expect(live.logins.events == [.throttled(client: "127.0.0.1")])
        }
    }

    @Test("forged X-Forwarded-For: only what a trusted proxy says is believed")
    func forwarded() {
        let plain = Admission(WebConfiguration())
        #expect(plain.client(forwarded: ["6.6.6.6"], peer: "127.0.0.1") == "127.0.0.1")
        #expect(!plain.isSecure(forwarded: "https", peer: "127.0.0.1"))
        let proxied = Admission(WebConfiguration(trustedProxies: ["127.0.0.1", "10.0.0.2"]))
        #expect(proxied.client(forwarded: ["6.6.6.6, 9.9.9.9"], peer: "127.0.0.1") == "9.9.9.9")
        #expect(proxied.client(forwarded: ["6.6.6.6, 9.9.9.9, 10.0.0.2"], peer: "127.0.0.1") == "9.9.9.9")
        #expect(proxied.client(forwarded: ["9.9.9.9\nforged"], peer: "127.0.0.1") == "127.0.0.1")
        #expect(proxied.client(forwarded: ["9.9.9.9"], peer: "8.8.8.8") == "8.8.8.8")
        #expect(proxied.isSecure(forwarded: "https", peer: "10.0.0.2"))
        #expect(!proxied.isSecure(forwarded: "https", peer: "8.8.8.8"))
    }

    @Test("connections from one address are bounded, loopback's and proxies' only in all")
    func connections() {
        var limits = WebConfiguration.Limits()
        limits.connections = 4
        limits.connectionsPerAddress = 2
        let census = Census(limits)
        #expect(census.admitConnection(from: "9.9.9.9", isShared: false))
        #expect(census.admitConnection(from: "9.9.9.9", isShared: false))
        #expect(!census.admitConnection(from: "9.9.9.9", isShared: false))
        #expect(census.admitConnection(from: "127.0.0.1", isShared: true))
        #expect(census.admitConnection(from: "127.0.0.1", isShared: true))
        #expect(!census.admitConnection(from: "127.0.0.1", isShared: true))
        census.connectionClosed(from: "9.9.9.9")
        #expect(census.admitConnection(from: "8.8.8.8", isShared: false))
    }

    @Test("figures are for those who may look and for who has the token, whatever name or address they come by")
    func figures() async throws {
        let token = MemoryLogins.secret()
        try await LiveServer.with {
            $0.allowedHosts = ["box.onion"]
            $0.metricsToken = token
        } _: { live in
            let client = try await live.connect()
            for host in [live.host, "localhost", "127.0.0.1", "box.onion"] {
                let fields: [[(String, String)]] = [
                    [], [("x-forwarded-for", "127.0.0.1")], [("authorization", "Bearer")],
                    [("authorization", "Bearer " + token.dropLast())], [("authorization", "Basic " + token)],
                    [("authorization", "Bearer " + token), ("authorization", "Bearer " + token)],
                ]
                for fields in fields {
                    let answer = try await client.request("GET", "/metrics", host: host, fields)
                    #expect(answer.status == 401 && !answer.body.contains("farseed_"))
                }
                let right = ("authorization", "Bearer " + token)
                let answer = try await client.request("GET", "/metrics", host: host, [right])
                #expect(answer.status == 200 && answer.body.contains("\nfarseed_fake 1\n"))
            }
            let viewer = try await live.login(Account(name: "vera", role: .viewer))
            #expect(try await client.request("GET", "/metrics", host: "box.onion", [("cookie", viewer)]).status == 200)
            let guest = try await live.login(Account(name: "gil", role: .guest, labels: ["music"]))
            #expect(try await client.request("GET", "/metrics", host: "box.onion", [("cookie", guest)]).status == 403)
            client.close()
        }
        try await LiveServer.with { live in
            let answer = try await live.request("GET", "/metrics", [("authorization", "Bearer ")])
            #expect(answer.status == 401)
        }
    }

    @Test("a proxied TLS login gets the cookie that only TLS can set and read")
    func proxiedCookie() async throws {
        try await LiveServer.with {
            $0.trustedProxies = ["127.0.0.1"]
            $0.allowedHosts = ["box.example"]
        } _: { live in
            let token = live.logins.makeLink(for: Account(name: "owner", role: .owner))
            let client = try await live.connect()
            let fields = [("x-farseed", "1"), ("origin", "https://box.example"), ("x-forwarded-proto", "https")]
            let answer = try await client.request(
                "POST",
                "/api/login",
                host: "box.example",
                fields,
                body: #"{"token":"\#(token)"}"#
            )
            #expect(answer.status == 204)
            let cookie = try #require(answer.fields["set-cookie"])
            #expect(cookie.hasPrefix("__Host-farseed="))
            for part in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Secure"] { #expect(cookie.contains(part)) }
            #expect(!cookie.lowercased().contains("domain"))
            let pair = String(cookie.prefix { $0 != ";" })
            #expect(
                try await client.request("POST", "/api/ticket", host: "box.example", fields + [("cookie", pair)]).status
                    == 200
            )
            let planted = pair.split(separator: "=")[1]
            #expect(
                try await client.request(
                    "POST",
                    "/api/ticket",
                    host: "box.example",
                    fields + [("cookie", "farseed=\(planted)")]
                )
                .status == 401
            )
            client.close()
        }
    }
}
