/// A router with a shell in memory: it keeps what every client was sent, in order, and who takes part in what.
import Notation
import Testing

@testable import WAMP

/// A fixed sequence of numbers (SplitMix64), so that a failure comes again.
struct FixedSequence: RandomNumberGenerator, Sendable {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

struct TestRealm {
    var router: Router
    var now = Moment(milliseconds: 1_700_000_000_000)
    /// What each client was sent and has not been looked at.
    var inbox: [SessionID: [Message]] = [:]
    var members: [Int64: Set<SessionID>] = [:]
    var closed: Set<SessionID> = []
    var timers: [RouterTimer: Int64] = [:]
    /// The actions that are no messages.
    var others: [RouterAction] = []
    var lastRequest: [SessionID: Int64] = [:]

    static let permissions = PermissionTable([
        "owner": [Permission(URIPattern("", .prefix), Set(Operation.allCases))],
        "viewer": [Permission(URIPattern("farseed.", .prefix), [.subscribe])],
        "worker": [
            Permission(URIPattern("farseed.custom.", .prefix), [.register, .call]),
            Permission(URIPattern("farseed..torrents", .wildcard), [.subscribe, .publish]),
        ],
    ])

    static let features: Value = [
        "publisher": [:],
        "subscriber": ["features": ["subscription_revocation": true]],
        "caller": [:],
        "callee": [
            "features": [
                "call_canceling": true, "progressive_call_results": true, "registration_revocation": true,
            ]
        ],
    ]

    init(_ change: (inout RouterConfiguration) -> Void = { _ in }) {
        var configuration = RouterConfiguration()
        configuration.methods = Set(AuthMethod.allCases)
        change(&configuration)
        router = Router(
            configuration,
            permissions: Self.permissions,
            cryptography: TestCryptography(),
            random: FixedSequence(state: 7)
        )
    }

    // MARK: The shell

    mutating func carryOut(_ actions: [RouterAction]) {
        for action in actions {
            switch action {
            case .send(let session, let message):
                #expect(!closed.contains(session), "\(message) was sent to a closed session")
                inbox[session, default: []].append(message)
            case .join(let session, let subscription):
                #expect(members[subscription, default: []].insert(session).inserted)
            case .leave(let session, let subscription):
                #expect(members[subscription]?.remove(session) != nil)
                if members[subscription]!.isEmpty { members[subscription] = nil }
            case .deliver(let delivery):
                switch delivery.recipients {
                case .subscribers(let except):
                    for session in members[delivery.subscription] ?? [] where session != except {
                        inbox[session, default: []].append(delivery.message)
                    }
                case .sessions(let sessions):
                    for session in sessions {
                        #expect(members[delivery.subscription]?.contains(session) == true)
                        inbox[session, default: []].append(delivery.message)
                    }
                }
                others.append(action)
            case .close(let session): #expect(closed.insert(session).inserted)
            case .setTimer(let timer, let milliseconds): timers[timer] = milliseconds
            case .cancelTimer(let timer): timers[timer] = nil
            default: others.append(action)
            }
        }
    }

    // MARK: Clients

    mutating func connect() -> SessionID {
        let (session, actions) = router.connected(transport: ["type": "test"], at: now)
        carryOut(actions)
        return session
    }

    mutating func send(_ message: Message, from session: SessionID) {
        carryOut(router.received(message, from: session, at: now))
    }

    /// A session with its WELCOME taken out of the inbox.
    mutating func join(
        _ role: String = "owner",
        authid: String = "ann",
        roles: Value = TestRealm.features
    ) -> SessionID {
        let session = connect()
        send(.hello(realm: "farseed", details: ["roles": roles]), from: session)
        let principal = Principal(authid: authid, role: role, method: "anonymous", provider: "test")
        carryOut(router.resolved(session, .anonymous(principal), at: now))
        let received = take(session)
        #expect(received.map(\.kind) == [.welcome])
        return session
    }

    mutating func leave(_ session: SessionID) {
        carryOut(router.disconnected(session, at: now))
        closed.insert(session)
    }

    mutating func next(_ session: SessionID) -> Int64 {
        lastRequest[session, default: 0] += 1
        return lastRequest[session]!
    }

    /// What the client was sent since the last look.
    mutating func take(_ session: SessionID) -> [Message] {
        defer { inbox[session] = nil }
        return inbox[session] ?? []
    }

    mutating func takeOthers() -> [RouterAction] {
        defer { others = [] }
        return others.filter { if case .deliver = $0 { false } else { true } }
    }

    /// Subscribes and gives the subscription's number; other messages stay in the inbox.
    mutating func subscribe(
        _ session: SessionID,
        _ topic: String,
        _ options: [String: Value] = [:]
    ) throws -> Int64 {
        let request = next(session)
        send(.subscribe(request: request, options: options, topic: topic), from: session)
        let place = inbox[session]?.firstIndex { if case .subscribed(request, _) = $0 { true } else { false } }
        guard case .subscribed(_, let id) = inbox[session]?.remove(at: try #require(place)) else { return 0 }
        return id
    }

    mutating func register(
        _ session: SessionID,
        _ procedure: String,
        _ options: [String: Value] = [:]
    ) throws -> Int64 {
        let request = next(session)
        send(.register(request: request, options: options, procedure: procedure), from: session)
        let place = inbox[session]?.firstIndex { if case .registered(request, _) = $0 { true } else { false } }
        guard case .registered(_, let id) = inbox[session]?.remove(at: try #require(place)) else { return 0 }
        return id
    }

    @discardableResult
    mutating func publish(
        _ session: SessionID,
        _ topic: String,
        _ args: [Value] = [],
        _ options: [String: Value] = [:]
    ) -> Int64 {
        let request = next(session)
        let payload = Payload(args: args)
        send(.publish(request: request, options: options, topic: topic, payload: payload), from: session)
        return request
    }

    @discardableResult
    mutating func call(
        _ session: SessionID,
        _ procedure: String,
        _ args: [Value] = [],
        kwargs: [String: Value] = [:],
        _ options: [String: Value] = [:]
    ) -> Int64 {
        let request = next(session)
        let payload = Payload(args: args, kwargs: kwargs)
        send(.call(request: request, options: options, procedure: procedure, payload: payload), from: session)
        return request
    }

    /// Calls a procedure of the router and gives its results, or the error's URI as a string.
    mutating func ask(
        _ session: SessionID,
        _ procedure: String,
        _ args: [Value] = [],
        kwargs: [String: Value] = [:]
    ) -> [Value] {
        let request = call(session, procedure, args, kwargs: kwargs)
        guard
            let place = inbox[session]?.firstIndex(where: {
                if case .result(request, _, _) = $0 { return true }
                if case .error(.call, request, _, _, _) = $0 { return true }
                return false
            })
        else { return ["no answer"] }
        switch inbox[session]!.remove(at: place) {
        case .result(_, _, let payload): return payload.args
        case .error(_, _, _, let uri, _): return [.string(uri)]
        default: return []
        }
    }
}

extension Message {
    /// The arguments of an EVENT.
    var eventArgs: [Value]? {
        if case .event(_, _, _, let payload) = self { payload.args } else { nil }
    }

    /// The URI of an ERROR, or the reason of ABORT and GOODBYE.
    var reason: String? {
        switch self {
        case .error(_, _, _, let uri, _): uri
        case .abort(_, let reason, _), .goodbye(_, let reason): reason
        default: nil
        }
    }
}
