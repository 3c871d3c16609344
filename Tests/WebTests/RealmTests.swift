/// The realm over real websockets: states, deltas, slow readers, ends.
import NIOCore
import Notation
import Synchronization
import Testing
import WAMP

@testable import Web

/// A topic whose state is its last sequence number and something large.
private final class Counter: Sendable {
    let seq = Mutex<Int64>(0)
    let ballast: String

    init(ballast: Int = 0) { self.ballast = String(repeating: "x", count: ballast) }

    var full: Value { ["epoch": 1, "seq": .int(seq.withLock { $0 }), "full": ["ballast": .string(ballast)]] }

    /// The next delta, `size` bytes long.
    func step(_ size: Int = 0) -> Value {
        let next = seq.withLock { seq in
            seq += 1
            return seq
        }
        return ["epoch": 1, "seq": .int(next), "set": ["a": .string(String(repeating: "y", count: size))]]
    }
}

@Suite struct RealmTests {
    private static let topic = "farseed.vps.torrents"

    @Test("a subscriber gets SUBSCRIBED, then the state, then every delta in order")
    func stateThenDeltas() async throws {
        try await LiveServer.with { live in
            let counter = Counter()
            live.realm.retain(Self.topic) { _ in counter.full }
            let socket = try await TestSocket.session(live)
            let subscription = try await socket.subscribe(Self.topic, id: 1)
            let state = try #require(try await socket.message()?.array)
            #expect(state[0] == 36 && state[1].int == subscription)
            #expect(state[3]["retained"] == true)
            #expect(state[5]["full"] != nil && state[5]["seq"] == 0)
            for _ in 0..<50 { live.realm.publish(Self.topic, counter.step()) }
            for wanted in 1...50 {
                let event = try #require(try await socket.message()?.array)
                #expect(event[0] == 36 && event[5]["seq"]?.int == Int64(wanted))
            }
            socket.close()
        }
    }

    @Test("a procedure's answer, its error, and a stranger's procedure come back as they should")
    func procedures() async throws {
        try await LiveServer.with { live in
            live.realm.register("farseed.boxes") { call in
                #expect(call.caller.authid == "owner" && call.caller.role == "owner")
                return ["boxes": [["name": "vps"]]]
            }
            live.realm.register("farseed.vps.sync") { _ in
                throw RealmError(code: "link-down", message: "The link is down. Wait.")
            }
            struct Inner: Error {}
            live.realm.register("farseed.vps.broken") { _ in throw Inner() }
            let socket = try await TestSocket.session(live)
            try await socket.send([48, 1, [:], "farseed.boxes"])
            let result = try #require(try await socket.message()?.array)
            #expect(result[0] == 50 && result[1] == 1 && result[4]["boxes"] == [["name": "vps"]])
            try await socket.send([48, 2, [:], "farseed.vps.sync"])
            let error = try #require(try await socket.message()?.array)
            #expect(error[0] == 8 && error[1] == 48 && error[2] == 2 && error[4] == "farseed.error.link_down")
            #expect(error[6]["code"] == "link-down" && error[6]["message"] == "The link is down. Wait.")
            try await socket.send([48, 3, [:], "farseed.vps.broken"])
            let broken = try #require(try await socket.message()?.array)
            #expect(broken[4] == "farseed.error.internal" && !JSON.text(.array(broken)).contains("Inner"))
            try await socket.send([48, 4, [:], "farseed.nothing"])
            #expect(try await socket.message()?.array?[4] == "wamp.error.no_such_procedure")
            socket.close()
        }
    }

