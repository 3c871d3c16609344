/// From HELLO to the end of a session.
import Notation
import Testing

@testable import WAMP

@Suite struct HandshakeTests {
    static let hello = Message.hello(realm: "farseed", details: ["roles": TestRealm.features])
    static let ann = Principal(authid: "ann", role: "owner", method: "ticket", provider: "tickets")

    static func hello(_ details: [String: Value]) -> Message {
        .hello(realm: "farseed", details: details.merging(["roles": TestRealm.features]) { $1 })
    }

    @Test("A ticket opens a session")
    func ticket() throws {
        var realm = TestRealm()
        let session = realm.connect()
        #expect(realm.timers.keys.contains(.handshake(session)))
        realm.send(Self.hello(["authmethods": ["scram", "ticket", "anonymous"], "authid": "ann"]), from: session)
        let greeting = Greeting(methods: [.ticket, .anonymous], authid: "ann", extra: [:], transport: ["type": "test"])
        #expect(realm.takeOthers() == [.authenticate(session, greeting)])
        realm.carryOut(realm.router.resolved(session, .ticket, at: realm.now))
        #expect(realm.take(session) == [.challenge(method: "ticket", extra: [:])])
        realm.send(.authenticate(signature: "secret", extra: [:]), from: session)
        #expect(realm.takeOthers() == [.checkTicket(session, ticket: "secret", authid: "ann")])
        realm.carryOut(realm.router.ticketChecked(session, Self.ann, at: realm.now))
        guard case .welcome(let id, let details) = try #require(realm.take(session).first) else { return }
        #expect(id == session.value)
        #expect(details["authid"] == "ann")
        #expect(details["authrole"] == "owner")
        #expect(details["authmethod"] == "ticket")
        #expect(details["authprovider"] == "tickets")
        #expect(details["roles"]?["broker"]?["features"]?["event_retention"] == true)
        #expect(details["roles"]?["dealer"]?["features"]?["call_canceling"] == true)
        #expect(realm.takeOthers() == [.opened(session, Self.ann)])
        #expect(realm.timers.isEmpty)
        #expect(realm.router.principal(of: session) == Self.ann)
    }

    @Test("Every refused login looks the same")
    func refused() {
        var answers: Set<[Message]> = []
        let wrongs: [(AuthMethod, Credential, String)] = [
            (.ticket, .ticket, "wrong"), (.ticket, .unknown(.ticket), "x"),
            (.wampcra, .wampcra(Self.ann, secret: [1], salt: nil), "wrong"), (.wampcra, .unknown(.wampcra), ""),
            (.cryptosign, .cryptosign(Self.ann, publicKey: [1]), "00"), (.cryptosign, .unknown(.cryptosign), "zz"),
            (.cryptosign, .cryptosign(Self.ann, publicKey: [1]), String(repeating: "0", count: 192)),
        ]
        for (method, credential, signature) in wrongs {
            var realm = TestRealm()
            let session = realm.connect()
            realm.send(Self.hello(["authmethods": [.string(method.rawValue)]]), from: session)
            realm.carryOut(realm.router.resolved(session, credential, at: realm.now))
            #expect(realm.take(session).map(\.kind) == [.challenge])
            realm.send(.authenticate(signature: signature, extra: [:]), from: session)
            realm.carryOut(realm.router.ticketChecked(session, nil, at: realm.now))
            answers.insert(realm.take(session))
            // The shell is told of those that it did not check itself.
            let told = realm.takeOthers().contains(.denied(session, method, authid: nil))
            #expect(told == (method != .ticket))
            #expect(realm.closed.contains(session))
            #expect(realm.router.sessions.isEmpty)
            #expect(realm.timers.isEmpty)
        }
        #expect(answers.count == 1)
        #expect(answers.first?.first?.reason == WAMPReason.authenticationDenied)
    }

