/// Publishing and subscribing.
import Notation
import Testing

@testable import WAMP

@Suite struct BrokerTests {
    @Test("An event reaches all but its publisher, who may ask for it and for an acknowledgement")
    func basic() throws {
        var realm = TestRealm()
        let (ann, ben) = (realm.join(), realm.join("viewer", authid: "ben"))
        let subscription = try realm.subscribe(ann, "farseed.x")
        #expect(try realm.subscribe(ben, "farseed.x") == subscription)
        realm.publish(ann, "farseed.x", [1])
        #expect(realm.take(ann) == [])
        #expect(realm.take(ben).map(\.eventArgs) == [[1]])
        let request = realm.publish(ann, "farseed.x", [2], ["exclude_me": false, "acknowledge": true])
        let answers = realm.take(ann)
        #expect(answers.map(\.kind) == [.event, .published])
        guard case .event(subscription, let publication, let details, _) = answers[0] else { return }
        #expect(answers[1] == .published(request: request, publication: publication))
        #expect(details == [:])
        #expect(realm.take(ben).count == 1)
    }

    @Test("Subscribing twice gives the same number and each event once")
    func twice() throws {
        var realm = TestRealm()
        let ann = realm.join()
        let first = try realm.subscribe(ann, "a")
        #expect(try realm.subscribe(ann, "a") == first)
        realm.publish(ann, "a", [], ["exclude_me": false])
        #expect(realm.take(ann).count == 1)
        realm.send(.unsubscribe(request: 9, subscription: first), from: ann)
        realm.send(.unsubscribe(request: 10, subscription: first), from: ann)
        let answers = realm.take(ann)
        #expect(answers.first == .unsubscribed(request: 9, revoked: nil))
        #expect(answers.last?.reason == WAMPReason.noSuchSubscription)
        realm.publish(ann, "a", [], ["exclude_me": false])
        #expect(realm.take(ann) == [])
    }

    @Test("Patterns deliver each subscription's event with its topic")
    func patterns() throws {
        var realm = TestRealm()
        let ann = realm.join()
        let exact = try realm.subscribe(ann, "com.a.b")
        let prefix = try realm.subscribe(ann, "com.a", ["match": "prefix"])
        let wildcard = try realm.subscribe(ann, "com..b", ["match": "wildcard"])
        #expect(Set([exact, prefix, wildcard]).count == 3)
        realm.publish(ann, "com.a.b", [], ["exclude_me": false])
        let events = realm.take(ann)
        #expect(events.count == 3)
        var publications: Set<Int64> = []
        for event in events {
            guard case .event(let subscription, let publication, let details, _) = event else { continue }
            publications.insert(publication)
            #expect(details["topic"] == (subscription == exact ? nil : "com.a.b"))
        }
        #expect(publications.count == 1)
        realm.publish(ann, "com.ax", [], ["exclude_me": false])
        #expect(realm.take(ann).count == 1)
    }

    @Test(
        "Lists choose who gets an event",
        arguments: [
            ("exclude", "session", ["b", "c"]), ("eligible", "session", ["a"]), ("exclude_authid", "name", ["b", "c"]),
            ("eligible_authid", "name", ["a"]), ("exclude_authrole", "role", ["c"]),
            ("eligible_authrole", "role", ["a", "b"]),
        ]
    )
    func lists(option: String, kind: String, expected: [String]) throws {
        var realm = TestRealm()
        let publisher = realm.join()
        let sessions = [
            "a": realm.join(authid: "a"), "b": realm.join(authid: "b"), "c": realm.join("viewer", authid: "c"),
        ]
        for session in sessions.values { _ = try realm.subscribe(session, "farseed.x") }
        let named: Value = kind == "session" ? .int(sessions["a"]!.value) : kind == "name" ? "a" : "owner"
        realm.publish(publisher, "farseed.x", [], [option: [named]])
        #expect(sessions.filter { !realm.take($0.value).isEmpty }.keys.sorted() == expected)
        realm.publish(publisher, "farseed.x", [], [option: []])
        let all = sessions.filter { !realm.take($0.value).isEmpty }.count
        #expect(all == (option.hasPrefix("eligible") ? 0 : 3), "an empty list is a list")
    }

    @Test("A publisher may be disclosed, unless the router forbids it")
    func disclosure() throws {
        var realm = TestRealm()
        let (ann, ben) = (realm.join(), realm.join(authid: "ben"))
        let subscription = try realm.subscribe(ben, "a")
        realm.publish(ann, "a", [], ["disclose_me": true])
        guard case .event(subscription, _, let details, _) = try #require(realm.take(ben).first) else { return }
        #expect(details == ["publisher": .int(ann.value), "publisher_authid": "ann", "publisher_authrole": "owner"])
        var shy = TestRealm { $0.allowsDisclosure = false }
        let cat = shy.join()
        shy.publish(cat, "a", [], ["disclose_me": true, "acknowledge": true])
        #expect(shy.take(cat).first?.reason == WAMPReason.discloseDisallowed)
    }