    @Test("a reader that does not read gets the newest state instead of its backlog; the others notice nothing")
    func slowReader() async throws {
        try await LiveServer.with { live in
            let counter = Counter()
            live.realm.retain(Self.topic) { _ in counter.full }
            let slow = try await TestSocket.session(live)
            let quick = try await TestSocket.session(live)
            for socket in [slow, quick] {
                _ = try await socket.subscribe(Self.topic, id: 1)
                _ = try await socket.message()
            }
            try await slow.client.setReading(false)
            // Far more than the kernel's buffers and ours hold; the quick reader keeps the pace.
            for wanted in 1...400 {
                live.realm.publish(Self.topic, counter.step(100_000))
                #expect(try await quick.message()?.array?[5]["seq"]?.int == Int64(wanted))
            }
            try await slow.client.setReading(true)
            var last: Int64 = 0
            var states = 0
            while last < 400 {
                let event = try #require(try await slow.message()?.array)[5]
                let seq = try #require(event["seq"]?.int)
                if event["full"] != nil {
                    states += 1
                    #expect(seq >= last)
                } else {
                    #expect(seq == last + 1)
                }
                last = seq
            }
            #expect(states >= 1)
            let slowReaders = live.realm.census.slowReaders
            #expect(slowReaders.conflated >= 1 && slowReaders.closed == 0)
            live.realm.publish(Self.topic, counter.step())
            #expect(try await slow.message()?.array?[5]["seq"] == 401)
            slow.close()
            quick.close()
        }
    }

    @Test("a slow reader of a pattern gets the newest state of each topic that it missed")
    func slowPatternReader() async throws {
        try await LiveServer.with { live in
            let topics = ["farseed.vps.torrents", "farseed.nas.torrents", "farseed.den.torrents"]
            let counters = Dictionary(uniqueKeysWithValues: topics.map { ($0, Counter()) })
            for topic in topics { live.realm.retain(topic) { counters[$0]?.full } }
            let (slow, quick) = (try await TestSocket.session(live), try await TestSocket.session(live))
            for socket in [slow, quick] {
                _ = try await socket.subscribe("farseed..torrents", id: 1, options: ["match": "wildcard"])
            }
            try await slow.client.setReading(false)
            for _ in 1...150 {
                for topic in topics {
                    live.realm.publish(topic, counters[topic]!.step(100_000))
                    #expect(try await quick.message()?.array?[3]["topic"] == .string(topic))
                }
            }
            try await slow.client.setReading(true)
            var last: [String: Int64] = [:]
            var states: Set<String> = []
            while last.count < topics.count || last.values.contains(where: { $0 < 150 }) {
                let event = try #require(try await slow.message()?.array)
                let topic = try #require(event[3]["topic"]?.string)
                let seq = try #require(event[5]["seq"]?.int)
                if event[5]["full"] != nil {
                    states.insert(topic)
                    #expect(event[3]["retained"] == true && seq >= last[topic, default: 0])
                } else {
                    #expect(seq == last[topic, default: 0] + 1)
                }
                last[topic] = seq
            }
            #expect(states == Set(topics))
            let slowReaders = live.realm.census.slowReaders
            #expect(slowReaders.conflated >= 1 && slowReaders.closed == 0)
            slow.close()
            quick.close()
        }
    }

    @Test("a reader that asks and never reads is sent away with a code that says to come back")
    func stuckReader() async throws {
        try await LiveServer.with {
            $0.limits.backlogBytes = 100_000
        } _: { live in
            let large = Value.string(String(repeating: "z", count: 400_000))
            live.realm.register("farseed.large") { _ in ["large": large] }
            let socket = try await TestSocket.session(live)
            try await socket.client.setReading(false)
            for id in 1...40 { try await socket.send([48, .int(Int64(id)), [:], "farseed.large"]) }
            try await within {
                while live.server.realm.census.counts.sockets > 0 { try await Task.sleep(for: .milliseconds(20)) }
            }
            try await socket.client.setReading(true)
            let code = try await socket.closeCode()
            #expect(code == 1013 || code == nil)
            #expect(live.realm.census.slowReaders == Census.SlowReaders(conflated: 0, closed: 1))
        }
    }

