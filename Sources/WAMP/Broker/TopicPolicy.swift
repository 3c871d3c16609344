/// What the shell declares about topics whose state it makes.
package struct TopicPolicy: Sendable, Hashable {
    /// Which topics; a prefix declares a family, of which those topics are watched, one by one, that
    /// a subscription names.
    package var pattern: URIPattern
    /// Whether the shell makes the retained event anew for each subscriber.
    package var isProvided: Bool
    /// Whether events may be dropped for a slow reader, who gets the newest state instead.
    package var isConflatable: Bool
    /// How many events `wamp.subscription.get_events` keeps; 0 for none.
    package var history: Int

    package init(_ pattern: URIPattern, isProvided: Bool = false, isConflatable: Bool = false, history: Int = 0) {
        self.pattern = pattern
        self.isProvided = isProvided
        self.isConflatable = isConflatable
        self.history = history
    }
}

/// The declared policies and which of their topics are watched.
struct TopicPolicies {
    private var exact: [String: TopicPolicy] = [:]
    private var families: [TopicPolicy] = []
    /// The declared topics that have a subscriber.
    private(set) var watched: Set<String> = []

    /// The policy of a topic; its own one goes before a family's.
    func policy(_ topic: String) -> TopicPolicy? {
        exact[topic] ?? families.first { $0.pattern.matches(topic) }
    }

    mutating func set(_ policy: TopicPolicy) {
        remove(policy.pattern)
        if policy.pattern.match == .exact {
            exact[policy.pattern.uri] = policy
        } else {
            families.append(policy)
        }
    }

    mutating func remove(_ pattern: URIPattern) {
        if pattern.match == .exact {
            exact[pattern.uri] = nil
        } else {
            families.removeAll { $0.pattern == pattern }
        }
    }

    /// The declared topics that a subscription reaches, as far as they can be named.
    func topics(_ pattern: URIPattern) -> [String] {
        if pattern.match == .exact { return policy(pattern.uri) == nil ? [] : [pattern.uri] }
        let named = families.compactMap { pattern.topic(in: $0.pattern) }
        return Set(exact.keys.filter { pattern.matches($0) } + named).sorted()
    }

    /// Notes whether a topic is watched; the action where that changes.
    mutating func note(_ topic: String, isWatched: Bool) -> RouterAction? {
        if isWatched { return watched.insert(topic).inserted ? .watched(topic: topic) : nil }
        return watched.remove(topic) == nil ? nil : .unwatched(topic: topic)
    }
}
