/// Random interleavings of everything that sessions do, with fixed seeds, keep the guarantees of ordering.
import Notation
import Testing

@testable import WAMP

@Suite struct InterleavingTests {
    /// One client that checks what it is sent against what it did.
    struct Client {
        var session: SessionID
        /// Requests that were sent and not answered.
        var subscribing: Set<Int64> = []
        var unsubscribing: [Int64: Int64] = [:]
        var registering: Set<Int64> = []
        var calling: Set<Int64> = []
        var subscriptions: Set<Int64> = []
        var registrations: Set<Int64> = []
        /// INVOCATIONs that were not answered.
        var running: Set<Int64> = []
        /// The last number of each publisher's events, by subscription; events of one publisher keep their order.
        var seen: [[Int64]: Int64] = [:]
        /// The same over all its subscriptions, of which more than one may get an event.
        var last: [Int64: Int64] = [:]
        /// How many calls it made; each carries its number.
        var calls: Int64 = 0
        /// The last number of each caller's calls that it was asked to carry out.
        var asked: [Int64: Int64] = [:]
        /// Every INVOCATION that came, and how many parts of its result were sent.
        var parts: [Int64: Int64] = [:]
        /// The last part of each call's result that came.
        var results: [Int64: Int64] = [:]
        var isOpen = true
    }

    /// How much of what has an order there was to look at.
    struct Tally {
        var invocations = 0
        var interrupts = 0
        var parts = 0
        var finals = 0
        var events = 0
    }

