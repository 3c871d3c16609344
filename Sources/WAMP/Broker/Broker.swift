/// Subscriptions of one realm, and who gets an event.
import Notation

struct Broker {
    struct Subscription {
        let id: Int64
        let pattern: URIPattern
        let created: Moment
        var members: [SessionID: Principal] = [:]
        /// Kept for declared topics, also while nobody subscribes.
        var history: EventHistory?
    }

    private(set) var subscriptions: [Int64: Subscription] = [:]
    private(set) var index = PatternIndex()
    private(set) var policies = TopicPolicies()
    private var retained: RetainedEvents
    private var joined: [SessionID: Set<Int64>] = [:]
    private var lastID: Int64 = 0

    init(mostRetainedTopics: Int) { retained = RetainedEvents(mostTopics: mostRetainedTopics) }

    // MARK: Subscribing

    struct Joining {
        let subscription: Int64
        /// Whether the subscription had nobody before.
        let isFirst: Bool
        /// Whether the session was not in it before.
        let isNew: Bool
    }

    mutating func subscribe(
        _ session: SessionID,
        _ principal: Principal,
        to pattern: URIPattern,
        at now: Moment
    ) -> Joining {
        let id = subscription(pattern, at: now)
        let isFirst = subscriptions[id]!.members.isEmpty
        let isNew = subscriptions[id]!.members.updateValue(principal, forKey: session) == nil
        joined[session, default: []].insert(id)
        return Joining(subscription: id, isFirst: isFirst, isNew: isNew)
    }

    /// Takes a session out of a subscription: nil where it was not in it, else whether it was the last.
    mutating func unsubscribe(_ session: SessionID, from id: Int64) -> Bool? {
        guard subscriptions[id]?.members.removeValue(forKey: session) != nil else { return nil }
        joined[session]?.remove(id)
        if joined[session]?.isEmpty == true { joined[session] = nil }
        let isLast = subscriptions[id]!.members.isEmpty
        if isLast, subscriptions[id]!.history == nil {
            index.remove(subscriptions[id]!.pattern)
            subscriptions[id] = nil
        }
        return isLast
    }

    func subscriptions(of session: SessionID) -> Set<Int64> { joined[session] ?? [] }

    private mutating func subscription(_ pattern: URIPattern, at now: Moment) -> Int64 {
        if let id = index[pattern] { return id }
        lastID += 1
        subscriptions[lastID] = Subscription(id: lastID, pattern: pattern, created: now)
        index.insert(pattern, lastID)
        return lastID
    }

    // MARK: Declared topics

    mutating func declare(_ policy: TopicPolicy, at now: Moment) -> [RouterAction] {
        policies.set(policy)
        if policy.history > 0 {
            let id = subscription(policy.pattern, at: now)
            subscriptions[id]!.history = subscriptions[id]!.history ?? EventHistory(capacity: policy.history)
            subscriptions[id]!.history!.capacity = policy.history
        }
        return rewatch()
    }

    mutating func withdraw(_ pattern: URIPattern) -> [RouterAction] {
        policies.remove(pattern)
        if let id = index[pattern], subscriptions[id]!.history != nil {
            subscriptions[id]!.history = nil
            if subscriptions[id]!.members.isEmpty {
                index.remove(pattern)
                subscriptions[id] = nil
            }
        }
        return rewatch()
    }

    /// What changes when a subscription gets its first session or loses its last.
    mutating func watch(_ pattern: URIPattern) -> [RouterAction] {
        policies.topics(pattern).compactMap { policies.note($0, isWatched: isWatched($0)) }
    }

    private mutating func rewatch() -> [RouterAction] {
        let reached = Set(subscriptions.values.flatMap { $0.members.isEmpty ? [] : policies.topics($0.pattern) })
        let gone = policies.watched.subtracting(reached).sorted().compactMap { policies.note($0, isWatched: false) }
        return gone + reached.sorted().compactMap { policies.note($0, isWatched: true) }
    }

    func isWatched(_ topic: String) -> Bool {
        index.all(topic).contains { !subscriptions[$0]!.members.isEmpty }
    }

    // MARK: Events

    /// Whether an event on the topic would reach or be kept by anybody.
    func isWanted(_ topic: String) -> Bool { !index.all(topic).isEmpty }

    mutating func publish(_ event: StoredEvent, retain: Bool, _ actions: inout [RouterAction]) {
        let policy = policies.policy(event.topic)
        if retain, policy?.isProvided != true { retained.keep(event) }
        for id in index.all(event.topic) {
            subscriptions[id]!.history?.record(event)
            guard let recipients = recipients(of: event, in: subscriptions[id]!) else { continue }
            actions.append(
                .deliver(
                    Delivery(
                        topic: event.topic,
                        subscription: id,
                        message: event.message(id, match: subscriptions[id]!.pattern.match),
                        isConflatable: policy?.isConflatable ?? false,
                        recipients: recipients
                    )
                )
            )
        }
    }

    private func recipients(of event: StoredEvent, in subscription: Subscription) -> Delivery.Recipients? {
        if event.audience.isEverybody {
            guard let except = event.except, subscription.members[except] != nil else {
                return subscription.members.isEmpty ? nil : .subscribers(except: nil)
            }
            return subscription.members.count == 1 ? nil : .subscribers(except: except)
        }
        let sessions = subscription.members.filter { event.isFor($0.key, $0.value) }.keys
        return sessions.isEmpty ? nil : .sessions(sessions.sorted { $0.value < $1.value })
    }

    /// The retained events for a session that has just subscribed; those of provided topics are the shell's to make.
    func retainedEvents(
        _ session: SessionID,
        _ principal: Principal,
        subscription id: Int64,
        publication: () -> Int64
    ) -> [RouterAction] {
        guard let pattern = subscriptions[id]?.pattern else { return [] }
        let provided = policies.topics(pattern).filter { policies.policy($0)?.isProvided == true }
        let made = provided.map { topic in
            var details: [String: Value] = ["retained": true]
            if pattern.match != .exact { details["topic"] = .string(topic) }
            return RouterAction.sendRetained(
                session,
                topic: topic,
                subscription: id,
                publication: publication(),
                details: details
            )
        }
        let kept = retained.matching(pattern, session, principal).filter {
            policies.policy($0.topic)?.isProvided != true
        }
        return made + kept.map { .send(session, $0.message(id, match: pattern.match, retained: true)) }
    }
}
