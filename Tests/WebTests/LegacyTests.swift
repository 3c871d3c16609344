/// WAMP v1 over real websockets, as autobahn.js 0.8 writes it.
import Notation
import Testing
import WAMP

@testable import Web

@Suite struct LegacyTests {
    private static let topic = "farseed.vps.torrents"

    private static func with(
        _ change: (inout WebConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (LiveServer) async throws -> Void
    ) async throws {
        try await LiveServer.with({
            $0.servesLegacy = true
            change(&$0)
        }) { live in
            live.realm.retain(topic) { _ in ["epoch": 1, "seq": 0, "full": [:]] }
            try await body(live)
        }
    }

    private static func open(_ live: LiveServer) async throws -> TestSocket {
        let socket = try await TestSocket.open(live, path: "/ws/v1", subprotocol: "wamp")
        let welcome = try #require(try await socket.message()?.array)
        #expect(welcome[0] == 0 && welcome[1].string?.isEmpty == false && welcome.dropFirst(2) == [1, "Farseed"])
        return socket
    }

    /// The topic's string as pages write it.
    private static func ticketed(_ live: LiveServer, cookie: String, user: String = "owner") async throws -> Value {
        let ticket = try await live.ticket(cookie: cookie)
        return .string(#"{"topic":"\#(topic)","user":"\#(user)","token":"\#(ticket)"}"#)
    }

    @Test("A topic with a ticket brings the state and then events, and opens calls; logging out closes")
    func session() async throws {
        try await Self.with { live in
            live.realm.register("farseed.boxes") { _ in ["boxes": []] }
            live.realm.register("farseed.vps.sync") { _ in
                throw RealmError(code: "link-down", message: "The link is down. Wait.")
            }
            let current = try await TestSocket.session(live)
            _ = try await current.subscribe(Self.topic, id: 1)
            _ = try await current.message()
            let socket = try await Self.open(live)
            try await socket.send([2, "early", "farseed.boxes"])
            #expect(try await socket.message()?.array?.prefix(3) == [4, "early", "wamp.error.not_authorized"])
            let cookie = try await live.login()
            let name = try await Self.ticketed(live, cookie: cookie)
            try await socket.send([5, name])
            #expect(try await socket.message() == [8, name, ["epoch": 1, "seq": 0, "full": [:]]])
            live.realm.publish(Self.topic, ["epoch": 1, "seq": 1, "del": ["a"]])
            #expect(try await socket.message() == [8, name, ["epoch": 1, "seq": 1, "del": ["a"]]])
            #expect(try await current.message()?.array?[5]["seq"] == 1)
            try await socket.send([1, "f", "farseed."])
            try await socket.send([2, "a", "f:boxes"])
            #expect(try await socket.message() == [3, "a", ["boxes": []]])
            try await socket.send([2, "b", "farseed.vps.sync"])
            #expect(
                try await socket.message() == [4, "b", "farseed.error.link_down", "The link is down. Wait."]
            )
            try await socket.send([6, name])
            try await socket.send([2, "c", "f:boxes"])
            #expect(try await socket.message() == [3, "c", ["boxes": []]])
            live.realm.publish(Self.topic, ["epoch": 1, "seq": 2])
            #expect(try await current.message()?.array?[5]["seq"] == 2)
            let answer = try await live.request("POST", "/api/logout", [("x-farseed", "1"), ("cookie", cookie)])
            #expect(answer.status == 204)
            #expect(try await socket.frame()?.code == 1000)
            current.close()
        }
    }

    @Test("A ticket lets in once, its own user, of this origin; another role has its own permissions")
    func tickets() async throws {
        try await Self.with { live in
            let cookie = try await live.login()
            let used = try await Self.ticketed(live, cookie: cookie)
            let first = try await Self.open(live)
            try await first.send([5, used])
            #expect(try await first.message()?.array?[0] == 8)
            let foreign = try await Self.ticketed(live, cookie: cookie, user: "ann")
            let made: Value = .string(#"{"topic":"\#(Self.topic)","user":"owner","token":"none"}"#)
            for wrong in [used, foreign, made] {
                let socket = try await Self.open(live)
                try await socket.send([5, wrong])
                #expect(try await socket.frame()?.code == 1008)
            }
            let guest = Account(name: "gil", role: .guest, labels: ["x"])
            let name = try await Self.ticketed(live, cookie: live.login(guest), user: "gil")
            let socket = try await Self.open(live)
            try await socket.send([5, name])
            try await socket.send([2, "a", "farseed.vps.torrent.stop"])
            #expect(try await socket.message()?.array?.prefix(3) == [4, "a", "wamp.error.not_authorized"])
            socket.close()
            first.close()
        }
    }

    @Test("What is no WAMP v1, too large, or silent closes; nobody else notices")
    func violations() async throws {
        try await Self.with({ $0.limits.welcomeWithin = 2_000 }) { live in
            let name = try await Self.ticketed(live, cookie: live.login())
            let good = try await Self.open(live)
            try await good.send([5, name])
            #expect(try await good.message()?.array?[0] == 8)
            for text in ["", "nonsense", "{}", "[9]", "[5]", "[8,\"a\",1]", String(repeating: "[", count: 5_000)] {
                let socket = try await Self.open(live)
                try await socket.client.send(clientFrame(1, Array(text.utf8)))
                #expect(try await socket.frame()?.code == 1002)
            }
            let large = try await Self.open(live)
            try await large.client.send(clientFrame(1, [UInt8](repeating: 0x20, count: 10_000)))
            #expect(try await large.frame()?.code == 1009)
            let binary = try await Self.open(live)
            try await binary.client.send(clientFrame(2, [1]))
            #expect(try await binary.frame()?.code == 1003)
            let silent = try await Self.open(live)
            #expect(try await silent.frame()?.code == 1000)
            live.realm.publish(Self.topic, ["seq": 1])
            #expect(try await good.message() == [8, name, ["seq": 1]])
            good.close()
        }
    }

    @Test("A reader that does not read gets the newest state instead of its backlog")
    func slowReader() async throws {
        try await Self.with { live in
            live.realm.retain("farseed.big") { _ in ["full": "newest"] }
            let quick = try await TestSocket.session(live)
            _ = try await quick.subscribe("farseed.big", id: 1)
            _ = try await quick.message()
            let slow = try await Self.open(live)
            try await slow.send([5, Self.ticketed(live, cookie: live.login())])
            _ = try await slow.message()
            try await slow.send([5, "farseed.big"])
            #expect(try await slow.message() == [8, "farseed.big", ["full": "newest"]])
            try await slow.client.setReading(false)
            let ballast = Value.string(String(repeating: "y", count: 100_000))
            for wanted in 1...400 {
                live.realm.publish("farseed.big", ["seq": .int(Int64(wanted)), "set": ballast])
                #expect(try await quick.message()?.array?[5]["seq"]?.int == Int64(wanted))
            }
            try await slow.client.setReading(true)
            // The system may take more of it in between, and then there is a newest state for each gap.
            var (events, last, states) = (0, Int64(0), 0)
            var isAsked = false
            while let event = try await slow.message()?.array?[2] {
                if event["full"] == "newest" {
                    states += 1
                    if !isAsked { live.realm.publish("farseed.big", ["seq": 401]) }
                    isAsked = true
                    continue
                }
                let number = event["seq"]?.int ?? 0
                #expect(number == last + 1 || states > 0 && number > last)
                (events, last) = (events + 1, number)
                if number == 401 { break }
            }
            #expect(events < 400 && last == 401 && states > 0)
            slow.close()
            quick.close()
        }
    }

    /// The status of the answer to an opening.
    private static func status(
        _ live: LiveServer,
        _ path: String,
        _ subprotocol: String,
        host: String? = nil,
        origin: String? = nil
    ) async throws -> Int {
        let client = try await live.connect()
        defer { client.close() }
        let fields = TestSocket.upgradeFields(origin ?? live.origin, subprotocol: subprotocol)
        return try await client.request("GET", path, host: host ?? live.host, fields).status
    }

    @Test("Host, Origin and subprotocol are looked at as on the other path")
    func admission() async throws {
        try await Self.with { live in
            #expect(try await Self.status(live, "/ws/v1", "wamp") == 101)
            #expect(try await Self.status(live, "/ws/v1", "wamp.2.json") == 400)
            #expect(try await Self.status(live, "/ws", "wamp") == 400)
            #expect(try await Self.status(live, "/ws/v1", "wamp", origin: "https://evil.example") == 403)
            #expect(try await Self.status(live, "/ws/v1", "wamp", host: "evil.example") == 421)
            let plain = try await live.request("GET", "/ws/v1")
            #expect(plain.status == 426)
        }
    }

    @Test("It is off unless it is switched on")
    func off() async throws {
        try await LiveServer.with { live in
            let status = try await Self.status(live, "/ws/v1", "wamp")
            #expect(status == 404)
        }
    }
}
