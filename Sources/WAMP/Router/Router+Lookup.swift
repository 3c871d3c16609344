/// The meta procedures about subscriptions and registrations, and event history.
import Notation

extension Router {
    // MARK: Subscriptions

    mutating func callSubscriptions(
        _ name: String,
        _ arguments: MetaArguments,
        _ principal: Principal,
        at now: Moment
    ) throws(Refusal) -> [Value] {
        switch name {
        case "list": return [lists(broker.subscriptions.values.map { ($0.id, $0.pattern.match) })]
        case "lookup":
            let pattern = URIPattern(try arguments.text(0, "topic"), try arguments.match(1))
            return [broker.index[pattern].map(Value.int) ?? nil]
        case "match":
            let found = broker.index.all(try arguments.text(0, "topic"))
            return [found.isEmpty ? nil : .array(found.map(Value.int))]
        case "get": return [details(ofSubscription: try subscription(arguments).id)]
        case "list_subscribers":
            let members = try subscription(arguments).members.keys.map(\.value).sorted()
            return [.array(members.map(Value.int))]
        case "count_subscribers": return [.int(Int64(try subscription(arguments).members.count))]
        case "remove_subscriber":
            let id = try subscription(arguments).id
            let session = SessionID(try arguments.id(1, "session"))
            let reason = try reason(arguments)
            guard revoke(session, subscription: id, reason: reason, at: now) else { throw noSuchSubscription }
            return []
        case "get_events": return [.array(try history(arguments, principal))]
        default: throw Refusal(WAMPReason.noSuchProcedure, "The router has no such procedure.")
        }
    }

    private var noSuchSubscription: Refusal {
        Refusal(WAMPReason.noSuchSubscription, "There is no such subscription.")
    }

    private func subscription(_ arguments: MetaArguments) throws(Refusal) -> Broker.Subscription {
        guard let found = broker.subscriptions[try arguments.id(0, "subscription")] else { throw noSuchSubscription }
        return found
    }

    func details(ofSubscription id: Int64) -> Value {
        guard let subscription = broker.subscriptions[id] else { return nil }
        return [
            "id": .int(id), "created": .string(subscription.created.text), "uri": .string(subscription.pattern.uri),
            "match": .string(subscription.pattern.match.rawValue),
        ]
    }

    private func lists(_ entries: [(id: Int64, match: Match)]) -> Value {
        var lists: [Match: [Int64]] = [.exact: [], .prefix: [], .wildcard: []]
        for entry in entries { lists[entry.match]!.append(entry.id) }
        return .map(
            Dictionary(
                uniqueKeysWithValues: lists.map { ($0.key.rawValue, .array($0.value.sorted().map(Value.int))) }
            )
        )
    }

    // MARK: Event history

    private func history(_ arguments: MetaArguments, _ principal: Principal) throws(Refusal) -> [Value] {
        let subscription = try subscription(arguments)
        guard permissions.allows(.subscribe, subscription.pattern, role: principal.role) else {
            throw Refusal(WAMPReason.notAuthorized, "Who may not subscribe to it may not read its history.")
        }
        let kept = subscription.history?.kept ?? []
        let filter = try HistoryFilter(arguments, kept)
        var events = kept[filter.range].filter { filter.includes($0) && $0.audience.includes(principal) }
        if filter.reverse { events.reverse() }
        return events.prefix(filter.limit).map { $0.entry(subscription.id, subscription.pattern.match) }
    }

    // MARK: Registrations