    @Test(
        "PBKDF2 makes the known keys",
        arguments: [
            (1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"),
            (2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"),
            (64, nil),
        ] as [(Int, String?)]
    )
    func derivedKey(iterations: Int, hex: String?) throws {
        let salt = Salt(salt: "salt", iterations: iterations, keyLength: hex == nil ? 40 : 32)
        let key = WAMPCRA.derivedKey(password: Array("password".utf8), salt: salt, TestCryptography())
        let bytes = try #require(Base64.decode(key))
        #expect(bytes.count == salt.keyLength)
        if let hex { #expect(Hexadecimal.encode(bytes) == hex) }
    }

    @Test("WAMP-CRA opens a session for who knows the secret")
    func wampcra() throws {
        var realm = TestRealm()
        let session = realm.connect()
        realm.send(Self.hello(["authmethods": ["wampcra"], "authid": "ann"]), from: session)
        let salt = Salt(salt: "pepper", iterations: 3, keyLength: 32)
        let secret = WAMPCRA.derivedKey(password: Array("pass".utf8), salt: salt, TestCryptography())
        realm.carryOut(realm.router.resolved(session, .wampcra(Self.ann, secret: secret, salt: salt), at: realm.now))
        guard case .challenge("wampcra", let extra) = try #require(realm.take(session).first) else { return }
        #expect(extra["salt"] == "pepper")
        #expect(extra["iterations"] == 3)
        #expect(extra["keylen"] == 32)
        let text = try #require(extra["challenge"]?.string)
        let told = try JSON.decode(text)
        #expect(told["session"] == .int(session.value))
        #expect(told["timestamp"]?.string == realm.now.text)
        #expect(
            Set(told.map!.keys) == [
                "authid", "authrole", "authmethod", "authprovider", "nonce", "timestamp", "session",
            ]
        )
        let signature = Base64.encode(TestCryptography().hmacSHA256(key: secret, message: Array(text.utf8)))
        realm.send(.authenticate(signature: signature, extra: [:]), from: session)
        #expect(realm.take(session).map(\.kind) == [.welcome])
    }

    @Test("Cryptosign opens a session for who has the key")
    func cryptosign() throws {
        var realm = TestRealm()
        let session = realm.connect()
        let key: [UInt8] = [1, 2, 3]
        realm.send(Self.hello(["authmethods": ["cryptosign"], "authextra": ["pubkey": "010203"]]), from: session)
        guard case .authenticate(_, let greeting) = try #require(realm.takeOthers().first) else { return }
        #expect(greeting.extra["pubkey"] == "010203")
        realm.carryOut(realm.router.resolved(session, .cryptosign(Self.ann, publicKey: key), at: realm.now))
        guard case .challenge("cryptosign", let extra) = try #require(realm.take(session).first) else { return }
        let nonce = try #require(Hexadecimal.decode(extra["challenge"]?.string ?? ""))
        #expect(nonce.count == 32)
        let answer = Hexadecimal.encode(TestCryptography.sign(nonce, publicKey: key) + nonce)
        realm.send(.authenticate(signature: answer, extra: [:]), from: session)
        #expect(realm.take(session).map(\.kind) == [.welcome])
    }

    @Test(
        "A HELLO that cannot be taken is aborted with its reason",
        arguments: [
            (.hello(realm: "other", details: ["roles": TestRealm.features]), WAMPReason.noSuchRealm),
            (.hello(realm: "not valid", details: ["roles": TestRealm.features]), WAMPReason.invalidURI),
            (.hello(realm: "farseed", details: [:]), WAMPReason.protocolViolation),
            (.hello(realm: "farseed", details: ["roles": [:]]), WAMPReason.protocolViolation),
            (.hello(realm: "farseed", details: ["roles": ["caller": 1]]), WAMPReason.protocolViolation),
            (
                .hello(realm: "farseed", details: ["roles": ["callee": ["features": ["call_canceling": 1]]]]),
                WAMPReason.protocolViolation
            ),
            (hello(["authmethods": "ticket"]), WAMPReason.protocolViolation),
            (hello(["authid": 5]), WAMPReason.protocolViolation),
            (hello(["authextra": []]), WAMPReason.protocolViolation),
            (hello(["authmethods": ["scram"]]), WAMPReason.noMatchingMethod),
            (.subscribe(request: 1, options: [:], topic: "a"), WAMPReason.protocolViolation),
            (.goodbye(details: [:], reason: "a.b"), WAMPReason.protocolViolation),
            (.authenticate(signature: "", extra: [:]), WAMPReason.protocolViolation),
            (.welcome(session: 1, details: [:]), WAMPReason.protocolViolation),
        ]
    )
    func aborted(message: Message, reason: String) {
        var realm = TestRealm()
        let session = realm.connect()
        realm.send(message, from: session)
        let answers = realm.take(session)
        #expect(answers.map(\.kind) == [.abort])
        #expect(answers.first?.reason == reason)
        #expect(realm.closed == [session])
        #expect(realm.router.sessions.isEmpty)
        #expect(realm.timers.isEmpty)
        // What was on its way is passed over.
        realm.send(Self.hello, from: session)
        #expect(realm.take(session) == [])
    }

    @Test("Anonymous is refused where it is off")
    func anonymousOff() {
        var realm = TestRealm { $0.methods = [.ticket] }
        let session = realm.connect()
        realm.send(Self.hello, from: session)
        #expect(realm.take(session).first?.reason == WAMPReason.noMatchingMethod)
    }

    @Test(
        "A message before its time is a violation",
        arguments: [
            hello, .subscribe(request: 1, options: [:], topic: "a"), .authenticate(signature: "", extra: [:]),
            .goodbye(details: [:], reason: "a.b"),
        ]
    )
    func early(message: Message) {
        var realm = TestRealm()
        let session = realm.connect()
        realm.send(Self.hello, from: session)
        realm.send(message, from: session)
        #expect(realm.take(session).first?.reason == WAMPReason.protocolViolation)
        #expect(realm.router.resolved(session, .anonymous(Self.ann), at: realm.now) == [])
    }

    @Test("ABORT of a client ends without an answer, whenever it comes")
    func clientAborts() {
        var realm = TestRealm()
        let abort = Message.abort(details: [:], reason: "a.b", payload: Payload())
        let fresh = realm.connect()
        realm.send(abort, from: fresh)
        let open = realm.join()
        realm.send(abort, from: open)
        #expect(realm.take(fresh) == [] && realm.take(open) == [])
        #expect(realm.closed == [fresh, open])
        #expect(realm.router.sessions.isEmpty)
    }

    @Test("GOODBYE is answered, then the transport is closed")
    func goodbye() {
        var realm = TestRealm()
        let session = realm.join()
        realm.send(.goodbye(details: [:], reason: "wamp.close.close_realm"), from: session)
        #expect(realm.take(session) == [.goodbye(details: [:], reason: WAMPReason.goodbyeAndOut)])
        #expect(realm.closed == [session])
        #expect(realm.router.openCount == 0)
    }

    @Test(
        "What only routers send, or what comes twice, ends an open session",
        arguments: [
            hello, .welcome(session: 1, details: [:]), .challenge(method: "x", extra: [:]),
            .authenticate(signature: "", extra: [:]), .published(request: 1, publication: 1),
            .subscribed(request: 1, subscription: 1), .unsubscribed(request: 1, revoked: nil),
            .event(subscription: 1, publication: 1, details: [:], payload: Payload()),
            .result(request: 1, details: [:], payload: Payload()), .registered(request: 1, registration: 1),
            .unregistered(request: 1, revoked: nil),
            .invocation(request: 1, registration: 1, details: [:], payload: Payload()),
            .interrupt(request: 1, options: [:]),
            .error(kind: .call, request: 1, details: [:], uri: "a", payload: Payload()),
            .error(kind: .invocation, request: 1, details: [:], uri: "a", payload: Payload()),
            .yield(request: 1, options: [:], payload: Payload()),
            .yield(request: 1, options: ["progress": 1], payload: Payload()),
            .subscribe(request: 1, options: ["match": "regex"], topic: "a"),
            .subscribe(request: 1, options: ["match": 1], topic: "a"),
            .subscribe(request: 1, options: ["get_retained": "yes"], topic: "a"),
            .publish(request: 1, options: ["acknowledge": 1], topic: "a", payload: Payload()),
            .publish(request: 1, options: ["exclude": 5], topic: "a", payload: Payload()),
            .publish(request: 1, options: ["exclude": ["x"]], topic: "a", payload: Payload()),
            .publish(request: 1, options: ["eligible_authid": [1]], topic: "a", payload: Payload()),
            .call(request: 1, options: ["timeout": -1], procedure: "a", payload: Payload()),
            .call(request: 1, options: ["timeout": "1"], procedure: "a", payload: Payload()),
            .call(request: 1, options: ["receive_progress": 0], procedure: "a", payload: Payload()),
            .register(request: 1, options: ["invoke": "all"], procedure: "a"),
            .cancel(request: 1, options: ["mode": "now"]),
        ]
    )
    func violations(message: Message) {
        var realm = TestRealm()
        let session = realm.join()
        let other = realm.join()
        realm.send(message, from: session)
        let answers = realm.take(session)
        #expect(answers.map(\.kind) == [.abort])
        #expect(answers.first?.reason == WAMPReason.protocolViolation)
        #expect(realm.closed == [session])
        #expect(realm.take(other) == [], "nobody else notices")
    }

    @Test("Unknown options are passed over")
    func unknownOptions() throws {
        var realm = TestRealm()
        let session = realm.join()
        _ = try realm.subscribe(session, "a.b", ["_future": 1, "nkey": []])
        realm.publish(session, "a.b", [1], ["x_whatever": [:], "exclude_me": false])
        #expect(realm.take(session).first?.eventArgs == [1])
    }

    @Test("Bytes that are no message end the session with a sentence")
    func codecFailure() {
        var realm = TestRealm()
        let session = realm.join()
        realm.carryOut(realm.router.violated(session, Violation("No JSON."), at: realm.now))
        #expect(
            realm.take(session) == [
                .abort(details: ["message": "No JSON."], reason: WAMPReason.protocolViolation, payload: Payload())
            ]
        )
        #expect(realm.router.violated(session, Violation("Again."), at: realm.now) == [])
    }

    /// Requests of every kind with the numbers that they are given, as a client's bytes.
    private static func requests(_ numbers: [Int64], _ serializer: Serializer) throws -> [Message] {
        let makers: [(Int64) -> Message] = [
            { .subscribe(request: $0, options: [:], topic: "a") },
            { .call(request: $0, options: [:], procedure: "a", payload: Payload()) },
            { .register(request: $0, options: [:], procedure: "b") },
            { .publish(request: $0, options: ["acknowledge": true], topic: "c", payload: Payload()) },
            { .unsubscribe(request: $0, subscription: 99) },
            { .unregister(request: $0, registration: 99) },
        ]
        return try zip(makers, numbers).map { make, number in try serializer.decode(serializer.encode(make(number))) }
    }

    private static let answers: [Message.Kind] = [.subscribed, .error, .registered, .published, .error, .error]

    @Test("Request numbers are demanded in order where that is configured", arguments: Serializer.allCases)
    func sequence(serializer: Serializer) throws {
        for wrong in 0..<6 {
            for number in [1, Int64(wrong), Int64(wrong) + 2, WAMPIdentifier.range.upperBound] {
                var numbers = Array(1...6 as ClosedRange<Int64>)
                guard number > 0, numbers[wrong] != number else { continue }
                numbers[wrong] = number
                var strict = TestRealm { $0.sequentialRequests = true }
                let session = strict.join()
                let other = strict.join()
                let requests = try Self.requests(numbers, serializer)
                for message in requests.prefix(wrong) { strict.send(message, from: session) }
                #expect(strict.take(session).map(\.kind) == Array(Self.answers.prefix(wrong)))
                strict.send(requests[wrong], from: session)
                let ends = strict.take(session)
                #expect(ends.map(\.kind) == [.abort] && ends.first?.reason == WAMPReason.protocolViolation)
                #expect(strict.closed == [session] && !strict.router.sessionIDs.contains(session))
                // Each session counts for itself.
                strict.send(.subscribe(request: 1, options: [:], topic: "a"), from: other)
                #expect(strict.take(other).map(\.kind) == [.subscribed])
            }
        }
        var strict = TestRealm { $0.sequentialRequests = true }
        let session = strict.join()
        for message in try Self.requests([1, 2, 3, 4, 5, 6], serializer) { strict.send(message, from: session) }
        #expect(strict.take(session).map(\.kind) == Self.answers)
    }

    @Test("Request numbers of any order are let in by default", arguments: Serializer.allCases)
    func anyOrder(serializer: Serializer) throws {
        var realm = TestRealm()
        let session = realm.join()
        let numbers: [Int64] = [8_123_456_789, 7, WAMPIdentifier.range.upperBound, 1, 7, 2]
        for message in try Self.requests(numbers, serializer) { realm.send(message, from: session) }
        #expect(realm.take(session).map(\.kind) == Self.answers)
    }

    @Test("A client that does not finish its HELLO is closed")
    func slowHandshake() {
        var realm = TestRealm()
        let session = realm.connect()
        realm.carryOut(realm.router.timerFired(.handshake(session), at: realm.now))
        #expect(realm.take(session).first?.reason == WAMPReason.timeout)
        let open = realm.join()
        #expect(realm.router.timerFired(.handshake(open), at: realm.now) == [])
    }

    @Test("Shutting down says GOODBYE, waits for the answer, and takes nobody new")
    func shutDown() {
        var realm = TestRealm()
        let polite = realm.join()
        let silent = realm.join()
        let halfway = realm.connect()
        realm.carryOut(realm.router.shutDown(at: realm.now))
        #expect(realm.take(polite).first?.reason == WAMPReason.shutdown)
        #expect(realm.take(halfway).map(\.kind) == [.abort])
        realm.send(.subscribe(request: 1, options: [:], topic: "a"), from: polite)
        #expect(realm.closed == [halfway])
        realm.send(.goodbye(details: [:], reason: WAMPReason.goodbyeAndOut), from: polite)
        realm.carryOut(realm.router.timerFired(.goodbye(silent), at: realm.now))
        #expect(realm.closed == [halfway, polite, silent])
        let late = realm.connect()
        realm.send(Self.hello, from: late)
        #expect(realm.take(late).first?.reason == WAMPReason.shutdown)
        #expect(realm.router.sessions.isEmpty)
    }

    @Test("Somebody who has proved itself elsewhere enters at once")
    func entered() {
        var realm = TestRealm()
        let session = realm.connect()
        realm.carryOut(realm.router.entered(session, Self.ann, at: realm.now))
        #expect(realm.take(session).map(\.kind) == [.welcome])
        #expect(realm.router.sessionIDs == [session])
    }
}
