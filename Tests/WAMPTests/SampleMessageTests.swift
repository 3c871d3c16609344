/// What other implementations write and send: the facts of the WAMP project's sample messages (wamp-proto, `testsuite`).
///
/// There are 102: 35 with their bytes, 46 that try one option of PUBLISH or SUBSCRIBE, 21 that try one detail of EVENT.
import Notation
import Testing

@testable import WAMP

/// One message as JSON writes it without spaces, and in hexadecimal as MessagePack and CBOR do.
struct SampleMessage: Sendable, CustomTestStringConvertible {
    var json: String
    var msgpack: String
    var cbor: String

    init(_ json: String, _ msgpack: String..., cbor: String...) {
        (self.json, self.msgpack, self.cbor) = (json, msgpack.joined(), cbor.joined())
    }

    var testDescription: String { json }

    func bytes(_ serializer: Serializer) throws -> [UInt8] {
        switch serializer {
        case .json: Array(json.utf8)
        case .msgpack: try #require(Hexadecimal.decode(msgpack))
        case .cbor: try #require(Hexadecimal.decode(cbor))
        }
    }
}

/// Options of a client's message, and whether its type is right.
struct SampleOptions: Sendable, CustomTestStringConvertible {
    var layout: Value
    var isTaken: Bool

    var testDescription: String { JSON.text(layout) }
}