    mutating func callRegistrations(
        _ name: String,
        _ arguments: MetaArguments,
        at now: Moment
    ) throws(Refusal) -> [Value] {
        switch name {
        case "list": return [lists(dealer.registrations.values.map { ($0.id, $0.pattern.match) })]
        case "lookup":
            let pattern = URIPattern(try arguments.text(0, "procedure"), try arguments.match(1))
            return [dealer.index[pattern].map(Value.int) ?? nil]
        case "match": return [dealer.index.best(try arguments.text(0, "procedure")).map(Value.int) ?? nil]
        case "get": return [details(ofRegistration: try registration(arguments).id)]
        case "list_callees": return [.array(callees(try registration(arguments)).map(Value.int))]
        case "count_callees": return [.int(Int64(callees(try registration(arguments)).count))]
        case "remove_callee":
            let id = try registration(arguments).id
            let session = SessionID(try arguments.id(1, "session"))
            let reason = try reason(arguments)
            guard revoke(session, registration: id, reason: reason, at: now) else { throw noSuchRegistration }
            return []
        default: throw Refusal(WAMPReason.noSuchProcedure, "The router has no such procedure.")
        }
    }

    private var noSuchRegistration: Refusal {
        Refusal(WAMPReason.noSuchRegistration, "There is no such registration.")
    }

    private func registration(_ arguments: MetaArguments) throws(Refusal) -> Dealer.Registration {
        guard let found = dealer.registrations[try arguments.id(0, "registration")] else { throw noSuchRegistration }
        return found
    }

    /// The sessions that run a procedure; the controller's own is none.
    private func callees(_ registration: Dealer.Registration) -> [Int64] {
        registration.callees.compactMap { if case .session(let session) = $0.owner { session.value } else { nil } }
    }

    func details(ofRegistration id: Int64) -> Value {
        guard let registration = dealer.registrations[id] else { return nil }
        return [
            "id": .int(id), "created": .string(registration.created.text), "uri": .string(registration.pattern.uri),
            "match": .string(registration.pattern.match.rawValue), "invoke": .string(registration.policy.rawValue),
        ]
    }
}

/// What `wamp.subscription.get_events` asks for; all conditions together.
private struct HistoryFilter {
    let reverse: Bool
    let limit: Int
    let range: Range<Int>
    private let topic: String?
    private let from: Moment?
    private let after: Moment?
    private let before: Moment?
    private let until: Moment?

    init(_ arguments: MetaArguments, _ events: ArraySlice<StoredEvent>) throws(Refusal) {
        reverse = try arguments.keywordFlag("reverse")
        limit = Int(min(try arguments.keywordID("limit") ?? Int64(events.count), Int64(events.count)))
        topic = try arguments.keywordText("topic")
        from = try arguments.keywordMoment("from_time")
        after = try arguments.keywordMoment("after_time")
        before = try arguments.keywordMoment("before_time")
        until = try arguments.keywordMoment("until_time")
        // A publication that is not kept any more bounds nothing from below and leaves nothing from above.
        func place(_ name: String) throws(Refusal) -> Int? {
            guard let id = try arguments.keywordID(name) else { return nil }
            return events.firstIndex { $0.publication == id } ?? events.startIndex - 1
        }
        var lower = events.startIndex
        var upper = events.endIndex
        if let place = try place("from_publication") { lower = max(lower, place) }
        if let place = try place("after_publication") { lower = max(lower, place + 1) }
        if let place = try place("before_publication") { upper = min(upper, place) }
        if let place = try place("until_publication") { upper = min(upper, place + 1) }
        range = lower..<max(lower, upper)
    }

    func includes(_ event: StoredEvent) -> Bool {
        if let topic, event.topic != topic { return false }
        if let from, event.published < from { return false }
        if let after, event.published <= after { return false }
        if let before, event.published >= before { return false }
        if let until, event.published > until { return false }
        return true
    }
}

extension StoredEvent {
    /// As `wamp.subscription.get_events` lists it.
    fileprivate func entry(_ subscription: Int64, _ match: Match) -> Value {
        guard case .event(_, _, let details, let payload) = message(subscription, match: match) else { return nil }
        return [
            "timestamp": .string(published.text), "subscription": .int(subscription),
            "publication": .int(publication), "details": .map(details), "args": .array(payload.args),
            "kwargs": .map(payload.kwargs),
        ]
    }
}
