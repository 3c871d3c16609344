/// Every message in three serializers, and what is no message.
import Notation
import Testing

@testable import WAMP

@Suite struct MessageTests {
    /// Each message as the specification lays it out.
    static let table: [(Message, Value)] = [
        (
            .hello(realm: "com.example.realm", details: ["roles": ["subscriber": [:]]]),
            [1, "com.example.realm", ["roles": ["subscriber": [:]]]]
        ),
        (
            .welcome(session: 9_129_137_332, details: ["roles": ["broker": [:]]]),
            [2, 9_129_137_332, ["roles": ["broker": [:]]]]
        ),
        (
            .abort(details: ["message": "No."], reason: "wamp.error.no_such_realm", payload: Payload()),
            [3, ["message": "No."], "wamp.error.no_such_realm"]
        ),
        (
            .abort(details: [:], reason: "wamp.error.x", payload: Payload(args: [1], kwargs: ["a": 2])),
            [3, [:], "wamp.error.x", [1], ["a": 2]]
        ),
        (.challenge(method: "wampcra", extra: ["challenge": "x"]), [4, "wampcra", ["challenge": "x"]]),
        (.authenticate(signature: "gir1mSx+", extra: [:]), [5, "gir1mSx+", [:]]),
        (.goodbye(details: [:], reason: "wamp.close.close_realm"), [6, [:], "wamp.close.close_realm"]),
        (
            .error(kind: .call, request: 7_814_135, details: [:], uri: "com.myapp.error", payload: Payload()),
            [8, 48, 7_814_135, [:], "com.myapp.error"]
        ),
        (
            .error(
                kind: .invocation,
                request: 6,
                details: [:],
                uri: "a.b",
                payload: Payload(args: ["x"], kwargs: ["severity": 3])
            ),
            [8, 68, 6, [:], "a.b", ["x"], ["severity": 3]]
        ),
        (
            .publish(
                request: 239_714_735,
                options: ["exclude_me": false],
                topic: "com.a",
                payload: Payload(args: ["Hello"])
            ),
            [16, 239_714_735, ["exclude_me": false], "com.a", ["Hello"]]
        ),
        (
            .publish(request: 1, options: [:], topic: "com.a", payload: Payload(kwargs: ["k": nil])),
            [16, 1, [:], "com.a", [], ["k": nil]]
        ),
        (.published(request: 239_714_735, publication: 4_429_313_566), [17, 239_714_735, 4_429_313_566]),
        (
            .subscribe(request: 713_845_233, options: ["match": "prefix"], topic: "com.a"),
            [32, 713_845_233, ["match": "prefix"], "com.a"]
        ),
        (.subscribed(request: 713_845_233, subscription: 5_512_315_355), [33, 713_845_233, 5_512_315_355]),
        (.unsubscribe(request: 85_346_237, subscription: 5_512_315_355), [34, 85_346_237, 5_512_315_355]),
        (.unsubscribed(request: 85_346_237, revoked: nil), [35, 85_346_237]),
        (.unsubscribed(request: 0, revoked: ["subscription": 3]), [35, 0, ["subscription": 3]]),
        (
            .event(
                subscription: 9_823_526,
                publication: 112_233_445_566,
                details: [:],
                payload: Payload(args: ["Hello, event!"])
            ),
            [36, 9_823_526, 112_233_445_566, [:], ["Hello, event!"]]
        ),
        (
            .event(subscription: 1, publication: 1 << 53, details: [:], payload: Payload()),
            [36, 1, 9_007_199_254_740_992, [:]]
        ),
        (
            .call(request: 7_814_135, options: [:], procedure: "com.p", payload: Payload(args: [.bytes([0, 255])])),
            [48, 7_814_135, [:], "com.p", [.bytes([0, 255])]]
        ),
        (.cancel(request: 7_814_135, options: ["mode": "kill"]), [49, 7_814_135, ["mode": "kill"]]),
        (
            .result(request: 7_814_135, details: ["progress": true], payload: Payload(args: [30])),
            [50, 7_814_135, ["progress": true], [30]]
        ),
        (.register(request: 25_349_185, options: [:], procedure: "com.p"), [64, 25_349_185, [:], "com.p"]),
        (.registered(request: 25_349_185, registration: 2_103_333_224), [65, 25_349_185, 2_103_333_224]),
        (.unregister(request: 788_923_562, registration: 2_103_333_224), [66, 788_923_562, 2_103_333_224]),
        (.unregistered(request: 788_923_562, revoked: nil), [67, 788_923_562]),
        (
            .unregistered(request: 0, revoked: ["registration": 3, "reason": "x"]),
            [67, 0, ["registration": 3, "reason": "x"]]
        ),
        (
            .invocation(request: 6_131_533, registration: 9_823_526, details: [:], payload: Payload()),
            [68, 6_131_533, 9_823_526, [:]]
        ),
        (.interrupt(request: 6_131_533, options: [:]), [69, 6_131_533, [:]]),
        (.yield(request: 6_131_533, options: [:], payload: Payload(args: [1.5])), [70, 6_131_533, [:], [1.5]]),
    ]

    @Test("Every message keeps its layout and survives three serializers", arguments: table)
    func survives(message: Message, layout: Value) throws {
        #expect(message.value == layout)
        #expect(try Message(layout) == message)
        for serializer in Serializer.allCases {
            #expect(try serializer.decode(serializer.encode(message)) == message, "\(serializer)")
        }
    }

