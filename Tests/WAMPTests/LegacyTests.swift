/// WAMP v1 clients, translated.
import Notation
import Testing

@testable import WAMP

@Suite struct LegacyTests {
    /// A v1 client with its translation and the router behind it.
    struct Client {
        var realm = TestRealm()
        var legacy: LegacySession
        let session: SessionID
        var sent: [Value] = []
        var asked: [LegacyAction] = []

        init() {
            session = realm.connect()
            legacy = LegacySession(session)
            carryOut(legacy.opened())
        }

        mutating func carryOut(_ actions: [LegacyAction]) {
            for action in actions {
                switch action {
                case .send(let value): sent.append(value)
                case .route(let message):
                    realm.send(message, from: session)
                    deliver()
                case .admit, .close: asked.append(action)
                }
            }
        }

        mutating func deliver() {
            for message in realm.take(session) { carryOut(legacy.routed(message)) }
        }

        mutating func send(_ text: String) throws {
            let bytes = Array(text.utf8)
            carryOut(try bytes.withUnsafeBytes { try legacy.received($0) })
        }

        mutating func admit() throws {
            let ann = Principal(authid: "ann", role: "owner", method: "ticket", provider: "tickets")
            realm.carryOut(realm.router.entered(session, ann, at: realm.now))
            carryOut(try legacy.admitted())
            deliver()
        }
    }

    static let topic = #"{\"topic\":\"farseed.x\",\"user\":\"ann\",\"token\":\"secret\"}"#

    @Test("WELCOME comes unasked, a topic with a token opens the session, events carry the topic's own string")
    func subscribe() throws {
        var client = Client()
        #expect(client.sent == [[0, .string(String(client.session.value)), 1, "Farseed"]])
        client.sent = []
        let ben = client.realm.join()
        client.realm.publish(ben, "farseed.x", ["old"], ["retain": true])
        try client.send("[5,\"\(Self.topic)\"]")
        #expect(client.asked == [.admit(user: "ann", token: "secret")])
        try client.send("[5,\"farseed.y\"]")
        #expect(client.sent == [])
        try client.admit()
        let raw = #"{"topic":"farseed.x","user":"ann","token":"secret"}"#
        #expect(client.sent == [[8, .string(raw), "old"]])
        client.realm.publish(ben, "farseed.x", [1])
        client.realm.publish(ben, "farseed.y", [1, 2])
        client.deliver()
        client.realm.carryOut(client.realm.router.publish("farseed.y", Payload(kwargs: ["k": 3]), at: client.realm.now))
        client.deliver()
        #expect(
            client.sent.dropFirst() == [[8, .string(raw), 1], [8, "farseed.y", [1, 2]], [8, "farseed.y", ["k": 3]]]
        )
        client.sent = []
        try client.send("[6,\"\(Self.topic)\"]")
        client.realm.publish(ben, "farseed.x", [2])
        client.deliver()
        #expect(client.sent == [])
        #expect(throws: Violation.self) {
            try client.send(#"[5,"{\"topic\":\"a\",\"user\":\"ben\",\"token\":\"x\"}"]"#)
        }
    }

    @Test("Without a token nothing is carried out, and a bad one closes")
    func refused() throws {
        var client = Client()
        client.sent = []
        for text in ["[5,\"farseed.x\"]", "[7,\"farseed.x\",1]", "[6,\"farseed.x\"]", "[5,\"{\\\"user\\\":1}\"]"] {
            try client.send(text)
        }
        #expect(client.sent == [] && client.asked == [])
        try client.send("[2,\"id\",\"farseed.p\",1]")
        #expect(client.sent == [[4, "id", "wamp.error.not_authorized", "Subscribe with a token first."]])
        try client.send("[5,\"\(Self.topic)\"]")
        client.carryOut(client.legacy.refused())
        #expect(client.asked.last == .close)
    }

    @Test("Calls, prefixes and publishing are translated")
    func calls() throws {
        var client = Client()
        let ben = client.realm.join()
        _ = try client.realm.register(ben, "com.calc.add")
        _ = try client.realm.subscribe(ben, "com.calc.done")
        try client.send("[1,\"calc\",\"com.calc.\"]")
        try client.send("[5,\"\(Self.topic)\"]")
        try client.admit()
        client.sent = []
        try client.send("[2,\"c1\",\"calc:add\",1,2]")
        guard case .invocation(let invocation, _, _, let payload) = try #require(client.realm.take(ben).first) else {
            return
        }
        #expect(payload.args == [1, 2])
        client.realm.send(.yield(request: invocation, options: [:], payload: Payload(args: [3])), from: ben)
        client.deliver()
        try client.send("[2,\"c2\",\"calc:none\"]")
        #expect(
            client.sent == [
                [3, "c1", 3], [4, "c2", "wamp.error.no_such_procedure", "Nobody has registered this procedure."],
            ]
        )
        try client.send("[7,\"calc:done\",{\"x\":1}]")
        try client.send("[7,\"calc:done\",2,[],[\"\(ben.value)\"]]")
        try client.send("[7,\"calc:done\",3,[\"\(ben.value)\"]]")
        #expect(client.realm.take(ben).map(\.eventArgs) == [[["x": 1]], [2]])
        client.sent = []
        try client.send("[5,\"calc:done\"]")
        try client.send("[7,\"com.calc.done\",4]")
        try client.send("[7,\"com.calc.done\",5,true]")
        #expect(client.sent == [[8, "calc:done", 4]])
    }

    @Test("Shutting down closes the session")
    func shutDown() throws {
        var client = Client()
        try client.send("[5,\"\(Self.topic)\"]")
        try client.admit()
        client.realm.carryOut(client.realm.router.shutDown(at: client.realm.now))
        client.deliver()
        #expect(client.realm.closed == [client.session])
    }

    @Test(
        "What is no message of a v1 client is a violation",
        arguments: [
            "", "{}", "[]", "[0]", "[3,\"a\",1]", "[8,\"a\",1]", "[5]", "[5,1]", "[2,\"a\"]", "[2,1,\"a\"]",
            "[7,\"a\"]", "[7,\"a\",1,5]",
            "[7,\"a\",1,[],5]", "[1,\"a\"]", "[9]", "[\"5\",\"a\"]",
            "[5,\"\(String(repeating: "a", count: 4_097))\"]",
        ]
    )
    func violations(text: String) {
        var client = Client()
        #expect(throws: Violation.self) { try client.send(text) }
    }
}