    @Test("What is not allowed is refused; an unacknowledged PUBLISH in silence")
    func refused() {
        var realm = TestRealm()
        let viewer = realm.join("viewer")
        let attempts: [(Message, String?)] = [
            (.subscribe(request: 1, options: [:], topic: "other"), WAMPReason.notAuthorized),
            (.subscribe(request: 2, options: ["match": "prefix"], topic: "far"), WAMPReason.notAuthorized),
            (.subscribe(request: 3, options: ["match": "wildcard"], topic: ".vps.torrents"), WAMPReason.notAuthorized),
            (.subscribe(request: 4, options: [:], topic: "far seed"), WAMPReason.invalidURI),
            (.subscribe(request: 5, options: [:], topic: "farseed..x"), WAMPReason.invalidURI),
            (.publish(request: 6, options: [:], topic: "farseed.x", payload: Payload()), nil),
            (.publish(request: 7, options: [:], topic: "not valid", payload: Payload()), nil),
            (
                .publish(request: 8, options: ["acknowledge": true], topic: "farseed.x", payload: Payload()),
                WAMPReason.notAuthorized
            ),
            (
                .publish(request: 9, options: ["acknowledge": true], topic: "farseed.", payload: Payload()),
                WAMPReason.invalidURI
            ),
            (.register(request: 10, options: [:], procedure: "farseed.x"), WAMPReason.notAuthorized),
            (.call(request: 11, options: [:], procedure: "farseed.x", payload: Payload()), WAMPReason.notAuthorized),
            (
                .call(request: 12, options: [:], procedure: "wamp.session.kill_all", payload: Payload()),
                WAMPReason.notAuthorized
            ),
            (.unregister(request: 13, registration: 1), WAMPReason.noSuchRegistration),
        ]
        for (message, reason) in attempts {
            realm.send(message, from: viewer)
            #expect(realm.take(viewer).map(\.reason) == (reason.map { [$0] } ?? []), "\(message)")
        }
        let owner = realm.join()
        realm.publish(owner, "wamp.session.on_join", [], ["acknowledge": true])
        #expect(realm.take(owner).first?.reason == WAMPReason.invalidURI)
    }