@Suite struct SampleMessageTests {
    static let messages: [SampleMessage] = [
        SampleMessage(
            #"[1,"com.example.realm",{"roles":{"subscriber":{},"publisher":{}}}]"#,
            "9301b1636f6d2e6578616d706c652e7265616c6d81a5726f6c657382aa7375627363726962657280a97075626c6973686572",
            "80",
            cbor:
                "830171636f6d2e6578616d706c652e7265616c6da165726f6c6573a26a73756273637269626572a0697075626c6973686572",
            "a0"
        ),
        SampleMessage(
            #"[2,9129137332,{"roles":{"broker":{},"dealer":{}}}]"#,
            "9302cf00000002202394b481a5726f6c657382a662726f6b657280a66465616c657280",
            cbor: "83021b00000002202394b4a165726f6c6573a26662726f6b6572a0666465616c6572a0"
        ),
        SampleMessage(
            #"[3,{},"wamp.error.system_shutdown"]"#,
            "930380ba77616d702e6572726f722e73797374656d5f73687574646f776e",
            cbor: "8303a0781a77616d702e6572726f722e73797374656d5f73687574646f776e"
        ),
        SampleMessage(
            #"[4,"wampcra",{}]"#,
            "9304a777616d7063726180",
            cbor: "83046777616d70637261a0"
        ),
        SampleMessage(
            #"[5,"gir1mSx+deCDUV7FgLvsQNTi6n3W/Z/WcZ/OT9RwdZY=",{}]"#,
            "9305d92c676972316d53782b6465434455563746674c7673514e5469366e33572f5a2f57635a2f4f54395277645a593d80",
            cbor: "8305782c676972316d53782b6465434455563746674c7673514e5469366e33572f5a2f57635a2f4f54395277645a593da0"
        ),
        SampleMessage(
            #"[6,{},"wamp.close.normal"]"#,
            "930680b177616d702e636c6f73652e6e6f726d616c",
            cbor: "8306a07177616d702e636c6f73652e6e6f726d616c"
        ),
        SampleMessage(
            #"[8,48,7814135,{},"com.myapp.error"]"#,
            "950830ce00773bf780af636f6d2e6d796170702e6572726f72",
            cbor: "850818301a00773bf7a06f636f6d2e6d796170702e6572726f72"
        ),
        SampleMessage(
            #"[16,239714735,{"exclude_me":false},"com.myapp.mytopic1",["Hello, world!"]]"#,
            "9510ce0e49c1af81aa6578636c7564655f6d65c2b2636f6d2e6d796170702e6d79746f7069633191ad48656c6c6f2c20776f",
            "726c6421",
            cbor:
                "85101a0e49c1afa16a6578636c7564655f6d65f472636f6d2e6d796170702e6d79746f70696331816d48656c6c6f2c20776f",
            "726c6421"
        ),
        SampleMessage(
            #"[16,239714735,{},"com.myapp.mytopic1",["Hello, world!"]]"#,
            "9510ce0e49c1af80b2636f6d2e6d796170702e6d79746f7069633191ad48656c6c6f2c20776f726c6421",
            cbor: "85101a0e49c1afa072636f6d2e6d796170702e6d79746f70696331816d48656c6c6f2c20776f726c6421"
        ),
        SampleMessage(
            #"[16,987654321,{"forward_for":[{"session":3456789012,"authid":"client1","#
                + #""authrole":"frontend"}]},"com.myapp.topic2",[42,"test"]]"#,
            "9510ce3ade68b181ab666f72776172645f666f729183a773657373696f6ecece0a6a14a6617574686964a7636c69656e7431",
            "a861757468726f6c65a866726f6e74656e64b0636f6d2e6d796170702e746f70696332922aa474657374",
            cbor:
                "85101a3ade68b1a16b666f72776172645f666f7281a36773657373696f6e1ace0a6a146661757468696467636c69656e7431",
            "6861757468726f6c656866726f6e74656e6470636f6d2e6d796170702e746f7069633282182a6474657374"
        ),
        SampleMessage(
            #"[16,987654321,{},"com.myapp.signal"]"#,
            "9410ce3ade68b180b0636f6d2e6d796170702e7369676e616c",
            cbor: "84101a3ade68b1a070636f6d2e6d796170702e7369676e616c"
        ),
        SampleMessage(
            #"[16,111222333,{},"com.myapp.data",["Alice",30],{"role":"admin","active":true}]"#,
            "9610ce06a11e3d80ae636f6d2e6d796170702e6461746192a5416c6963651e82a4726f6c65a561646d696ea6616374697665",
            "c3",
            cbor:
                "86101a06a11e3da06e636f6d2e6d796170702e646174618265416c696365181ea264726f6c656561646d696e666163746976",
            "65f5"
        ),
        SampleMessage(
            #"[16,444555666,{"acknowledge":true},"com.myapp.important",[100,"critical"],{"priority":"high","count":5}]"#,
            "9610ce1a7f619281ab61636b6e6f776c65646765c3b3636f6d2e6d796170702e696d706f7274616e749264a8637269746963",
            "616c82a87072696f72697479a468696768a5636f756e7405",
            cbor:
                "86101a1a7f6192a16b61636b6e6f776c65646765f573636f6d2e6d796170702e696d706f7274616e74821864686372697469",
            "63616ca2687072696f72697479646869676865636f756e7405"
        ),
        SampleMessage(
            #"[17,239714735,4429313566]"#,
            "9311ce0e49c1afcf000000010801f61e",
            cbor: "83111a0e49c1af1b000000010801f61e"
        ),
        SampleMessage(
            #"[32,713845233,{},"com.myapp.mytopic1"]"#,
            "9420ce2a8c69f180b2636f6d2e6d796170702e6d79746f70696331",
            cbor: "8418201a2a8c69f1a072636f6d2e6d796170702e6d79746f70696331"
        ),
        SampleMessage(
            #"[33,713845233,5512315355]"#,
            "9321ce2a8c69f1cf00000001488f41db",
            cbor: "8318211a2a8c69f11b00000001488f41db"
        ),
        SampleMessage(
            #"[34,85346237,5512315355]"#,
            "9322ce051647bdcf00000001488f41db",
            cbor: "8318221a051647bd1b00000001488f41db"
        ),
        SampleMessage(
            #"[35,85346237]"#,
            "9223ce051647bd",
            cbor: "8218231a051647bd"
        ),
        SampleMessage(
            #"[36,9823526,112233445566,{},["Hello, event!"]]"#,
            "9524ce0095e526cf0000001a21a278be8091ad48656c6c6f2c206576656e7421",
            cbor: "8518241a0095e5261b0000001a21a278bea0816d48656c6c6f2c206576656e7421"
        ),
        SampleMessage(
            #"[36,7418529630,556677889900,{"forward_for":[{"session":2468013579,"authid":"frontend1","#
                + #""authrole":"user"}]},[100,"data"]]"#,
            "9524cf00000001ba2dc75ecf000000819c967f6c81ab666f72776172645f666f729183a773657373696f6ece931ae60ba661",
            "7574686964a966726f6e74656e6431a861757468726f6c65a4757365729264a464617461",
            cbor:
                "8518241b00000001ba2dc75e1b000000819c967f6ca16b666f72776172645f666f7281a36773657373696f6e1a931ae60b66",
            "6175746869646966726f6e74656e64316861757468726f6c6564757365728218646464617461"
        ),
        SampleMessage(
            #"[48,7814135,{},"com.myapp.myprocedure1",["Hello, world!"]]"#,
            "9530ce00773bf780b6636f6d2e6d796170702e6d7970726f6365647572653191ad48656c6c6f2c20776f726c6421",
            cbor: "8518301a00773bf7a076636f6d2e6d796170702e6d7970726f63656475726531816d48656c6c6f2c20776f726c6421"
        ),
        SampleMessage(
            #"[49,7814135,{}]"#,
            "9331ce00773bf780",
            cbor: "8318311a00773bf7a0"
        ),
        SampleMessage(
            #"[50,7814135,{},["Hello, world!"]]"#,
            "9432ce00773bf78091ad48656c6c6f2c20776f726c6421",
            cbor: "8418321a00773bf7a0816d48656c6c6f2c20776f726c6421"
        ),
        SampleMessage(
            #"[64,25349185,{},"com.myapp.myprocedure1"]"#,
            "9440ce0182cc4180b6636f6d2e6d796170702e6d7970726f63656475726531",
            cbor: "8418401a0182cc41a076636f6d2e6d796170702e6d7970726f63656475726531"
        ),
        SampleMessage(
            #"[65,25349185,2103333224]"#,
            "9341ce0182cc41ce7d5e5168",
            cbor: "8318411a0182cc411a7d5e5168"
        ),
        SampleMessage(
            #"[66,788923562,2103333224]"#,
            "9342ce2f0604aace7d5e5168",
            cbor: "8318421a2f0604aa1a7d5e5168"
        ),
        SampleMessage(
            #"[67,788923562]"#,
            "9243ce2f0604aa",
            cbor: "8218431a2f0604aa"
        ),
        SampleMessage(
            #"[68,6131533,9823526,{}]"#,
            "9444ce005d8f4dce0095e52680",
            cbor: "8418441a005d8f4d1a0095e526a0"
        ),
        SampleMessage(
            #"[69,6131533,{}]"#,
            "9345ce005d8f4d80",
            cbor: "8318451a005d8f4da0"
        ),
        SampleMessage(
            #"[70,6131533,{}]"#,
            "9346ce005d8f4d80",
            cbor: "8318461a005d8f4da0"
        ),
    ]

