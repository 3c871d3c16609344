/// Messages of open sessions: whether they are legal, well named and allowed, before the broker or dealer acts.
import Notation

extension Router {
    mutating func handle(
        _ message: Message,
        _ session: SessionID,
        _ open: RouterSession.Open,
        at now: Moment
    ) throws(Violation) {
        switch message {
        case .goodbye:
            act(.send(session, .goodbye(details: [:], reason: WAMPReason.goodbyeAndOut)))
            act(.close(session))
            end(session, at: now)
        case .abort:
            act(.close(session))
            end(session, at: now)
        case .publish(let request, let options, let topic, let payload):
            try count(request, .publish, session)
            let options = try PublishOptions(options)
            answer(request, .publish, session, silently: !options.acknowledge) { router throws(Refusal) in
                try router.published(request, session, open, topic, payload, options, at: now)
            }
        case .subscribe(let request, let options, let topic):
            try count(request, .subscribe, session)
            let options = try SubscribeOptions(options)
            answer(request, .subscribe, session) { router throws(Refusal) in
                try router.subscribed(request, session, open, topic, options, at: now)
            }
        case .unsubscribe(let request, let subscription):
            try count(request, .unsubscribe, session)
            answer(request, .unsubscribe, session) { router throws(Refusal) in
                try router.unsubscribed(request, session, subscription, at: now)
            }
        case .register(let request, let options, let procedure):
            try count(request, .register, session)
            let options = try RegisterOptions(options)
            answer(request, .register, session) { router throws(Refusal) in
                try router.registered(request, session, open, procedure, options, at: now)
            }
        case .unregister(let request, let registration):
            try count(request, .unregister, session)
            answer(request, .unregister, session) { router throws(Refusal) in
                try router.unregistered(request, session, registration, at: now)
            }
        case .call(let request, let options, let procedure, let payload):
            try count(request, .call, session)
            let options = try CallOptions(options)
            let key = CallTable.Key(caller: session, request: request)
            guard dealer.calls[key] == nil else {
                throw Violation("The request \(request) of CALL is still under way.")
            }
            answer(request, .call, session) { router throws(Refusal) in
                try router.called(key, open, procedure, payload, options, at: now)
            }
        case .cancel(let request, let options):
            cancelled(CallTable.Key(caller: session, request: request), try CancelMode(options))
        case .yield(let request, let options, let payload):
            let progress = try OptionReader(options: options, owner: "YIELD").flag("progress") ?? false
            try checkIssued(request, session, "YIELD")
            yielded(.session(session, invocation: request), payload, progress: progress)
        case .error(let kind, let request, let details, let uri, let payload):
            guard kind == .invocation else { throw Violation("A client sends ERROR for INVOCATION only.") }
            try checkIssued(request, session, "ERROR")
            failed(.session(session, invocation: request), uri, details, payload)
        case .hello: throw Violation("HELLO came a second time.")
        case .authenticate: throw Violation("AUTHENTICATE came after the session was open.")
        case .welcome, .challenge, .published, .subscribed, .unsubscribed, .event, .result, .registered, .unregistered,
            .invocation, .interrupt:
            throw Violation("\(message.kind.name) is sent by routers only.")
        }
    }

    /// Carries out a request; a refusal becomes its ERROR, unless nobody asked for an answer.
    private mutating func answer(
        _ request: Int64,
        _ kind: Message.Kind,
        _ session: SessionID,
        silently: Bool = false,
        _ carryOut: (inout Router) throws(Refusal) -> Void
    ) {
        do throws(Refusal) {
            try carryOut(&self)
        } catch  where silently {
            return
        } catch {
            sendError(session, kind, request, error.reason, error.payload)
        }
    }

    mutating func sendError(
        _ session: SessionID,
        _ kind: Message.Kind,
        _ request: Int64,
        _ uri: String,
        _ payload: Payload,
        details: [String: Value] = [:]
    ) {
        act(.send(session, .error(kind: kind, request: request, details: details, uri: uri, payload: payload)))
    }

    /// Request numbers count from 1, where that is demanded.
    private mutating func count(_ request: Int64, _ kind: Message.Kind, _ session: SessionID) throws(Violation) {
        guard configuration.sequentialRequests, case .open(var open) = sessions[session]?.state else { return }
        let expected = open.lastRequest == WAMPIdentifier.range.upperBound ? 1 : open.lastRequest + 1
        guard request == expected else {
            throw Violation(
                "The request of \(kind.name) must be \(expected), the number after the last, not \(request)."
            )
        }
        open.lastRequest = request
        sessions[session]!.state = .open(open)
    }

    /// An answer to a call that was given up is late; to one that never was it is a violation.
    private func checkIssued(_ invocation: Int64, _ session: SessionID, _ name: String) throws(Violation) {
        guard dealer.calls.wasIssued(invocation, to: session) else {
            throw Violation("\(name) answers the invocation \(invocation), which never was.")
        }
    }

    /// Checks the form of a URI and whether the session's role may do this.
    func authorize(_ operation: Operation, _ pattern: URIPattern, _ principal: Principal) throws(Refusal) {
        guard configuration.uris.allows(pattern) else {
            throw Refusal(WAMPReason.invalidURI, "The URI is not well formed.")
        }
        if pattern.uri.isReservedURI, operation == .publish || operation == .register {
            throw Refusal(WAMPReason.invalidURI, "URIs that begin with 'wamp' belong to the router.")
        }
        guard permissions.allows(operation, pattern, role: principal.role) else {
            throw Refusal(WAMPReason.notAuthorized, "The role '\(principal.role)' may not \(operation) this.")
        }
    }

    func checkDisclosure(_ isWanted: Bool) throws(Refusal) {
        guard !isWanted || configuration.allowsDisclosure else {
            throw Refusal(WAMPReason.discloseDisallowed, "This router does not disclose who publishes or calls.")
        }
    }
}
