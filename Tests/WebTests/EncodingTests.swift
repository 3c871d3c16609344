/// What an event costs: it is written out once for all who read the same serializer, and not at all for nobody.
import Notation
import Testing
import WAMP

@testable import Web

@Suite struct EncodingTests {
    private static let topic = "farseed.vps.torrents"

    private static func delta(_ number: Int64) -> Value { ["epoch": 1, "seq": .int(number), "set": ["a": "b"]] }

    @Test("a delta to many subscribers of three serializers is encoded three times")
    func oncePerSerializer() async throws {
        try await LiveServer.with {
            $0.metricsToken = "metrics"
        } _: { live in
            let cookie = try await live.login()
            var sockets: [TestSocket] = []
            // Mixed, and on both of the server's loops.
            for _ in 0..<4 {
                for serializer in Serializer.allCases {
                    let socket = try await TestSocket.session(live, cookie: cookie, serializer: serializer)
                    _ = try await socket.subscribe(Self.topic, id: 1, options: [:])
                    sockets.append(socket)
                }
            }
            for number in 1...20 as ClosedRange<Int64> { live.realm.publish(Self.topic, Self.delta(number)) }
            for socket in sockets {
                for number in 1...20 as ClosedRange<Int64> {
                    #expect(try await socket.message()?.array?[5]["seq"]?.int == number)
                }
            }
            #expect(live.realm.census.encodedEvents == [.json: 20, .msgpack: 20, .cbor: 20])
            let metrics = try await live.request("GET", "/metrics", [("authorization", "Bearer metrics")]).body
            for serializer in Serializer.allCases {
                let line = "farseed_web_events_encoded_total{serializer=\"\(serializer)\"} 20"
                #expect(metrics.split(separator: "\n").contains(Substring(line)))
            }
            // Of one serializer the others are none.
            for socket in sockets where socket.serializer != .cbor { socket.close() }
            try await within { while live.realm.census.counts.sockets > 4 { await Task.yield() } }
            live.realm.publish(Self.topic, Self.delta(21))
            for socket in sockets where socket.serializer == .cbor {
                #expect(try await socket.message()?.array?[5]["seq"]?.int == 21)
                socket.close()
            }
            #expect(live.realm.census.encodedEvents == [.json: 20, .msgpack: 20, .cbor: 21])
        }
    }

    @Test("a topic that nobody subscribes to, or nobody any more, is not encoded")
    func notForNobody() async throws {
        try await LiveServer.with { live in
            let socket = try await TestSocket.session(live)
            let subscription = try await socket.subscribe(Self.topic, id: 1, options: [:])
            _ = try await socket.subscribe("farseed.vps.session", id: 2, options: [:])
            for number in 1...100 as ClosedRange<Int64> { live.realm.publish("farseed.vps.host", .int(number)) }
            live.realm.publish(Self.topic, Self.delta(1))
            #expect(try await socket.message()?.array?[5]["seq"]?.int == 1)
            #expect(live.realm.census.encodedEvents == [.json: 1])
            try await socket.send([34, 3, .int(subscription)])
            #expect(try await socket.message() == [35, 3])
            for number in 2...100 as ClosedRange<Int64> { live.realm.publish(Self.topic, Self.delta(number)) }
            // What was published before it has been dealt with when this comes.
            live.realm.publish("farseed.vps.session", ["figures": [:]])
            #expect(try await socket.message()?.array?[5]["figures"] != nil)
            #expect(live.realm.census.encodedEvents == [.json: 2])
            socket.close()
        }
    }

    @Test("what is written for a client of WAMP v1 is not encoded for others besides")
    func legacyAlone() async throws {
        try await LiveServer.with {
            $0.servesLegacy = true
        } _: { live in
            live.realm.retain(Self.topic) { _ in ["epoch": 1, "seq": 0, "full": [:]] }
            let socket = try await TestSocket.open(live, path: "/ws/v1", subprotocol: "wamp")
            _ = try await socket.message()
            let ticket = try await live.ticket(cookie: live.login())
            let name = Value.string(#"{"topic":"\#(Self.topic)","user":"owner","token":"\#(ticket)"}"#)
            try await socket.send([5, name])
            #expect(try await socket.message()?.array?[2]["full"] != nil)
            live.realm.publish(Self.topic, Self.delta(1))
            #expect(try await socket.message() == [8, name, Self.delta(1)])
            #expect(live.realm.census.encodedEvents == [:])
            socket.close()
        }
    }
}