    /// Samples of features that are not announced: payloads that the router does not look into, and EVENT_RECEIVED.
    static let unannounced: [SampleMessage] = [
        SampleMessage(
            #"[16,123456789,{"enc_algo":"cryptobox","enc_serializer":"msgpack"},"com.myapp.encrypted","#
                + #""\u0000gqVjb2xvcqZvcmFuZ2Wlc2l6ZXOTFwAqBw=="]"#,
            "9510ce075bcd1582a8656e635f616c676fa963727970746f626f78ae656e635f73657269616c697a6572a76d73677061636b",
            "b3636f6d2e6d796170702e656e63727970746564c41982a5636f6c6f72a66f72616e6765a573697a65739317002a07",
            cbor:
                "85101a075bcd15a268656e635f616c676f6963727970746f626f786e656e635f73657269616c697a6572676d73677061636b",
            "73636f6d2e6d796170702e656e63727970746564581982a5636f6c6f72a66f72616e6765a573697a65739317002a07"
        ),
        SampleMessage(
            #"[16,555666777,{"enc_algo":"cryptobox","enc_serializer":"cbor","#
                + #""forward_for":[{"session":8901234567,"authid":"router1","authrole":"router"}]},"#
                + #""com.myapp.secure","\u0000oWZub3RpY2Vxcm91dGVyMSBmb3J3YXJkZWQ="]"#,
            "9510ce211ecd5983a8656e635f616c676fa963727970746f626f78ae656e635f73657269616c697a6572a463626f72ab666f",
            "72776172645f666f729183a773657373696f6ecf00000002128e0f87a6617574686964a7726f7574657231a861757468726f",
            "6c65a6726f75746572b0636f6d2e6d796170702e736563757265c41aa1666e6f7469636571726f757465723120666f727761",
            "72646564",
            cbor:
                "85101a211ecd59a368656e635f616c676f6963727970746f626f786e656e635f73657269616c697a65726463626f726b666f",
            "72776172645f666f7281a36773657373696f6e1b00000002128e0f876661757468696467726f75746572316861757468726f",
            "6c6566726f7574657270636f6d2e6d796170702e736563757265581aa1666e6f7469636571726f757465723120666f727761",
            "72646564"
        ),
        SampleMessage(
            #"[36,5647382910,998877665544,{"enc_algo":"cryptobox","enc_serializer":"msgpack"},"#
                + #""\u0000g6Vjb2xvcqRibHVlpHNpemWlbGFyZ2WlY291bnQe"]"#,
            "9524cf00000001509c397ecf000000e891bf990882a8656e635f616c676fa963727970746f626f78ae656e635f7365726961",
            "6c697a6572a76d73677061636bc41e83a5636f6c6f72a4626c7565a473697a65a56c61726765a5636f756e741e",
            cbor:
                "8518241b00000001509c397e1b000000e891bf9908a268656e635f616c676f6963727970746f626f786e656e635f73657269",
            "616c697a6572676d73677061636b581e83a5636f6c6f72a4626c7565a473697a65a56c61726765a5636f756e741e"
        ),
        SampleMessage(
            #"[36,1357924680,987654321098,{"forward_for":[{"session":3692581470,"authid":"router2","#
                + #""authrole":"router"}],"enc_algo":"cryptobox","enc_serializer":"cbor"},"#
                + #""\u0000omZzdGF0dXNpZm9yd2FyZGVkZGhvcHMC"]"#,
            "9524ce50f04948cf000000e5f4c8f3ca83ab666f72776172645f666f729183a773657373696f6ecedc18525ea66175746869",
            "64a7726f7574657232a861757468726f6c65a6726f75746572a8656e635f616c676fa963727970746f626f78ae656e635f73",
            "657269616c697a6572a463626f72c418a26673746174757369666f7277617264656464686f707302",
            cbor:
                "8518241a50f049481b000000e5f4c8f3caa36b666f72776172645f666f7281a36773657373696f6e1adc18525e6661757468",
            "696467726f75746572326861757468726f6c6566726f7574657268656e635f616c676f6963727970746f626f786e656e635f",
            "73657269616c697a65726463626f725818a26673746174757369666f7277617264656464686f707302"
        ),
        SampleMessage(
            #"[337,5512315355]"#,
            "92cd0151cf00000001488f41db",
            cbor: "821901511b00000001488f41db"
        ),
    ]