    @Test("a subscriber that reads nothing for too long is sent away; the others notice nothing")
    func silentReader() async throws {
        try await LiveServer.with {
            $0.limits.backlogWithin = 600
            $0.metricsToken = "metrics"
        } _: { live in
            let counter = Counter()
            live.realm.retain(Self.topic) { _ in counter.full }
            let silent = try await TestSocket.session(live)
            let quick = try await TestSocket.session(live)
            for socket in [silent, quick] {
                _ = try await socket.subscribe(Self.topic, id: 1)
                _ = try await socket.message()
            }
            try await silent.client.setReading(false)
            var wanted: Int64 = 0
            while live.realm.census.slowReaders.closed == 0 {
                wanted += 1
                try #require(wanted < 5_000, "it is still waited for")
                live.realm.publish(Self.topic, counter.step(100_000))
                #expect(try await quick.message()?.array?[5]["seq"]?.int == wanted)
            }
            // What was on the way comes first, then why it ends.
            try await silent.client.setReading(true)
            #expect(try await silent.closeCode() == 1013)
            live.realm.publish(Self.topic, counter.step())
            #expect(try await quick.message()?.array?[5]["seq"]?.int == wanted + 1)
            let metrics = try await live.request("GET", "/metrics", [("authorization", "Bearer metrics")]).body
            let conflated = live.realm.census.slowReaders.conflated
            #expect(conflated >= 1)
            #expect(metrics.contains("\nfarseed_web_slow_readers_total{outcome=\"conflated\"} \(conflated)\n"))
            #expect(metrics.contains("\nfarseed_web_slow_readers_total{outcome=\"closed\"} 1\n"))
            quick.close()
        }
    }

    @Test("events that go to the socket at once and what goes through the channel keep their order")
    func mixedOrder() async throws {
        try await LiveServer.with {
            // Everything may wait: this is about order.
            $0.limits.backlogBytes = 64 << 20
        } _: { live in
            let large = Value.string(String(repeating: "z", count: 150_000))
            live.realm.register("farseed.large") { call in ["number": call.payload.args.first ?? nil, "large": large] }
            let (asking, other) = (try await TestSocket.session(live), try await TestSocket.session(live))
            for socket in [asking, other] { _ = try await socket.subscribe("farseed.mixed", id: 1, options: [:]) }
            for number in 1...200 as ClosedRange<Int64> {
                live.realm.publish("farseed.mixed", ["number": .int(number), "large": number % 5 == 0 ? large : ""])
                if number % 4 == 0 { try await asking.send([48, .int(number), [:], "farseed.large", [.int(number)]]) }
            }
            for (socket, wanted) in [(asking, 50), (other, 0)] {
                var (events, answers) = (Int64(0), 0)
                while events < 200 || answers < wanted {
                    let message = try #require(try await socket.message()?.array)
                    if message[0] == 36 {
                        events += 1
                        #expect(message[5]["number"] == .int(events))
                    } else {
                        answers += 1
                        #expect(message[0] == 50 && message[1] == message[4]["number"])
                    }
                }
                socket.close()
            }
            #expect(live.realm.census.slowReaders == Census.SlowReaders())
        }
    }

    @Test("a connection that takes the place of one that closed gets nothing of its events")
    func reusedDescriptor() async throws {
        try await LiveServer.with { live in
            let watcher = try await TestSocket.session(live)
            _ = try await watcher.subscribe("farseed.fast", id: 1, options: [:])
            var published: Int64 = 0
            func publish() {
                published += 1
                live.realm.publish("farseed.fast", ["number": .int(published)])
            }
            for round in 0..<40 {
                let leaving = try await TestSocket.session(live)
                _ = try await leaving.subscribe("farseed.fast", id: 1, options: [:])
                for _ in 0..<3 { publish() }
                #expect(try await leaving.message()?.array?[5]["number"] == .int(published - 2))
                // By a close frame, or without a word.
                if round % 2 == 0 { try await leaving.client.send(clientFrame(8, [0x03, 0xE8])) }
                leaving.close()
                var answers: [Int] = []
                for _ in 0..<4 {
                    publish()
                    // It would find a frame before the status line.
                    answers.append(try await live.request("GET", "/healthz").status)
                    publish()
                }
                #expect(answers == [200, 200, 200, 200])
            }
            for wanted in 1...published {
                #expect(try await watcher.message()?.array?[5]["number"] == .int(wanted))
            }
            watcher.close()
        }
    }