    @Test("The newest retained event comes to who asks and may have it")
    func retained() throws {
        var realm = TestRealm()
        let (ann, ben, vic) = (realm.join(), realm.join(authid: "ben"), realm.join("viewer", authid: "vic"))
        realm.publish(ann, "farseed.x", [1], ["retain": true])
        realm.publish(ann, "farseed.x", [2])
        realm.publish(ann, "farseed.x", [3], ["retain": true, "eligible_authrole": ["owner"]])
        let subscription = try realm.subscribe(ben, "farseed.x", ["get_retained": true])
        guard case .event(subscription, _, let details, let payload) = try #require(realm.take(ben).first) else {
            return
        }
        #expect(details == ["retained": true])
        #expect(payload.args == [3])
        _ = try realm.subscribe(vic, "farseed.x", ["get_retained": true])
        #expect(realm.take(vic).map(\.eventArgs) == [[1]])
        _ = try realm.subscribe(ann, "farseed.x", ["get_retained": true])
        #expect(realm.take(ann) == [], "a publisher is excluded from its own events")
        _ = try realm.subscribe(vic, "farseed.", ["get_retained": true, "match": "prefix"])
        guard case .event(_, _, let told, _) = try #require(realm.take(vic).first) else { return }
        #expect(told == ["retained": true, "topic": "farseed.x"])
        _ = try realm.subscribe(ben, "farseed.x")
        #expect(realm.take(ben) == [])
    }

    @Test("Retained events are bounded")
    func retainedBound() throws {
        var realm = TestRealm { $0.mostRetainedTopics = 2 }
        let ann = realm.join()
        for topic in ["a", "b", "c"] { realm.publish(ann, topic, [1], ["retain": true, "exclude_me": false]) }
        for _ in 0..<100 { realm.publish(ann, "a", [2], ["retain": true, "exclude_me": false, "eligible": [5]]) }
        _ = try realm.subscribe(ann, "", ["match": "prefix", "get_retained": true])
        let events = realm.take(ann).filter {
            if case .event(_, _, let details, _) = $0 { details["retained"] == true } else { false }
        }
        #expect(events.map(\.eventArgs) == [[1], [1]])
    }

    @Test("A topic whose state the shell makes is watched, made and conflated")
    func provided() throws {
        var realm = TestRealm()
        let policy = TopicPolicy(URIPattern("farseed.vps.torrents"), isProvided: true, isConflatable: true)
        realm.carryOut(realm.router.declare(policy, at: realm.now))
        #expect(realm.takeOthers() == [])
        let (ann, ben) = (realm.join(), realm.join())
        _ = realm.takeOthers()
        let exact = try realm.subscribe(ann, "farseed.vps.torrents", ["get_retained": true])
        var actions = realm.takeOthers()
        #expect(actions.first == .watched(topic: "farseed.vps.torrents"))
        guard case .sendRetained(ann, "farseed.vps.torrents", exact, let first, let details) = actions[1] else {
            Issue.record("no retained event is asked for")
            return
        }
        #expect(details == ["retained": true])
        let prefix = try realm.subscribe(ben, "farseed.", ["get_retained": true, "match": "prefix"])
        actions = realm.takeOthers()
        guard
            case .sendRetained(ben, "farseed.vps.torrents", prefix, let second, let told) = try #require(actions.first)
        else { return }
        #expect(told == ["retained": true, "topic": "farseed.vps.torrents"])
        #expect(first != second)
        realm.carryOut(realm.router.publish("farseed.vps.torrents", Payload(kwargs: ["seq": 1]), at: realm.now))
        for case .deliver(let delivery) in realm.others { #expect(delivery.isConflatable) }
        #expect(realm.take(ann).count == 1 && realm.take(ben).count == 1)
        realm.leave(ann)
        #expect(realm.takeOthers() == [])
        #expect(realm.router.isWatched("farseed.vps.torrents"))
        realm.leave(ben)
        #expect(realm.takeOthers() == [.unwatched(topic: "farseed.vps.torrents")])
        #expect(!realm.router.isWatched("farseed.vps.torrents"))
    }

    @Test("A family of topics is watched one by one, also when declared late")
    func families() throws {
        var realm = TestRealm()
        let ann = realm.join()
        _ = try realm.subscribe(ann, "farseed.vps.torrent.a")
        _ = realm.takeOthers()
        let family = URIPattern("farseed.vps.torrent.", .prefix)
        realm.carryOut(realm.router.declare(TopicPolicy(family, isProvided: true), at: realm.now))
        #expect(realm.takeOthers() == [.watched(topic: "farseed.vps.torrent.a")])
        let other = try realm.subscribe(ann, "farseed.vps.torrent.b", ["get_retained": true])
        #expect(realm.takeOthers().count == 2)
        realm.send(.unsubscribe(request: 9, subscription: other), from: ann)
        #expect(realm.takeOthers() == [.unwatched(topic: "farseed.vps.torrent.b")])
        // A wildcard that leaves nothing open below the family names its topic.
        let wildcard = try realm.subscribe(ann, "farseed..torrent.c", ["match": "wildcard", "get_retained": true])
        let others = realm.takeOthers()
        #expect(others.contains(.watched(topic: "farseed.vps.torrent.c")))
        let states = others.compactMap { action -> [String: Value]? in
            guard case .sendRetained(ann, "farseed.vps.torrent.c", wildcard, _, let details) = action else {
                return nil
            }
            return details
        }
        #expect(states == [["retained": true, "topic": "farseed.vps.torrent.c"]])
        realm.send(.unsubscribe(request: 10, subscription: wildcard), from: ann)
        #expect(realm.takeOthers() == [.unwatched(topic: "farseed.vps.torrent.c")])
        for open in ["farseed.vps.torrent.", "farseed..torrent", "farseed...c.", "far..torrent.c", "...", ""] {
            let id = try realm.subscribe(ann, open, ["match": "wildcard", "get_retained": true])
            #expect(realm.takeOthers().filter { if case .sendRetained = $0 { true } else { false } }.isEmpty, "\(open)")
            realm.send(.unsubscribe(request: 11, subscription: id), from: ann)
            _ = realm.takeOthers()
        }
        realm.carryOut(realm.router.withdraw(family, at: realm.now))
        #expect(realm.takeOthers() == [.unwatched(topic: "farseed.vps.torrent.a")])
    }

    @Test("A session holds no more subscriptions than it may")
    func limit() throws {
        var realm = TestRealm { $0.mostSubscriptions = 2 }
        let ann = realm.join()
        for topic in ["a", "b"] { _ = try realm.subscribe(ann, topic) }
        realm.send(.subscribe(request: 9, options: [:], topic: "c"), from: ann)
        #expect(realm.take(ann).first?.reason == WAMPReason.overLimit)
        _ = try realm.subscribe(ann, "b")
    }

    @Test("New permissions take subscriptions and registrations away")
    func revoked() throws {
        var realm = TestRealm()
        let told = realm.join("worker")
        let untold = realm.join("worker", roles: ["subscriber": [:]])
        let topic = try realm.subscribe(told, "farseed.vps.torrents")
        _ = try realm.subscribe(untold, "farseed.vps.torrents")
        let procedure = try realm.register(told, "farseed.custom.x")
        realm.carryOut(realm.router.setPermissions(PermissionTable(), at: realm.now))
        #expect(
            realm.take(told) == [
                .unsubscribed(
                    request: 0,
                    revoked: ["subscription": .int(topic), "reason": .string(WAMPReason.notAuthorized)]
                ),
                .unregistered(
                    request: 0,
                    revoked: ["registration": .int(procedure), "reason": .string(WAMPReason.notAuthorized)]
                ),
            ]
        )
        #expect(realm.take(untold) == [])
        #expect(realm.members.isEmpty && realm.router.dealer.registrations.isEmpty)
    }
}