    @Test(
        "A sample is the same message in three serializers, with spaces too, and is written as it came",
        arguments: messages
    )
    func survives(sample: SampleMessage) throws {
        let layout = try JSON.decode(Array(sample.json.utf8))
        let message = try Message(layout)
        #expect(message.value == layout)
        for serializer in Serializer.allCases {
            let bytes = try sample.bytes(serializer)
            #expect(try serializer.decode(bytes) == message, "\(serializer)")
            let written = serializer.encode(message)
            // A dictionary's keys have no order.
            if layout.hasOneOrder {
                #expect(written == bytes, "\(serializer)")
            } else {
                #expect(written.count == bytes.count)
            }
        }
        let spaced = sample.json.replacing(",", with: ", ").replacing("Hello,  ", with: "Hello, ")
        #expect(try Serializer.json.decode(Array(spaced.utf8)) == message)
    }

    @Test("What belongs to a feature that is not announced is a violation", arguments: unannounced)
    func refused(sample: SampleMessage) throws {
        for serializer in Serializer.allCases {
            let bytes = try sample.bytes(serializer)
            #expect(throws: Violation.self, "\(serializer)") { try serializer.decode(bytes) }
        }
    }

    private static func publish(_ options: [String: Value], _ isTaken: Bool, _ payload: Value...) -> SampleOptions {
        SampleOptions(layout: .array([16, 123, .map(options), "com.example.topic"] + payload), isTaken: isTaken)
    }

