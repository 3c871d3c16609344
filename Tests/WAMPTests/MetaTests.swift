/// The router's own procedures and events.
import Notation
import Testing

@testable import WAMP

@Suite struct MetaTests {
    @Test("Sessions are counted, listed and told")
    func sessions() {
        var realm = TestRealm()
        let (ann, vic) = (realm.join(), realm.join("viewer", authid: "vic"))
        #expect(realm.ask(ann, "wamp.session.count") == [2])
        #expect(realm.ask(ann, "wamp.session.count", [["viewer"]]) == [1])
        #expect(realm.ask(ann, "wamp.session.list", [["viewer"]]) == [[.int(vic.value)]])
        #expect(
            realm.ask(ann, "wamp.session.get", [.int(vic.value)]) == [
                [
                    "session": .int(vic.value), "authid": "vic", "authrole": "viewer", "authmethod": "anonymous",
                    "authprovider": "test", "transport": ["type": "test"],
                ]
            ]
        )
        #expect(realm.ask(ann, "wamp.session.get", [5]) == [.string(WAMPReason.noSuchSession)])
        #expect(realm.ask(ann, "wamp.session.get", ["x"]) == [.string(WAMPReason.invalidArgument)])
        #expect(realm.ask(ann, "wamp.session.count", [[5]]) == [.string(WAMPReason.invalidArgument)])
    }

    @Test("Coming and going is told to who subscribes")
    func events() throws {
        var realm = TestRealm()
        let ann = realm.join()
        _ = try realm.subscribe(ann, "wamp.session.on_join")
        _ = try realm.subscribe(ann, "wamp.session.on_leave")
        let vic = realm.join("viewer", authid: "vic")
        #expect(realm.take(ann).first?.eventArgs?.first?["authid"] == "vic")
        realm.leave(vic)
        #expect(realm.take(ann).map(\.eventArgs) == [[.int(vic.value), "vic", "viewer"]])
    }

    @Test("Sessions are killed, but never one's own")
    func kill() {
        var realm = TestRealm()
        let ann = realm.join()
        let others = (0..<4).map { realm.join($0 < 2 ? "viewer" : "owner", authid: $0 % 2 == 0 ? "ann" : "ben") }
        #expect(realm.ask(ann, "wamp.session.kill", [.int(ann.value)]) == [.string(WAMPReason.noSuchSession)])
        #expect(
            realm.ask(ann, "wamp.session.kill", [.int(others[0].value)], kwargs: ["reason": "not a uri"]) == [
                .string(WAMPReason.invalidURI)
            ]
        )
        let kwargs: [String: Value] = ["reason": "com.why", "message": "Because."]
        #expect(realm.ask(ann, "wamp.session.kill", [.int(others[0].value)], kwargs: kwargs) == [])
        #expect(realm.take(others[0]) == [.goodbye(details: ["message": "Because."], reason: "com.why")])
        #expect(realm.ask(ann, "wamp.session.kill_by_authid", ["ann"]) == [[.int(others[2].value)]])
        #expect(realm.take(others[2]) == [.goodbye(details: [:], reason: WAMPReason.killed)])
        #expect(realm.ask(ann, "wamp.session.kill_by_authrole", ["viewer"]) == [1])
        #expect(realm.ask(ann, "wamp.session.kill_all") == [1])
        #expect(realm.router.sessionIDs == [ann])
        #expect(realm.timers.count == 4)
    }

    @Test("Testaments are published when a session ends, the detached ones first")
    func testaments() throws {
        var realm = TestRealm()
        let (ann, ben) = (realm.join(), realm.join(authid: "ben"))
        _ = try realm.subscribe(ben, "a", ["match": "prefix"])
        #expect(realm.ask(ann, "wamp.session.add_testament", ["a.last", [1], ["k": 2]]) == [])
        #expect(
            realm.ask(
                ann,
                "wamp.session.add_testament",
                ["a.first", [], [:]],
                kwargs: ["scope": "detached", "publish_options": ["disclose_me": true]]
            ) == []
        )
        #expect(realm.ask(ann, "wamp.session.add_testament", ["a.gone", [3], [:]]) == [])
        for (args, kwargs) in [
            ([5], [:]), (["a", 5], [:]), (["a", [], 5], [:]), (["a"], ["scope": "x"]),
            (["a"], ["publish_options": ["retain": 1]]),
        ] as [([Value], [String: Value])] {
            #expect(
                realm.ask(ann, "wamp.session.add_testament", args, kwargs: kwargs) == [
                    .string(WAMPReason.invalidArgument)
                ]
            )
        }
        #expect(realm.ask(ann, "wamp.session.add_testament", ["wamp.x", [], [:]]) == [.string(WAMPReason.invalidURI)])
        #expect(realm.take(ben) == [])
        realm.leave(ann)
        let events = realm.take(ben)
        #expect(events.map(\.eventArgs) == [[], [1], [3]])
        guard case .event(_, _, let details, _) = events[0] else { return }
        #expect(details["publisher"] == .int(ann.value))
    }

    @Test("Testaments are flushed by scope, and bounded")
    func flushed() throws {
        var realm = TestRealm { $0.mostTestaments = 2 }
        let (ann, ben) = (realm.join(), realm.join())
        _ = try realm.subscribe(ben, "a")
        _ = realm.ask(ann, "wamp.session.add_testament", ["a", [1], [:]])
        _ = realm.ask(ann, "wamp.session.add_testament", ["a", [2], [:]], kwargs: ["scope": "detached"])
        #expect(realm.ask(ann, "wamp.session.add_testament", ["a", [3], [:]]) == [.string(WAMPReason.overLimit)])
        #expect(realm.ask(ann, "wamp.session.flush_testaments") == [])
        realm.send(.goodbye(details: [:], reason: "a.b"), from: ann)
        #expect(realm.take(ben).map(\.eventArgs) == [[2]])
    }

    @Test("Subscriptions are told when they come and go")
    func subscriptionEvents() throws {
        var realm = TestRealm()
        let (ann, ben) = (realm.join(), realm.join(authid: "ben"))
        for name in ["on_create", "on_subscribe", "on_unsubscribe", "on_delete"] {
            _ = try realm.subscribe(ann, "wamp.subscription.\(name)")
        }
        _ = realm.take(ann)
        let id = try realm.subscribe(ben, "a.", ["match": "prefix"])
        let created: Value = ["id": .int(id), "created": .string(realm.now.text), "uri": "a.", "match": "prefix"]
        #expect(realm.take(ann).map(\.eventArgs) == [[.int(ben.value), created], [.int(ben.value), .int(id)]])
        #expect(realm.ask(ann, "wamp.subscription.get", [.int(id)]) == [created])
        realm.leave(ben)
        #expect(realm.take(ann).map(\.eventArgs) == [[.int(ben.value), .int(id)], [.int(ben.value), .int(id)]])
    }

    @Test("Subscriptions are found")
    func subscriptions() throws {
        var realm = TestRealm()
        let (ann, ben) = (realm.join(), realm.join())
        let exact = try realm.subscribe(ann, "a.b")
        let prefix = try realm.subscribe(ben, "a", ["match": "prefix"])
        _ = try realm.subscribe(ben, "a.b")
        #expect(
            realm.ask(ann, "wamp.subscription.list") == [
                ["exact": [.int(exact)], "prefix": [.int(prefix)], "wildcard": []]
            ]
        )
        #expect(realm.ask(ann, "wamp.subscription.lookup", ["a.b"]) == [.int(exact)])
        #expect(realm.ask(ann, "wamp.subscription.lookup", ["a", ["match": "prefix"]]) == [.int(prefix)])
        #expect(realm.ask(ann, "wamp.subscription.lookup", ["a"]) == [nil])
        #expect(
            realm.ask(ann, "wamp.subscription.lookup", ["a", ["match": "x"]]) == [.string(WAMPReason.invalidArgument)]
        )
        #expect(realm.ask(ann, "wamp.subscription.match", ["a.b"]) == [[.int(exact), .int(prefix)]])
        #expect(realm.ask(ann, "wamp.subscription.match", ["b"]) == [nil])
        #expect(realm.ask(ann, "wamp.subscription.count_subscribers", [.int(exact)]) == [2])
        #expect(realm.ask(ann, "wamp.subscription.list_subscribers", [.int(prefix)]) == [[.int(ben.value)]])
        #expect(realm.ask(ann, "wamp.subscription.get", [99]) == [.string(WAMPReason.noSuchSubscription)])
        let removal = [Value.int(exact), .int(ben.value)]
        #expect(
            realm.ask(ann, "wamp.subscription.remove_subscriber", removal, kwargs: ["reason": "Enough of it."]) == [
                .string(WAMPReason.invalidURI)
            ]
        )
        #expect(realm.take(ben) == [])
        #expect(
            realm.ask(
                ann,
                "wamp.subscription.remove_subscriber",
                removal,
                kwargs: ["reason": "x"]
            ) == []
        )
        #expect(realm.take(ben) == [.unsubscribed(request: 0, revoked: ["subscription": .int(exact), "reason": "x"])])
        #expect(
            realm.ask(ann, "wamp.subscription.remove_subscriber", [.int(exact), .int(ben.value)]) == [
                .string(WAMPReason.noSuchSubscription)
            ]
        )
    }

    @Test("Registrations are found and told")
    func registrations() throws {
        var realm = TestRealm()
        let (ann, ben) = (realm.join(), realm.join())
        for name in ["on_create", "on_register", "on_unregister", "on_delete"] {
            _ = try realm.subscribe(ann, "wamp.registration.\(name)")
        }
        let id = try realm.register(ben, "com.p", ["invoke": "last"])
        let details: Value = [
            "id": .int(id), "created": .string(realm.now.text), "uri": "com.p", "match": "exact", "invoke": "last",
        ]
        #expect(realm.take(ann).map(\.eventArgs) == [[.int(ben.value), details], [.int(ben.value), .int(id)]])
        #expect(realm.ask(ann, "wamp.registration.list") == [["exact": [.int(id)], "prefix": [], "wildcard": []]])
        #expect(realm.ask(ann, "wamp.registration.lookup", ["com.p"]) == [.int(id)])
        #expect(realm.ask(ann, "wamp.registration.match", ["com.p"]) == [.int(id)])
        #expect(realm.ask(ann, "wamp.registration.match", ["com.q"]) == [nil])
        #expect(realm.ask(ann, "wamp.registration.get", [.int(id)]) == [details])
        #expect(realm.ask(ann, "wamp.registration.list_callees", [.int(id)]) == [[.int(ben.value)]])
        #expect(realm.ask(ann, "wamp.registration.count_callees", [.int(id)]) == [1])
        let removal = [Value.int(id), .int(ben.value)]
        #expect(
            realm.ask(ann, "wamp.registration.remove_callee", removal, kwargs: ["reason": "not a URI"]) == [
                .string(WAMPReason.invalidURI)
            ]
        )
        #expect(realm.ask(ann, "wamp.registration.remove_callee", removal) == [])
        #expect(realm.take(ben) == [.unregistered(request: 0, revoked: ["registration": .int(id)])])
        #expect(realm.take(ann).map(\.eventArgs) == [[.int(ben.value), .int(id)], [.int(ben.value), .int(id)]])
        #expect(realm.ask(ann, "wamp.registration.get", [.int(id)]) == [.string(WAMPReason.noSuchRegistration)])
    }

    @Test("History keeps the last events of a declared topic and filters them")
    func history() throws {
        var realm = TestRealm()
        let ann = realm.join()
        realm.carryOut(realm.router.declare(TopicPolicy(URIPattern("farseed.", .prefix), history: 5), at: realm.now))
        guard case .int(let id) = realm.ask(ann, "wamp.subscription.lookup", ["farseed.", ["match": "prefix"]]).first
        else {
            Issue.record("the history has no subscription")
            return
        }
        var publications: [Int64] = []
        let start = realm.now.milliseconds
        for number in 0..<12 {
            realm.now.milliseconds = start + Int64(number) * 1_000
            realm.publish(
                ann,
                number % 2 == 0 ? "farseed.even" : "farseed.odd",
                [.int(Int64(number))],
                ["acknowledge": true]
            )
            if case .published(_, let publication) = realm.take(ann).first { publications.append(publication) }
        }
        realm.publish(ann, "farseed.even", [99], ["eligible": [.int(ann.value)]])
        func numbers(_ kwargs: [String: Value]) -> [Int64] {
            realm.ask(ann, "wamp.subscription.get_events", [.int(id)], kwargs: kwargs).first?.array?
                .compactMap { $0["args"]?.array?.first?.int } ?? [-1]
        }
        func time(_ number: Int) -> Value { .string(Moment(milliseconds: start + Int64(number) * 1_000).text) }
        #expect(numbers([:]) == [7, 8, 9, 10, 11])
        #expect(numbers(["reverse": true, "limit": 2]) == [11, 10])
        #expect(numbers(["topic": "farseed.even"]) == [8, 10])
        #expect(numbers(["from_time": time(9)]) == [9, 10, 11])
        #expect(numbers(["after_time": time(9), "until_time": time(10)]) == [10])
        #expect(numbers(["before_time": time(8)]) == [7])
        #expect(numbers(["from_publication": .int(publications[10])]) == [10, 11])
        #expect(numbers(["after_publication": .int(publications[10])]) == [11])
        #expect(numbers(["before_publication": .int(publications[8])]) == [7])
        #expect(numbers(["until_publication": .int(publications[8])]) == [7, 8])
        #expect(
            numbers(["after_publication": .int(publications[10]), "before_publication": .int(publications[8])]) == []
        )
        #expect(numbers(["after_publication": .int(publications[0])]) == [7, 8, 9, 10, 11])
        #expect(
            realm.ask(ann, "wamp.subscription.get_events", [.int(id)], kwargs: ["limit": -1]) == [
                .string(WAMPReason.invalidArgument)
            ]
        )
        #expect(
            realm.ask(ann, "wamp.subscription.get_events", [.int(id)], kwargs: ["from_time": "x"]) == [
                .string(WAMPReason.invalidArgument)
            ]
        )
        let entry = realm.ask(ann, "wamp.subscription.get_events", [.int(id)], kwargs: ["limit": 1]).first?.array?.first
        #expect(
            entry == [
                "timestamp": time(7), "subscription": .int(id), "publication": .int(publications[7]),
                "details": ["topic": "farseed.odd"], "args": [7], "kwargs": [:],
            ]
        )
        #expect(realm.ask(ann, "wamp.subscription.get_events", [99]) == [.string(WAMPReason.noSuchSubscription)])
    }

    @Test("History hides what was not for the one who asks")
    func hiddenHistory() {
        var realm = TestRealm()
        realm.carryOut(realm.router.declare(TopicPolicy(URIPattern("a"), history: 5), at: realm.now))
        let ann = realm.join()
        realm.publish(ann, "a", [1], ["exclude_authid": ["ann"]])
        realm.publish(ann, "a", [2])
        #expect(realm.ask(ann, "wamp.subscription.get_events", [1]).first?.array?.count == 1)
    }
}
