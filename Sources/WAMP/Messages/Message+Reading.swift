/// Reads messages from lists of values; every type is checked, everything else is a violation.
package import Notation

extension Message {
    package init(_ value: Value) throws(Violation) {
        guard let items = value.array else { throw Violation("A message is a list.") }
        guard let first = items.first else { throw Violation("A message is never an empty list.") }
        guard let kind = first.int.flatMap(Kind.init) else { throw Violation("There is no message of this type.") }
        var fields = MessageFields(items: items, kind: kind)
        self = try Self.read(&fields)
        try fields.end()
    }

    private static func read(_ fields: inout MessageFields) throws(Violation) -> Message {
        switch fields.kind {
        case .hello: .hello(realm: try fields.text("realm"), details: try fields.map("details"))
        case .welcome: .welcome(session: try fields.id("session"), details: try fields.map("details"))
        case .abort:
            .abort(details: try fields.map("details"), reason: try fields.text("reason"), payload: try fields.payload())
        case .challenge: .challenge(method: try fields.text("method"), extra: try fields.map("extra"))
        case .authenticate: .authenticate(signature: try fields.text("signature"), extra: try fields.map("extra"))
        case .goodbye: .goodbye(details: try fields.map("details"), reason: try fields.text("reason"))
        case .error:
            .error(
                kind: try fields.requestKind(),
                request: try fields.id("request"),
                details: try fields.map("details"),
                uri: try fields.text("error"),
                payload: try fields.payload()
            )
        case .publish, .published, .subscribe, .subscribed, .unsubscribe, .unsubscribed, .event:
            try readPublishing(&fields)
        case .call, .cancel, .result, .register, .registered, .unregister, .unregistered, .invocation, .interrupt,
            .yield:
            try readCalling(&fields)
        }
    }

    private static func readPublishing(_ fields: inout MessageFields) throws(Violation) -> Message {
        if fields.kind == .event {
            return .event(
                subscription: try fields.id("subscription"),
                publication: try fields.id("publication"),
                details: try fields.map("details"),
                payload: try fields.payload()
            )
        }
        let request = try fields.request()
        switch fields.kind {
        case .publish:
            return .publish(
                request: request,
                options: try fields.map("options"),
                topic: try fields.text("topic"),
                payload: try fields.payload()
            )
        case .published: return .published(request: request, publication: try fields.id("publication"))
        case .subscribe:
            return .subscribe(request: request, options: try fields.map("options"), topic: try fields.text("topic"))
        case .subscribed: return .subscribed(request: request, subscription: try fields.id("subscription"))
        case .unsubscribe: return .unsubscribe(request: request, subscription: try fields.id("subscription"))
        case .unsubscribed: return .unsubscribed(request: request, revoked: try fields.optionalMap("details"))
        default: preconditionFailure("\(fields.kind) is read elsewhere")
        }
    }

    private static func readCalling(_ fields: inout MessageFields) throws(Violation) -> Message {
        let request = try fields.request()
        switch fields.kind {
        case .call:
            return .call(
                request: request,
                options: try fields.map("options"),
                procedure: try fields.text("procedure"),
                payload: try fields.payload()
            )
        case .cancel: return .cancel(request: request, options: try fields.map("options"))
        case .result:
            return .result(request: request, details: try fields.map("details"), payload: try fields.payload())
        case .register:
            return .register(
                request: request,
                options: try fields.map("options"),
                procedure: try fields.text("procedure")
            )
        case .registered: return .registered(request: request, registration: try fields.id("registration"))
        case .unregister: return .unregister(request: request, registration: try fields.id("registration"))
        case .unregistered: return .unregistered(request: request, revoked: try fields.optionalMap("details"))
        case .invocation:
            return .invocation(
                request: request,
                registration: try fields.id("registration"),
                details: try fields.map("details"),
                payload: try fields.payload()
            )
        case .interrupt: return .interrupt(request: request, options: try fields.map("options"))
        case .yield:
            return .yield(request: request, options: try fields.map("options"), payload: try fields.payload())
        default: preconditionFailure("\(fields.kind) is read elsewhere")
        }
    }
}

/// The fields of a message in the order in which they stand.
private struct MessageFields {
    let items: [Value]
    let kind: Message.Kind
    private var next = 1

    init(items: [Value], kind: Message.Kind) {
        self.items = items
        self.kind = kind
    }

    mutating func text(_ name: String) throws(Violation) -> String {
        guard let text = try field(name).string else { throw wrong(name, "a string") }
        return text
    }

    mutating func map(_ name: String) throws(Violation) -> [String: Value] {
        guard let map = try field(name).map else { throw wrong(name, "a dictionary") }
        return map
    }

    mutating func optionalMap(_ name: String) throws(Violation) -> [String: Value]? {
        next < items.count ? try map(name) : nil
    }

    mutating func id(_ name: String) throws(Violation) -> Int64 {
        guard let id = try field(name).int, WAMPIdentifier.range.contains(id) else {
            throw wrong(name, "a whole number from 1 to 2^53")
        }
        return id
    }

    /// A request's number, which is 0 where a router takes something away.
    mutating func request() throws(Violation) -> Int64 {
        if kind == .unsubscribed || kind == .unregistered, next < items.count, items[next] == .int(0) {
            next += 1
            return 0
        }
        return try id("request")
    }

    mutating func requestKind() throws(Violation) -> Message.Kind {
        guard let kind = try field("request type").int.flatMap(Message.Kind.init) else {
            throw wrong("request type", "the number of a message type")
        }
        return kind
    }

    mutating func payload() throws(Violation) -> Payload {
        var payload = Payload()
        guard next < items.count else { return payload }
        guard case .array(let args) = try field("arguments") else { throw wrong("arguments", "a list") }
        payload.args = args
        if next < items.count { payload.kwargs = try map("keyword arguments") }
        return payload
    }

    func end() throws(Violation) {
        guard next == items.count else { throw Violation("\(kind.name) has too many elements.") }
    }

    private mutating func field(_ name: String) throws(Violation) -> Value {
        guard next < items.count else { throw Violation("\(kind.name) lacks its \(name).") }
        defer { next += 1 }
        return items[next]
    }

    private func wrong(_ name: String, _ expected: String) -> Violation {
        Violation("The \(name) of \(kind.name) must be \(expected).")
    }
}
