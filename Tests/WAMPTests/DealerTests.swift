/// Registering and calling.
import Notation
import Testing

@testable import WAMP

@Suite struct DealerTests {
    /// A realm with a caller, a callee and a procedure.
    struct Scene {
        var realm: TestRealm
        let caller: SessionID
        let callee: SessionID
        let registration: Int64

        init(
            _ options: [String: Value] = [:],
            procedure: String = "com.p",
            roles: Value = TestRealm.features
        ) throws {
            realm = TestRealm()
            caller = realm.join()
            callee = realm.join(authid: "ben", roles: roles)
            registration = try realm.register(callee, procedure, options)
        }

        /// Calls and gives the INVOCATION's number and details.
        mutating func call(
            _ options: [String: Value] = [:],
            procedure: String = "com.p"
        ) throws -> (request: Int64, invocation: Int64, details: [String: Value]) {
            let request = realm.call(caller, procedure, [1], kwargs: ["k": 2], options)
            guard
                case .invocation(let invocation, registration, let details, let payload) = try #require(
                    realm.take(callee).last
                )
            else { throw Violation("no INVOCATION") }
            #expect(payload == Payload(args: [1], kwargs: ["k": 2]))
            return (request, invocation, details)
        }

        mutating func yield(_ invocation: Int64, _ args: [Value], progress: Bool? = nil) {
            let options: [String: Value] = progress.map { ["progress": .bool($0)] } ?? [:]
            realm.send(.yield(request: invocation, options: options, payload: Payload(args: args)), from: callee)
        }
    }

    @Test("A call goes to its callee and its result back")
    func basic() throws {
        var scene = try Scene()
        let (request, invocation, details) = try scene.call()
        #expect(invocation == 1)
        #expect(details == [:])
        scene.yield(invocation, [3])
        #expect(
            scene.realm.take(scene.caller) == [.result(request: request, details: [:], payload: Payload(args: [3]))]
        )
        #expect(try scene.call().invocation == 2)
    }

    @Test("An error goes back with its payload")
    func failure() throws {
        var scene = try Scene()
        let (request, invocation, _) = try scene.call()
        let payload = Payload(args: ["x"], kwargs: ["y": 1])
        scene.realm.send(
            .error(kind: .invocation, request: invocation, details: ["d": 1], uri: "com.e", payload: payload),
            from: scene.callee
        )
        #expect(
            scene.realm.take(scene.caller) == [
                .error(kind: .call, request: request, details: ["d": 1], uri: "com.e", payload: payload)
            ]
        )
    }

    @Test("Nobody is called where nobody has registered")
    func unknown() {
        var realm = TestRealm()
        let ann = realm.join()
        realm.call(ann, "com.none")
        realm.call(ann, "wamp.none.such")
        realm.call(ann, "wamp")
        #expect(realm.take(ann).map(\.reason) == Array(repeating: WAMPReason.noSuchProcedure, count: 3))
    }

    @Test("A request number that is under way is a violation")
    func duplicateCall() throws {
        var scene = try Scene()
        let request = try scene.call().request
        scene.realm.send(
            .call(request: request, options: [:], procedure: "com.p", payload: Payload()),
            from: scene.caller
        )
        #expect(scene.realm.take(scene.caller).first?.reason == WAMPReason.protocolViolation)
        #expect(scene.realm.take(scene.callee) == [.interrupt(request: 1, options: ["mode": "killnowait"])])
    }

    @Test(
        "A procedure is registered once; shared ones by several of one mind",
        arguments: [
            (nil, nil, false), ("single", "single", false), ("roundrobin", "roundrobin", true),
            ("roundrobin", "random", false),
            (nil, "first", false), ("last", "last", true),
        ] as [(String?, String?, Bool)]
    )
    func registerTwice(first: String?, second: String?, allowed: Bool) throws {
        func options(_ policy: String?) -> [String: Value] { policy.map { ["invoke": .string($0)] } ?? [:] }
        var scene = try Scene(options(first))
        scene.realm.send(.register(request: 5, options: options(second), procedure: "com.p"), from: scene.caller)
        let answer = scene.realm.take(scene.caller).first
        #expect(answer == (allowed ? .registered(request: 5, registration: scene.registration) : answer))
        #expect(answer?.reason == (allowed ? nil : WAMPReason.procedureExists))
        scene.realm.send(.register(request: 6, options: options(first), procedure: "com.p"), from: scene.callee)
        #expect(scene.realm.take(scene.callee).first?.reason == WAMPReason.procedureExists, "not twice by one session")
    }

    @Test(
        "Shared registrations choose their callee",
        arguments: [
            ("roundrobin", [0, 1, 2, 0, 1, 2]), ("first", [0, 0, 0]), ("last", [2, 2, 2]),
        ]
    )
    func shared(policy: String, order: [Int]) throws {
        var realm = TestRealm()
        let caller = realm.join()
        let callees = [realm.join(), realm.join(), realm.join()]
        for callee in callees { _ = try realm.register(callee, "com.p", ["invoke": .string(policy)]) }
        for expected in order {
            realm.call(caller, "com.p")
            #expect(callees.indices.filter { !realm.take(callees[$0]).isEmpty } == [expected])
        }
        realm.leave(callees[0])
        realm.call(caller, "com.p")
        #expect(callees.indices.filter { !realm.take(callees[$0]).isEmpty } == [policy == "last" ? 2 : 1])
    }

    @Test("A random choice reaches everybody")
    func random() throws {
        var realm = TestRealm()
        let caller = realm.join()
        let callees = [realm.join(), realm.join(), realm.join()]
        for callee in callees { _ = try realm.register(callee, "com.p", ["invoke": "random"]) }
        for _ in 0..<60 { realm.call(caller, "com.p") }
        for callee in callees { #expect(realm.take(callee).count > 5) }
    }

    @Test("A pattern's callee is told the procedure, and the best pattern is called")
    func patterns() throws {
        var scene = try Scene(["match": "prefix"], procedure: "com.")
        #expect(try scene.call(procedure: "com.any.thing").details == ["procedure": "com.any.thing"])
        let exact = try scene.realm.register(scene.caller, "com.any.thing")
        scene.realm.call(scene.callee, "com.any.thing")
        guard case .invocation(_, exact, let details, _) = try #require(scene.realm.take(scene.caller).last) else {
            return
        }
        #expect(details == [:])
    }

    @Test("A caller is disclosed when it or the callee wants that")
    func disclosure() throws {
        let identity: (SessionID) -> [String: Value] = {
            ["caller": .int($0.value), "caller_authid": "ann", "caller_authrole": "owner"]
        }
        var asked = try Scene()
        #expect(try asked.call(["disclose_me": true]).details == identity(asked.caller))
        var demanded = try Scene(["disclose_caller": true])
        #expect(try demanded.call().details == identity(demanded.caller))
    }

    @Test("Progressive results arrive one by one, to who wants them")
    func progress() throws {
        var scene = try Scene()
        let (request, invocation, details) = try scene.call(["receive_progress": true])
        #expect(details == ["receive_progress": true])
        scene.yield(invocation, [1], progress: true)
        scene.yield(invocation, [2], progress: true)
        scene.yield(invocation, [3], progress: false)
        scene.yield(invocation, [4], progress: true)
        #expect(
            scene.realm.take(scene.caller) == [
                .result(request: request, details: ["progress": true], payload: Payload(args: [1])),
                .result(request: request, details: ["progress": true], payload: Payload(args: [2])),
                .result(request: request, details: [:], payload: Payload(args: [3])),
            ]
        )
        let plain = try scene.call()
        scene.yield(plain.invocation, [1], progress: true)
        #expect(scene.realm.take(scene.caller) == [])
        var simple = try Scene(roles: ["callee": [:]])
        #expect(try simple.call(["receive_progress": true]).details == [:], "no progress was announced")
    }

    @Test("A callee may send progress that cannot be interrupted, and nobody gets it once its caller has left")
    func progressWithoutCancelling() throws {
        var scene = try Scene(roles: ["callee": ["features": ["progressive_call_results": true]]])
        let (request, invocation, details) = try scene.call(["receive_progress": true])
        #expect(details == ["receive_progress": true])
        scene.yield(invocation, [1], progress: true)
        #expect(
            scene.realm.take(scene.caller) == [
                .result(request: request, details: ["progress": true], payload: Payload(args: [1]))
            ]
        )
        scene.realm.leave(scene.caller)
        for progress in [true, true, false] { scene.yield(invocation, [2], progress: progress) }
        #expect(scene.realm.take(scene.callee) == [] && scene.realm.take(scene.caller) == [])
    }

    @Test("Cancelling with kill waits for the callee", arguments: [true, false])
    func kill(answersWithError: Bool) throws {
        var scene = try Scene()
        let (request, invocation, _) = try scene.call(["receive_progress": true])
        for _ in 0..<2 { scene.realm.send(.cancel(request: request, options: ["mode": "kill"]), from: scene.caller) }
        #expect(scene.realm.take(scene.callee) == [.interrupt(request: invocation, options: ["mode": "kill"])])
        scene.yield(invocation, [0], progress: true)
        #expect(scene.realm.take(scene.caller) == [])
        if answersWithError {
            scene.realm.send(
                .error(
                    kind: .invocation,
                    request: invocation,
                    details: [:],
                    uri: WAMPReason.canceled,
                    payload: Payload()
                ),
                from: scene.callee
            )
            #expect(scene.realm.take(scene.caller).map(\.reason) == [WAMPReason.canceled])
        } else {
            scene.yield(invocation, [9])
            #expect(scene.realm.take(scene.caller).map(\.kind) == [.result])
        }
    }

    @Test(
        "Other ways of cancelling answer at once, and late results are discarded",
        arguments: [
            (["mode": "skip"], true, false), (["mode": "killnowait"], true, true), ([:], true, true),
            (["mode": "kill"], false, false), (["mode": "killnowait"], false, false),
        ] as [([String: Value], Bool, Bool)]
    )
    func cancelAtOnce(options: [String: Value], canInterrupt: Bool, interrupts: Bool) throws {
        var scene = try Scene(roles: canInterrupt ? TestRealm.features : ["callee": [:]])
        let (request, invocation, _) = try scene.call()
        scene.realm.send(.cancel(request: request, options: options), from: scene.caller)
        #expect(scene.realm.take(scene.caller).map(\.reason) == [WAMPReason.canceled])
        #expect(scene.realm.take(scene.callee).map(\.kind) == (interrupts ? [.interrupt] : []))
        scene.yield(invocation, [1])
        scene.realm.send(.cancel(request: request, options: options), from: scene.caller)
        scene.realm.send(.cancel(request: 999, options: [:]), from: scene.caller)
        #expect(scene.realm.take(scene.caller) == [] && scene.realm.take(scene.callee) == [])
    }

    @Test("A call that takes too long is given up; progress grants new time")
    func timeout() throws {
        var scene = try Scene()
        let (request, invocation, details) = try scene.call(["timeout": 500, "receive_progress": true])
        #expect(details["timeout"] == nil)
        let timer = try #require(scene.realm.timers.first { $0.value == 500 }).key
        scene.realm.timers = [:]
        scene.yield(invocation, [1], progress: true)
        #expect(scene.realm.timers == [timer: 500])
        scene.realm.carryOut(scene.realm.router.timerFired(timer, at: scene.realm.now))
        let answers = scene.realm.take(scene.caller)
        #expect(answers.last?.reason == WAMPReason.timeout)
        guard case .error(.call, request, _, _, _) = try #require(answers.last) else { return }
        #expect(scene.realm.take(scene.callee) == [.interrupt(request: invocation, options: ["mode": "killnowait"])])
        #expect(scene.realm.router.timerFired(timer, at: scene.realm.now) == [])
        let done = try scene.call(["timeout": 500])
        scene.yield(done.invocation, [])
        #expect(scene.realm.timers.isEmpty)
        #expect(try scene.call(["timeout": 0]).details == [:])
        #expect(scene.realm.timers.isEmpty)
    }

    @Test("A callee that watches time itself is told the limit")
    func forwardTimeout() throws {
        var scene = try Scene(["forward_timeout": true])
        #expect(try scene.call(["timeout": 500]).details == ["timeout": 500])
        #expect(scene.realm.timers.isEmpty)
    }

    @Test("Who leaves takes its calls along")
    func leaving() throws {
        var scene = try Scene()
        let first = try scene.call()
        let second = try scene.call()
        scene.yield(second.invocation, [])
        _ = scene.realm.take(scene.caller)
        scene.realm.leave(scene.callee)
        guard
            case .error(.call, first.request, _, WAMPReason.canceled, _) = try #require(
                scene.realm.take(scene.caller).first
            )
        else {
            Issue.record("the caller is not told")
            return
        }
        scene.realm.call(scene.caller, "com.p")
        #expect(scene.realm.take(scene.caller).first?.reason == WAMPReason.noSuchProcedure)

        var other = try Scene()
        let call = try other.call()
        other.realm.leave(other.caller)
        #expect(
            other.realm.take(other.callee) == [.interrupt(request: call.invocation, options: ["mode": "killnowait"])]
        )
        other.yield(call.invocation, [])
        #expect(other.realm.take(other.callee) == [])
    }

    @Test("A session may call itself, and leave while it does")
    func itself() throws {
        var realm = TestRealm()
        let ann = realm.join()
        _ = try realm.register(ann, "com.p")
        let request = realm.call(ann, "com.p")
        #expect(realm.take(ann).map(\.kind) == [.invocation])
        realm.send(.yield(request: 1, options: [:], payload: Payload()), from: ann)
        #expect(realm.take(ann) == [.result(request: request, details: [:], payload: Payload())])
        realm.call(ann, "com.p")
        _ = realm.take(ann)
        realm.leave(ann)
        #expect(realm.take(ann) == [])
        #expect(realm.router.dealer.calls.isEmpty)
    }

    @Test("Unregistering leaves running calls alone")
    func unregister() throws {
        var scene = try Scene()
        let call = try scene.call()
        scene.realm.send(.unregister(request: 7, registration: scene.registration), from: scene.callee)
        #expect(scene.realm.take(scene.callee) == [.unregistered(request: 7, revoked: nil)])
        scene.yield(call.invocation, [1])
        #expect(scene.realm.take(scene.caller).map(\.kind) == [.result])
        scene.realm.send(.unregister(request: 8, registration: scene.registration), from: scene.callee)
        #expect(scene.realm.take(scene.callee).first?.reason == WAMPReason.noSuchRegistration)
    }

    @Test("A procedure of the shell is invoked, progresses, fails and is interrupted")
    func shell() throws {
        var realm = TestRealm()
        realm.carryOut(realm.router.register("farseed.vps.sync", at: realm.now))
        let ann = realm.join()
        func invocation(_ actions: [RouterAction]) throws -> (InvocationID, InternalCall) {
            for case .invoke(let id, let call) in actions { return (id, call) }
            throw Violation("nothing is invoked")
        }
        let request = realm.call(ann, "farseed.vps.sync", [1], ["receive_progress": true])
        let (first, call) = try invocation(realm.takeOthers())
        #expect(call.procedure == "farseed.vps.sync" && call.caller == ann && call.principal.role == "owner")
        #expect(call.receiveProgress)
        realm.carryOut(realm.router.yielded(first, Payload(args: [1]), progress: true, at: realm.now))
        realm.carryOut(realm.router.yielded(first, Payload(args: [2]), at: realm.now))
        #expect(
            realm.take(ann) == [
                .result(request: request, details: ["progress": true], payload: Payload(args: [1])),
                .result(request: request, details: [:], payload: Payload(args: [2])),
            ]
        )
        #expect(realm.router.yielded(first, Payload(), at: realm.now) == [])
        realm.call(ann, "farseed.vps.sync")
        let (second, _) = try invocation(realm.takeOthers())
        realm.carryOut(realm.router.failed(second, "farseed.error.down", Payload(args: ["Down."]), at: realm.now))
        #expect(realm.take(ann).first?.reason == "farseed.error.down")
        let third = realm.call(ann, "farseed.vps.sync")
        let (running, _) = try invocation(realm.takeOthers())
        realm.send(.cancel(request: third, options: [:]), from: ann)
        #expect(realm.takeOthers() == [.interrupt(running)])
        #expect(realm.router.failed(running, "a.b", at: realm.now) == [])
        realm.send(.register(request: 9, options: [:], procedure: "farseed.vps.sync"), from: ann)
        #expect(realm.take(ann).last?.reason == WAMPReason.procedureExists)
    }

    @Test("The shell takes its names from sessions, and gives them back")
    func shellOwnsNames() throws {
        var realm = TestRealm()
        let ann = realm.join()
        let id = try realm.register(ann, "farseed.vps.sync", ["invoke": "roundrobin"])
        realm.carryOut(realm.router.register("farseed.vps.sync", at: realm.now))
        let details: [String: Value] = ["registration": .int(id), "reason": "taken by the controller"]
        #expect(realm.take(ann) == [.unregistered(request: 0, revoked: details)])
        realm.carryOut(realm.router.unregister("farseed.vps.sync", at: realm.now))
        _ = try realm.register(ann, "farseed.vps.sync")
    }

    @Test("A session has no more calls and registrations than it may")
    func limits() throws {
        var realm = TestRealm {
            $0.mostCalls = 1
            $0.mostRegistrations = 1
        }
        let ann = realm.join()
        _ = try realm.register(ann, "com.p")
        realm.send(.register(request: 50, options: [:], procedure: "com.q"), from: ann)
        realm.call(ann, "com.p")
        realm.call(ann, "com.p")
        #expect(realm.take(ann).compactMap(\.reason) == [WAMPReason.overLimit, WAMPReason.overLimit])
    }
}