    private static func subscribe(_ options: [String: Value], _ isTaken: Bool) -> SampleOptions {
        SampleOptions(layout: [32, 123, .map(options), "com.example.topic"], isTaken: isTaken)
    }

    static let options: [SampleOptions] = [
        publish(["acknowledge": true], true),
        publish(["acknowledge": false], true),
        publish(["acknowledge": "hello"], false),
        publish(["acknowledge": 1], false),
        publish(["exclude_me": true], true),
        publish(["exclude_me": false], true),
        publish(["exclude_me": "hello"], false),
        publish(["exclude": []], true),
        publish(["exclude": [123, 456, 789]], true),
        publish(["exclude": "hello"], false),
        publish(["exclude": ["hello"]], false),
        publish(["exclude_authid": []], true),
        publish(["exclude_authid": ["alice", "bob"]], true),
        publish(["exclude_authid": "hello"], false),
        publish(["exclude_authid": [123]], false),
        publish(["exclude_authrole": ["manager", "staff"]], true),
        publish(["exclude_authrole": "manager"], false),
        publish(["eligible": []], true),
        publish(["eligible": [123, 456]], true),
        publish(["eligible": "hello"], false),
        publish(["eligible_authid": ["alice"]], true),
        publish(["eligible_authid": 123], false),
        publish(["eligible_authrole": ["manager"]], true),
        publish(["eligible_authrole": [123]], false),
        publish(["retain": true], true),
        publish(["retain": false], true),
        publish(["retain": "hello"], false),
        subscribe(["match": "exact"], true),
        subscribe(["match": "prefix"], true),
        subscribe(["match": "wildcard"], true),
        subscribe(["match": "invalid"], false),
        subscribe(["match": 123], false),
        subscribe(["get_retained": true], true),
        subscribe(["get_retained": false], true),
        subscribe(["get_retained": "hello"], false),
        // Of features that are not announced: passed over, whatever they are, and no payload without arguments.
        publish(["transaction_hash": "abc123"], true),
        publish(["transaction_hash": 123], true),
        publish(["forward_for": []], true),
        publish(["forward_for": [["session": 123, "authid": "router1", "authrole": "router"]]], true),
        publish(["forward_for": "hello"], true),
        publish(["enc_algo": "cryptobox"], false, "a1666e6f74696365"),
        publish(["enc_algo": "invalid"], false, "a1666e6f74696365"),
        publish(["enc_algo": "cryptobox", "enc_serializer": "cbor"], false, "a1666e6f74696365"),
        subscribe(["forward_for": []], true),
        subscribe(["forward_for": [["session": 123, "authid": "router1", "authrole": "router"]]], true),
        subscribe(["forward_for": "hello"], true),
    ]

    @Test(
        "An option of the right type is carried out, one of the wrong type ends the session",
        arguments: options,
        Serializer.allCases
    )
    func option(sample: SampleOptions, serializer: Serializer) throws {
        var realm = TestRealm()
        let session = realm.join()
        realm.receive(sample.layout, serializer, from: session)
        let answers = realm.take(session)
        guard sample.isTaken else {
            #expect(answers.first?.reason == WAMPReason.protocolViolation)
            #expect(realm.closed == [session])
            return
        }
        #expect(realm.closed.isEmpty)
        guard let layout = sample.layout.array else { return }
        if layout[0] == 32 {
            #expect(answers.map(\.kind) == [.subscribed])
        } else {
            #expect(answers.map(\.kind) == (layout[2]["acknowledge"] == true ? [.published] : []))
        }
    }

