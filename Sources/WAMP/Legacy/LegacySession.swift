/// One client of WAMP v1, as Ratchet served it and autobahn.js 0.8 speaks it, translated to messages of the router.
///
/// WELCOME is sent unasked. Nobody has proved anything yet: a topic's string may hold JSON with `topic`, `user` and
/// `token`, and the first such SUBSCRIBE has its token redeemed; until then, and without it, nothing else is carried
/// out. Version 1 answers neither SUBSCRIBE nor PUBLISH, so refusals of these are silent.
package import Notation

package enum LegacyAction: Sendable, Hashable {
    /// Send this list as JSON.
    case send(Value)
    /// Hand this to the router, as from this session.
    case route(Message)
    /// Redeem the token; then `Router.entered` and `admitted`, or `refused`.
    case admit(user: String, token: String)
    /// Close the transport.
    case close
}

package struct LegacySession {
    /// Messages kept while a token is redeemed.
    private static let mostWaiting = 64
    private static let mostPrefixes = 64
    private static let mostTopics = 256

    private enum Entry {
        /// No token has come.
        case outside
        /// The shell redeems the token; messages wait.
        case knocking(user: String, waiting: [LegacyMessage])
        case inside(user: String)
    }

    /// A topic as the client writes it.
    private enum Topic {
        case pending(request: Int64, isWanted: Bool)
        case subscribed(Int64)
    }

    private let session: SessionID
    private var entry = Entry.outside
    private var prefixes: [String: String] = [:]
    private var topics: [String: Topic] = [:]
    /// The client's names of calls under way, and of topics that are being subscribed.
    private var calls: [Int64: String] = [:]
    private var subscribing: [Int64: String] = [:]
    private var lastRequest: Int64 = 0

    /// - Parameter session: as `Router.connected` has given it.
    package init(_ session: SessionID) { self.session = session }

    /// The first message, sent unasked.
    package func opened() -> [LegacyAction] {
        [.send([0, .string(String(session.value)), 1, "Farseed"])]
    }

    package mutating func received(_ bytes: UnsafeRawBufferPointer) throws(Violation) -> [LegacyAction] {
        let message = try LegacyMessage(bytes)
        switch entry {
        case .knocking(let user, var waiting):
            guard waiting.count < Self.mostWaiting else { throw Violation("Too many messages before the login.") }
            waiting.append(message)
            entry = .knocking(user: user, waiting: waiting)
            return []
        case .outside: return try knock(message)
        case .inside(let user): return try handle(message, user)
        }
    }

    /// The token was good; the session is open in the router.
    package mutating func admitted() throws(Violation) -> [LegacyAction] {
        guard case .knocking(let user, let waiting) = entry else { return [] }
        entry = .inside(user: user)
        var actions: [LegacyAction] = []
        for message in waiting { actions += try handle(message, user) }
        return actions
    }

    package mutating func refused() -> [LegacyAction] { [.close] }

    // MARK: From the client

    private mutating func knock(_ message: LegacyMessage) throws(Violation) -> [LegacyAction] {
        switch message {
        case .prefix(let prefix, let uri):
            try remember(prefix, uri)
            return []
        case .call(let id, _, _):
            return [.send(LegacyMessage.failure(id, WAMPReason.notAuthorized, "Subscribe with a token first."))]
        case .subscribe(let topic):
            guard let ticket = LegacyTicket(topic) else { return [] }
            entry = .knocking(user: ticket.user, waiting: [message])
            return [.admit(user: ticket.user, token: ticket.token)]
        case .unsubscribe, .publish: return []
        }
    }

    private mutating func handle(_ message: LegacyMessage, _ user: String) throws(Violation) -> [LegacyAction] {
        switch message {
        case .prefix(let prefix, let uri):
            try remember(prefix, uri)
            return []
        case .call(let id, let procedure, let args):
            let request = next()
            calls[request] = id
            let payload = Payload(args: args)
            return [.route(.call(request: request, options: [:], procedure: expand(procedure), payload: payload))]
        case .subscribe(let topic): return try subscribe(topic, user)
        case .unsubscribe(let topic): return unsubscribe(topic)
        case .publish(let topic, let event, let options):
            let uri = LegacyTicket(topic)?.topic ?? expand(topic)
            let options = options.merging(excludedMe: session.value)
            return [.route(.publish(request: next(), options: options, topic: uri, payload: Payload(args: [event])))]
        }
    }

    private mutating func subscribe(_ topic: String, _ user: String) throws(Violation) -> [LegacyAction] {
        let ticket = LegacyTicket(topic)
        // A connection is one person's; who else comes brings a connection of their own.
        guard ticket == nil || ticket?.user == user else { throw Violation("The topic names another user.") }
        switch topics[topic] {
        case .subscribed: return []
        case .pending(let request, _):
            topics[topic] = .pending(request: request, isWanted: true)
            return []
        case nil:
            guard topics.count < Self.mostTopics else { throw Violation("Too many topics are subscribed to.") }
            let request = next()
            topics[topic] = .pending(request: request, isWanted: true)
            subscribing[request] = topic
            let uri = ticket?.topic ?? expand(topic)
            return [.route(.subscribe(request: request, options: ["get_retained": true], topic: uri))]
        }
    }

    private mutating func unsubscribe(_ topic: String) -> [LegacyAction] {
        switch topics[topic] {
        case nil: return []
        case .pending(let request, _):
            topics[topic] = .pending(request: request, isWanted: false)
            return []
        case .subscribed(let id):
            topics[topic] = nil
            return release(id)
        }
    }

    /// Gives a subscription back, unless the client reaches it by another string too.
    private mutating func release(_ id: Int64) -> [LegacyAction] {
        names(of: id).isEmpty ? [.route(.unsubscribe(request: next(), subscription: id))] : []
    }

    private func names(of id: Int64) -> [String] {
        topics.compactMap { if case .subscribed(id) = $0.value { $0.key } else { nil } }.sorted()
    }

    private mutating func remember(_ prefix: String, _ uri: String) throws(Violation) {
        guard prefixes[prefix] != nil || prefixes.count < Self.mostPrefixes else {
            throw Violation("Too many prefixes are defined.")
        }
        prefixes[prefix] = uri
    }

    /// A URI written as `prefix:rest`, made whole.
    private func expand(_ uri: String) -> String {
        guard let colon = uri.firstIndex(of: ":"), let start = prefixes[String(uri[..<colon])] else { return uri }
        return start + uri[uri.index(after: colon)...]
    }

    private mutating func next() -> Int64 {
        lastRequest += 1
        return lastRequest
    }

    // MARK: From the router

    /// Translates what the router sends to this session.
    package mutating func routed(_ message: Message) -> [LegacyAction] {
        switch message {
        case .subscribed(let request, let id):
            guard let topic = subscribing.removeValue(forKey: request), case .pending(_, let isWanted) = topics[topic]
            else { return [] }
            topics[topic] = isWanted ? .subscribed(id) : nil
            return isWanted ? [] : release(id)
        case .unsubscribed(0, let revoked):
            for name in revoked?["subscription"]?.int.map(names) ?? [] { topics[name] = nil }
            return []
        case .event(let subscription, _, _, let payload):
            let event = LegacyMessage.event(payload)
            return names(of: subscription).map { .send([8, .string($0), event]) }
        case .result(let request, _, let payload):
            guard let id = calls.removeValue(forKey: request) else { return [] }
            return [.send([3, .string(id), LegacyMessage.event(payload)])]
        case .error(.call, let request, _, let uri, let payload):
            guard let id = calls.removeValue(forKey: request) else { return [] }
            return [.send(LegacyMessage.failure(id, uri, payload.args.first?.string ?? "The call failed."))]
        case .error(.subscribe, let request, _, _, _):
            if let topic = subscribing.removeValue(forKey: request) { topics[topic] = nil }
            return []
        // Version 1 has no GOODBYE; the answer lets the router close the transport.
        case .goodbye: return [.route(.goodbye(details: [:], reason: WAMPReason.goodbyeAndOut))]
        default: return []
        }
    }
}