    @Test("Orders hold and nothing is left behind", arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func interleaved(seed: UInt64) throws {
        var generator = FixedSequence(state: seed)
        var realm = TestRealm {
            $0.mostSubscriptions = 6
            $0.mostCalls = 8
        }
        realm.carryOut(realm.router.register("com.shell", at: realm.now))
        var invocations: [InvocationID] = []
        var clients: [Client] = []
        var published: Int64 = 0
        var tally = Tally()
        for _ in 0..<3_000 {
            if clients.count(where: \.isOpen) < 4 { clients.append(Client(session: realm.join())) }
            let open = clients.indices.filter { clients[$0].isOpen }
            let place = open.randomElement(using: &generator)!
            act(&clients[place], &realm, &published, &invocations, &generator)
            for action in realm.takeOthers() {
                if case .invoke(let id, _) = action { invocations.append(id) }
            }
            for place in clients.indices { try check(&clients[place], &realm, &tally) }
            clients.removeAll { !$0.isOpen }
        }
        #expect(tally.invocations > 50 && tally.events > 50, "there was little to look at")
        #expect(min(tally.interrupts, tally.parts, tally.finals) > 5, "there was little to look at")
        for client in clients { realm.leave(client.session) }
        #expect(realm.router.sessions.isEmpty)
        #expect(realm.router.openCount == 0)
        #expect(realm.router.broker.subscriptions.isEmpty && realm.router.broker.index.isEmpty)
        #expect(realm.router.dealer.registrations.count == 1, "the shell's own")
        #expect(realm.router.dealer.calls.isEmpty)
        #expect(realm.members.isEmpty)
        #expect(realm.timers.isEmpty)
    }

    private func act(
        _ client: inout Client,
        _ realm: inout TestRealm,
        _ published: inout Int64,
        _ invocations: inout [InvocationID],
        _ generator: inout FixedSequence
    ) {
        let session = client.session
        let topics = ["com.a", "com.a.b", "com.c.b", "com.d"]
        let procedures = ["com.p", "com.q.r", "com.q.s", "com.shell"]
        let match = ["exact", "prefix", "wildcard"].randomElement(using: &generator)!
        switch Int.random(in: 0..<22, using: &generator) {
        case 0...3:
            let request = realm.next(session)
            client.subscribing.insert(request)
            let uri = match == "wildcard" ? "com..b" : topics.randomElement(using: &generator)!
            let options: [String: Value] = ["match": .string(match), "get_retained": true]
            realm.send(.subscribe(request: request, options: options, topic: uri), from: session)
        case 4...5:
            guard let id = client.subscriptions.sorted().randomElement(using: &generator) else { return }
            let request = realm.next(session)
            client.unsubscribing[request] = id
            realm.send(.unsubscribe(request: request, subscription: id), from: session)
        case 6...9:
            published += 1
            let options: [String: Value] = [
                "exclude_me": .bool(.random(using: &generator)), "disclose_me": true,
                "retain": .bool(Int.random(in: 0..<8, using: &generator) == 0),
            ]
            realm.publish(session, topics.randomElement(using: &generator)!, [.int(published)], options)
        case 10:
            let request = realm.next(session)
            client.registering.insert(request)
            let options: [String: Value] = [
                "match": .string(match == "exact" ? "exact" : "prefix"), "invoke": "roundrobin",
            ]
            let uri = procedures.dropLast().randomElement(using: &generator)!
            realm.send(.register(request: request, options: options, procedure: uri), from: session)
        case 11:
            guard let id = client.registrations.sorted().randomElement(using: &generator) else { return }
            client.registrations.remove(id)
            realm.send(.unregister(request: realm.next(session), registration: id), from: session)
        case 12...14:
            let options: [String: Value] = [
                "receive_progress": .bool(.random(using: &generator)),
                "timeout": .int(Int64.random(in: 0..<2, using: &generator)), "disclose_me": true,
            ]
            client.calls += 1
            // Noted before it is sent: an error may come at once.
            client.calling.insert(realm.lastRequest[session, default: 0] + 1)
            realm.call(session, procedures.randomElement(using: &generator)!, [.int(client.calls)], options)
        case 15:
            guard let request = client.calling.sorted().randomElement(using: &generator) else { return }
            let mode = ["skip", "kill", "killnowait"].randomElement(using: &generator)!
            realm.send(.cancel(request: request, options: ["mode": .string(mode)]), from: session)
        case 16...18:
            guard let invocation = client.running.sorted().randomElement(using: &generator) else { return }
            let progress = Bool.random(using: &generator)
            if !progress { client.running.remove(invocation) }
            if progress || Bool.random(using: &generator) {
                let options: [String: Value] = ["progress": .bool(progress)]
                client.parts[invocation, default: 0] += 1
                let payload = Payload(args: [.int(client.parts[invocation]!)])
                realm.send(.yield(request: invocation, options: options, payload: payload), from: session)
            } else {
                realm.send(
                    .error(kind: .invocation, request: invocation, details: [:], uri: "com.e", payload: Payload()),
                    from: session
                )
            }
        case 19:
            guard !invocations.isEmpty else { return }
            let id = invocations.remove(at: Int.random(in: invocations.indices, using: &generator))
            realm.carryOut(realm.router.yielded(id, Payload(), at: realm.now))
        case 20:
            guard let timer = realm.timers.keys.sorted(by: { "\($0)" < "\($1)" }).randomElement(using: &generator)
            else { return }
            realm.timers[timer] = nil
            realm.carryOut(realm.router.timerFired(timer, at: realm.now))
        default:
            switch Int.random(in: 0..<8, using: &generator) {
            case 0:
                client.isOpen = false
                realm.leave(session)
                realm.inbox[session] = nil
            case 1:
                client.isOpen = false
                realm.send(.goodbye(details: [:], reason: "com.bye"), from: session)
                #expect(realm.take(session).last?.kind == .goodbye)
            case 2:
                client.isOpen = false
                realm.send(.welcome(session: 1, details: [:]), from: session)
                #expect(realm.take(session).last?.kind == .abort)
            case 3:
                client.isOpen = false
                realm.carryOut(realm.router.kill([session], at: realm.now))
                #expect(realm.take(session).last?.kind == .goodbye)
                realm.send(.goodbye(details: [:], reason: "com.bye"), from: session)
            default: break
            }
        }
    }

    /// Everything that a client is sent must fit to what it has asked for and not got yet.
    private func check(_ client: inout Client, _ realm: inout TestRealm, _ tally: inout Tally) throws {
        for message in realm.take(client.session) {
            #expect(client.isOpen, "\(message) came after the end")
            switch message {
            case .subscribed(let request, let id):
                #expect(client.subscribing.remove(request) != nil)
                client.subscriptions.insert(id)
            case .unsubscribed(let request, _):
                let id = client.unsubscribing.removeValue(forKey: request)
                client.subscriptions.remove(try #require(id))
            case .event(let id, _, let details, let payload):
                #expect(client.subscriptions.contains(id), "an EVENT without SUBSCRIBED or after UNSUBSCRIBED")
                guard details["retained"] == nil, let publisher = details["publisher"]?.int else { continue }
                let number = try #require(payload.args.first?.int)
                let before = client.seen.updateValue(number, forKey: [id, publisher]) ?? 0
                #expect(number > before, "the events of one publisher changed their order")
                let last = client.last.updateValue(number, forKey: publisher) ?? 0
                #expect(number >= last, "one publisher's events of two topics changed their order")
                tally.events += 1
            case .registered(let request, let id):
                #expect(client.registering.remove(request) != nil)
                client.registrations.insert(id)
            case .unregistered: break
            case .invocation(let request, let id, let details, let payload):
                #expect(client.running.insert(request).inserted)
                #expect(client.registrations.contains(id))
                #expect(client.parts.updateValue(0, forKey: request) == nil, "an INVOCATION came twice")
                let number = try #require(payload.args.first?.int)
                let before = client.asked.updateValue(number, forKey: try #require(details["caller"]?.int)) ?? 0
                #expect(number > before, "the calls of one caller came in another order than they were made")
                tally.invocations += 1
            case .interrupt(let request, let options):
                // Only a killed call waits for its answer; an invocation given up may be answered or not.
                #expect(options["mode"] != nil)
                #expect(client.parts[request] != nil, "an INTERRUPT came before its INVOCATION")
                tally.interrupts += 1
            case .result(let request, let details, let payload):
                #expect(client.calling.contains(request), "a RESULT for no call, or after its last")
                let isPart = details["progress"] == true
                if !isPart { client.calling.remove(request) }
                // The shell's own procedure answers without numbers.
                guard let part = payload.args.first?.int else { continue }
                let before = client.results.updateValue(part, forKey: request) ?? 0
                #expect(part > before, "the parts of a result changed their order")
                if isPart { tally.parts += 1 } else { tally.finals += 1 }
            case .error(.call, let request, _, _, _):
                #expect(client.calling.remove(request) != nil, "an ERROR for no call, or after its RESULT")
            case .error(.subscribe, let request, _, _, _): #expect(client.subscribing.remove(request) != nil)
            case .error(.unsubscribe, let request, _, _, _):
                #expect(client.unsubscribing.removeValue(forKey: request) != nil)
            case .error(.register, let request, _, _, _): #expect(client.registering.remove(request) != nil)
            case .error(.unregister, _, _, _, _): break
            default: Issue.record("\(message) was not expected")
            }
        }
    }
}