    @Test("logging out ends every socket of the login within a second, and of no other")
    func logout() async throws {
        try await LiveServer.with { live in
            let other = try await TestSocket.session(live)
            // Whatever else the machine does only adds to it.
            var fastest = Duration.seconds(60)
            for _ in 0..<3 where fastest >= .seconds(1) {
                let cookie = try await live.login()
                let first = try await TestSocket.session(live, cookie: cookie)
                let second = try await TestSocket.session(live, cookie: cookie)
                let start = ContinuousClock.now
                let answer = try await live.request("POST", "/api/logout", [("x-farseed", "1"), ("cookie", cookie)])
                #expect(answer.status == 204)
                #expect(answer.fields["set-cookie"]?.contains("Max-Age=0") == true)
                for socket in [first, second] {
                    #expect(try await socket.message()?.array?[0] == 6)
                    #expect(try await socket.closeCode() == 1000)
                }
                fastest = min(fastest, ContinuousClock.now - start)
                let ticket = try await live.request("POST", "/api/ticket", [("x-farseed", "1"), ("cookie", cookie)])
                #expect(ticket.status == 401)
            }
            #expect(fastest < .seconds(1))
            try await other.send([48, 1, [:], "farseed.none"])
            #expect(try await other.message()?.array?[0] == 8)
            other.close()
        }
    }

    @Test("topics are watched from their first subscriber to their last")
    func watched() async throws {
        try await LiveServer.with { live in
            live.realm.retain(Self.topic) { _ in ["seq": 0] }
            var changes = live.realm.watchedTopics().makeAsyncIterator()
            #expect(await changes.next() == [])
            let one = try await TestSocket.session(live)
            _ = try await one.subscribe(Self.topic, id: 1)
            #expect(await changes.next() == [Self.topic])
            let two = try await TestSocket.session(live)
            _ = try await two.subscribe(Self.topic, id: 1)
            one.close()
            two.close()
            #expect(await changes.next() == [])
        }
    }

    @Test("nonsense ends with the specification's ABORT or the websocket's code, and nobody else notices")
    func nonsense() async throws {
        try await LiveServer.with { live in
            let good = try await TestSocket.session(live)
            for bytes in ["[]", "{}", "[1]", "nonsense", "[32,1,{},\"a\"]", String(repeating: "[", count: 5_000)] {
                let socket = try await TestSocket.open(live)
                try await socket.client.send(clientFrame(1, Array(bytes.utf8)))
                #expect(try await socket.message()?.array?.first == 3)
                #expect(try await socket.closeCode() == 1000)
                try await socket.client.send(clientFrame(8, [0x03, 0xE8]))
                #expect(try await socket.client.rest().isEmpty)
            }
            let binary = try await TestSocket.open(live)
            try await binary.client.send(clientFrame(2, [1, 2, 3]))
            #expect(try await binary.closeCode() == 1003)
            let large = try await TestSocket.open(live)
            try await large.client.send(clientFrame(1, [UInt8](repeating: 0x20, count: 10_000)))
            #expect(try await large.closeCode() == 1009)
            try await good.send([48, 1, [:], "farseed.none"])
            #expect(try await good.message()?.array?[0] == 8)
            good.close()
        }
    }

    @Test("messages faster than allowed end the connection")
    func rate() async throws {
        try await LiveServer.with {
            $0.limits.messageBurst = 20
            $0.limits.messagesPerSecond = 1
        } _: { live in
            let socket = try await TestSocket.session(live)
            for id in 1...30 { try await socket.send([48, .int(Int64(id)), [:], "farseed.none"]) }
            #expect(try await socket.closeCode() == 1008)
        }
    }