    @Test("What the router tells of an event is of the type that subscribers expect")
    func toldOfEvents() throws {
        var realm = TestRealm()
        let (publisher, early, late) = (realm.join(), realm.join(), realm.join())
        _ = try realm.subscribe(early, "com.", ["match": "prefix"])
        realm.publish(publisher, "com.x", [1], ["disclose_me": true, "retain": true, "acknowledge": false])
        _ = try realm.subscribe(late, "com.x", ["get_retained": true])
        let told = try [early, late].map { session in
            let events = realm.take(session).compactMap { message in
                if case .event(_, _, let details, _) = message { details } else { nil }
            }
            return try #require(events.first)
        }
        for details in told {
            #expect(details["publisher"] == .int(publisher.value))
            #expect(details["publisher_authid"] == "ann")
            #expect(details["publisher_authrole"] == "owner")
            // Nothing of features that are not announced.
            let known: Set = ["publisher", "publisher_authid", "publisher_authrole", "topic", "retained"]
            #expect(known.isSuperset(of: details.keys), "\(details.keys)")
        }
        #expect(told[0]["topic"] == "com.x" && told[0]["retained"] == nil)
        #expect(told[1]["retained"] == true)
    }

    @Test("A client's EVENT is a violation, whatever its details", arguments: eventDetails, Serializer.allCases)
    func foreignEvent(details: [String: Value], serializer: Serializer) throws {
        let isOpaque = details["enc_algo"] != nil
        var realm = TestRealm()
        let session = realm.join()
        let payload: Value = isOpaque ? "a1666e6f74696365" : ["args"]
        realm.receive([36, 123, 456, .map(details), payload], serializer, from: session)
        #expect(realm.take(session).first?.reason == WAMPReason.protocolViolation)
        #expect(realm.closed == [session])
    }

    @Test("All of the project's samples are here")
    func completeness() {
        #expect(Self.messages.count + Self.unannounced.count == 35)
        #expect(Self.options.count == 46 && Self.eventDetails.count == 21)
    }

    static let eventDetails: [[String: Value]] = [
        ["publisher": 789],
        ["publisher": "hello"],
        ["publisher_authid": "alice"],
        ["publisher_authid": 123],
        ["publisher_authrole": "manager"],
        ["publisher_authrole": 123],
        ["topic": "com.example.topic"],
        ["topic": 123],
        ["retained": true],
        ["retained": false],
        ["retained": "hello"],
        ["transaction_hash": "abc123"],
        ["transaction_hash": 123],
        ["x_acknowledged_delivery": true],
        ["x_acknowledged_delivery": "hello"],
        ["forward_for": []],
        ["forward_for": [["session": 789, "authid": "router1", "authrole": "router"]]],
        ["forward_for": "hello"],
        // With a payload that the router is not to look into.
        ["enc_algo": "cryptobox"],
        ["enc_algo": "invalid"],
        ["enc_algo": "cryptobox", "enc_serializer": "cbor"],
    ]
}

extension TestRealm {
    /// A client's bytes; what is no message ends its session.
    fileprivate mutating func receive(_ layout: Value, _ serializer: Serializer, from session: SessionID) {
        let bytes =
            switch serializer {
            case .json: JSON.encode(layout)
            case .msgpack: MessagePack.encode(layout)
            case .cbor: CBOR.encode(layout)
            }
        do throws(Violation) {
            send(try serializer.decode(bytes), from: session)
        } catch {
            carryOut(router.violated(session, error, at: now))
        }
    }
}

extension Value {
    /// Whether no dictionary in it has two keys.
    fileprivate var hasOneOrder: Bool {
        switch self {
        case .map(let map): map.count < 2 && map.values.allSatisfy(\.hasOneOrder)
        case .array(let items): items.allSatisfy(\.hasOneOrder)
        default: true
        }
    }
}
