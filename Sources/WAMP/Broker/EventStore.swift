/// Events that outlive their delivery: the retained ones and a subscription's history.
import Notation

/// An event as it was published, without the subscription through which it is seen.
struct StoredEvent {
    var publication: Int64
    var topic: String
    var published: Moment
    /// What the event's details say about its publisher.
    var details: [String: Value]
    var payload: Payload
    var audience: Audience
    /// The publisher, where it is not to get its own event.
    var except: SessionID?

    func isFor(_ session: SessionID, _ principal: Principal) -> Bool {
        session != except && audience.includes(session, principal)
    }

    /// The EVENT for a subscription; a pattern's subscriber is told the topic.
    func message(_ subscription: Int64, match: Match, retained: Bool = false) -> Message {
        var details = details
        if match != .exact { details["topic"] = .string(topic) }
        if retained { details["retained"] = true }
        return .event(subscription: subscription, publication: publication, details: details, payload: payload)
    }
}

/// The retained events of all topics: one for everybody and, after it, a few for some.
struct RetainedEvents {
    /// The most events of a topic that are for some only.
    private static let mostSupplements = 16

    private var topics: [String: [StoredEvent]] = [:]
    private let mostTopics: Int

    init(mostTopics: Int) { self.mostTopics = mostTopics }

    /// Keeps the event as its topic's newest; beyond the limit of topics it is not kept, which the specification allows.
    mutating func keep(_ event: StoredEvent) {
        if event.audience.isEverybody {
            guard topics[event.topic] != nil || topics.count < mostTopics else { return }
            topics[event.topic] = [event]
            return
        }
        guard topics[event.topic] != nil || topics.count < mostTopics else { return }
        topics[event.topic, default: []].append(event)
        if topics[event.topic]!.count > Self.mostSupplements + 1 {
            // The one for everybody stays.
            topics[event.topic]!.remove(at: topics[event.topic]![0].audience.isEverybody ? 1 : 0)
        }
    }

    /// The newest event of each matching topic that this session would have got.
    func matching(_ pattern: URIPattern, _ session: SessionID, _ principal: Principal) -> [StoredEvent] {
        let names = pattern.match == .exact ? [pattern.uri] : topics.keys.filter { pattern.matches($0) }.sorted()
        return names.compactMap { topics[$0]?.last { $0.isFor(session, principal) } }
    }
}

/// The last events of one subscription, in the order of their arrival.
struct EventHistory {
    private(set) var events: [StoredEvent] = []
    var capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    mutating func record(_ event: StoredEvent) {
        // Lists of sessions mean nothing to later sessions, so such events are not kept at all.
        guard !event.audience.namesSessions else { return }
        if events.count >= 2 * capacity { events.removeFirst(events.count - capacity + 1) }
        events.append(event)
    }

    /// The last `capacity` events; more are stored only to save moving them each time.
    var kept: ArraySlice<StoredEvent> { events.suffix(capacity) }
}