    @Test("a socket opens on a connection that carried other requests, as proxies reuse them")
    func reusedConnection() async throws {
        try await LiveServer.with { live in
            let client = try await live.connect()
            #expect(try await client.request("GET", "/healthz", host: live.host).status == 200)
            #expect(try await client.request("GET", "/nothing", host: live.host).status == 404)
            let answer = try await client.request("GET", "/ws", host: live.host, TestSocket.upgradeFields(live.origin))
            #expect(answer.status == 101)
            #expect(answer.fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            #expect(answer.fields["sec-websocket-protocol"] == "wamp.2.json")
            let socket = TestSocket(client: client)
            let welcome = try await socket.greet(user: "owner", ticket: live.ticket(cookie: live.login()))
            #expect(welcome?.array?[0] == 2)
            try await client.send(clientFrame(8, [0x03, 0xE8]))
            #expect(try await socket.closeCode() == 1000)
            #expect(try await client.rest().isEmpty)
        }
    }

    @Test("an upgrade to something else is answered as plain HTTP")
    func foreignUpgrade() async throws {
        try await LiveServer.with { live in
            let fields = [
                ("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__"),
            ]
            let client = try await live.connect()
            let answer = try await client.request("GET", "/healthz", host: live.host, fields)
            #expect(answer.status == 200 && answer.body == "ok\n")
            #expect(try await client.rest().isEmpty)
        }
    }

    @Test(
        "an opening that RFC 6455 forbids is refused",
        arguments: [
            ("sec-websocket-version", "8", 426), ("sec-websocket-key", "short", 400),
            ("sec-websocket-protocol", "wamp", 400),
            ("sec-websocket-protocol", "", 400),
        ]
    )
    func openings(_ name: String, _ value: String, _ status: Int) async throws {
        try await LiveServer.with { live in
            let fields = TestSocket.upgradeFields(live.origin).map { $0.0 == name ? (name, value) : $0 }
            let answer = try await live.request("GET", "/ws", fields)
            #expect(answer.status == status)
        }
    }

    @Test("the page's files come with a tag, and not again while it fits")
    func tags() async throws {
        try await LiveServer.with { live in
            for path in PageFiles().paths {
                let answer = try await live.request("GET", path)
                #expect(answer.status == 200 && !answer.body.isEmpty)
                let tag = try #require(answer.fields["etag"])
                let again = try await live.request("GET", path, [("if-none-match", tag)])
                #expect(again.status == 304 && again.body.isEmpty)
                let head = try await live.request("HEAD", path)
                #expect(head.status == 200 && head.fields["content-length"] == answer.fields["content-length"])
            }
        }
    }

    @Test("the binary serializers carry a session too", arguments: [Serializer.msgpack, .cbor])
    func binary(_ serializer: Serializer) async throws {
        try await LiveServer.with { live in
            let socket = try await TestSocket.open(live, subprotocol: serializer.subprotocol)
            let encode: @Sendable (Value) -> [UInt8] = {
                serializer == .cbor ? CBOR.encode($0) : MessagePack.encode($0)
            }
            let decode: @Sendable ([UInt8]) throws -> Value = {
                serializer == .cbor ? try CBOR.decode($0) : try MessagePack.decode($0)
            }
            let hello: Value = [
                1, "farseed", ["roles": ["caller": [:]], "authmethods": ["ticket"], "authid": "owner"],
            ]
            try await socket.client.send(clientFrame(2, encode(hello)))
            let challenge = try #require(try await socket.frame())
            #expect(challenge.opcode == 2)
            #expect(try decode(challenge.payload).array?[0] == 4)
            let ticket = try await live.ticket(cookie: live.login())
            try await socket.client.send(clientFrame(2, encode([5, .string(ticket), [:]])))
            let welcome = try #require(try await socket.frame())
            #expect(try decode(welcome.payload).array?[0] == 2)
            socket.close()
        }
    }
}