    @Test(
        "The bytes are those that other implementations write",
        arguments: [
            (.json, "[5,\"gir1mSx+\",{}]", .authenticate(signature: "gir1mSx+", extra: [:])),
            (.json, "[ 17 , 1.0 , 2 ]", .published(request: 1, publication: 2)),
            (.msgpack, "9331ce00773bf780", .cancel(request: 7_814_135, options: [:])),
            (.cbor, "8318311a00773bf7a0", .cancel(request: 7_814_135, options: [:])),
            (
                .msgpack, "9524ce0095e526cf0000001a21a278be8091ad48656c6c6f2c206576656e7421",
                .event(
                    subscription: 9_823_526,
                    publication: 112_233_445_566,
                    details: [:],
                    payload: Payload(args: ["Hello, event!"])
                )
            ),
            (
                .cbor, "8518241a0095e5261b0000001a21a278bea0816d48656c6c6f2c206576656e7421",
                .event(
                    subscription: 9_823_526,
                    publication: 112_233_445_566,
                    details: [:],
                    payload: Payload(args: ["Hello, event!"])
                )
            ),
        ] as [(Serializer, String, Message)]
    )
    func bytes(serializer: Serializer, text: String, message: Message) throws {
        let bytes = serializer == .json ? Array(text.utf8) : try #require(Hexadecimal.decode(text))
        #expect(try serializer.decode(bytes) == message)
        if !text.contains(" ") { #expect(serializer.encode(message) == bytes) }
    }

    @Test(
        "What is no message is a violation with a sentence",
        arguments: [
            "", "{}", "[]", "[\"1\"]", "[7]", "[0]", "[1]", "[999,1]", "[1,2,{}]", "[1,\"r\"]", "[1,\"r\",[]]",
            "[1,\"r\",{},1]",
            "[2,0,{}]", "[2,9007199254740993,{}]", "[2,-1,{}]", "[3,{},1]", "[3,{},\"a\",{}]", "[3,{},\"a\",[],[]]",
            "[6,{}]", "[6,\"a\",{}]", "[8,48,1,{}]", "[8,7,1,{},\"a\"]", "[8,\"48\",1,{},\"a\"]",
            "[16,1,{},\"a\",\"x\"]",
            "[16,1,{},\"a\",[],{},1]", "[16,1,[],\"a\"]", "[16,1.5,{},\"a\"]", "[16,null,{},\"a\"]", "[16,0,{},\"a\"]",
            "[32,1,{}]", "[32,1,{},5]", "[33,1]", "[34,1,\"2\"]", "[34,0,1]", "[35]", "[35,1,{},2]", "[36,1,2]",
            "[48,1,{},\"a\",null]",
            "[49,1]", "[50,1,{},{}]", "[68,1,1,{},[],[]]", "[70,1]", "[1,\"r\",{}", "[1,\"\\ud800\",{}]", "nonsense",
        ]
    )
    func refuses(text: String) {
        do throws(Violation) {
            let message = try Serializer.json.decode(Array(text.utf8))
            Issue.record("taken as \(message)")
        } catch { #expect(error.message.hasSuffix(".")) }
    }

    @Test("Bytes travel through JSON as the specification says")
    func binary() throws {
        let message = Message.yield(
            request: 1,
            options: [:],
            payload: Payload(args: [.bytes([0x10, 0x20, 0x30]), "\0not base64"])
        )
        let json = Serializer.json.encode(message)
        #expect(String(decoding: json, as: UTF8.self) == #"[70,1,{},["\u0000ECAw","\u0000not base64"]]"#)
        #expect(try Serializer.json.decode(json) == message)
    }

    @Test(
        "Base64 is strict",
        arguments: [
            ("", []), ("AA==", [0]), ("AAA=", [0, 0]), ("AAAA", [0, 0, 0]), ("+/+/", [0xFB, 0xFF, 0xBF]),
            ("A", nil), ("AA", nil), ("AAA", nil), ("A===", nil), ("AA=A", nil), ("AA==AA==", nil), ("AA-_", nil),
            ("====", nil),
        ] as [(String, [UInt8]?)]
    )
    func base64(text: String, bytes: [UInt8]?) {
        #expect(Base64.decode(text.utf8) == bytes)
        if let bytes { #expect(Base64.encode(bytes) == text) }
    }

    @Test("Subprotocols name serializers")
    func subprotocols() {
        #expect(Serializer.allCases.map(\.subprotocol) == ["wamp.2.json", "wamp.2.msgpack", "wamp.2.cbor"])
        #expect(Serializer(subprotocol: "wamp.2.cbor") == .cbor)
        #expect(Serializer(subprotocol: "wamp.2.json.batched") == nil)
        #expect(Serializer.allCases.map(\.isBinary) == [false, true, true])
    }

    @Test(
        "Times are written and read",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_403_456_196_448, "2014-06-22T16:56:36.448Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ]
    )
    func times(milliseconds: Int64, text: String) {
        #expect(Moment(milliseconds: milliseconds).text == text)
        #expect(Moment(text) == Moment(milliseconds: milliseconds))
    }

    @Test("Times of other zones are read, nonsense is not")
    func zones() {
        #expect(Moment("2014-06-22T18:56:36.448+02:00")?.milliseconds == 1_403_456_196_448)
        #expect(Moment("2014-06-22T16:56:36Z")?.milliseconds == 1_403_456_196_000)
        for text in [
            "", "2014-06-22", "2014-06-22T16:56:36", "2014-13-22T16:56:36Z", "2014-06-22T16:56:36.Z",
            "x014-06-22T16:56:36Z", "2014-06-22T16:56:36+0200",
        ] {
            #expect(Moment(text) == nil, "\(text)")
        }
    }
}
