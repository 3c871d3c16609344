/// Publishing and subscribing.
import Notation

extension Router {
    // MARK: From inside

    /// Publishes an event of the controller's own. The audience applies; there is no publisher to leave out.
    package mutating func publish(
        _ topic: String,
        _ payload: Payload,
        options: PublishOptions = PublishOptions(),
        at now: Moment
    ) -> [RouterAction] {
        publish(topic, payload, options, details: [:], except: nil, id: newPublication(), at: now)
        return flush()
    }

    /// Declares topics whose state the shell makes, or whose events are kept.
    package mutating func declare(_ policy: TopicPolicy, at now: Moment) -> [RouterAction] {
        act(broker.declare(policy, at: now))
        return flush()
    }

    package mutating func withdraw(_ pattern: URIPattern, at now: Moment) -> [RouterAction] {
        act(broker.withdraw(pattern))
        return flush()
    }

    // MARK: From sessions

    mutating func published(
        _ request: Int64,
        _ session: SessionID,
        _ open: RouterSession.Open,
        _ topic: String,
        _ payload: Payload,
        _ options: PublishOptions,
        at now: Moment
    ) throws(Refusal) {
        try authorize(.publish, URIPattern(topic), open.principal)
        try checkDisclosure(options.discloseMe)
        let id = newPublication()
        let details = options.discloseMe ? identity(session, open.principal, as: "publisher") : [:]
        let except = options.excludeMe ? session : nil
        publish(topic, payload, options, details: details, except: except, id: id, at: now)
        if options.acknowledge { act(.send(session, .published(request: request, publication: id))) }
    }

    private mutating func publish(
        _ topic: String,
        _ payload: Payload,
        _ options: PublishOptions,
        details: [String: Value],
        except: SessionID?,
        id: Int64,
        at now: Moment
    ) {
        let event = StoredEvent(
            publication: id,
            topic: topic,
            published: now,
            details: details,
            payload: payload,
            audience: options.audience,
            except: except
        )
        publish(event, retain: options.retain)
    }

    mutating func subscribed(
        _ request: Int64,
        _ session: SessionID,
        _ open: RouterSession.Open,
        _ topic: String,
        _ options: SubscribeOptions,
        at now: Moment
    ) throws(Refusal) {
        let pattern = URIPattern(topic, options.match)
        try authorize(.subscribe, pattern, open.principal)
        let held = broker.subscriptions(of: session)
        let isHeld = broker.index[pattern].map(held.contains) ?? false
        guard isHeld || held.count < configuration.mostSubscriptions else {
            throw Refusal(
                WAMPReason.overLimit,
                "A session may hold \(configuration.mostSubscriptions) subscriptions; give one back."
            )
        }
        let joining = broker.subscribe(session, open.principal, to: pattern, at: now)
        let id = joining.subscription
        act(.send(session, .subscribed(request: request, subscription: id)))
        if joining.isNew { act(.join(session, subscription: id)) }
        if joining.isFirst { act(broker.watch(pattern)) }
        if options.getRetained {
            var generator = random
            act(
                broker.retainedEvents(session, open.principal, subscription: id) {
                    Int64.random(in: WAMPIdentifier.range, using: &generator)
                }
            )
            random = generator
        }
        if joining.isFirst {
            publishMeta("wamp.subscription.on_create", at: now) { router in
                [.int(session.value), router.details(ofSubscription: id)]
            }
        }
        if joining.isNew {
            publishMeta("wamp.subscription.on_subscribe", at: now) { _ in [.int(session.value), .int(id)] }
        }
    }

    mutating func unsubscribed(
        _ request: Int64,
        _ session: SessionID,
        _ subscription: Int64,
        at now: Moment
    ) throws(Refusal) {
        guard leave(session, subscription, then: .unsubscribed(request: request, revoked: nil), at: now) else {
            throw Refusal(WAMPReason.noSuchSubscription, "This session has no such subscription.")
        }
    }

    /// Takes a subscription away.
    mutating func revoke(_ session: SessionID, subscription: Int64, reason: String?, at now: Moment) -> Bool {
        guard case .open(let open) = sessions[session]?.state else { return false }
        var details: [String: Value] = ["subscription": .int(subscription)]
        if let reason { details["reason"] = .string(reason) }
        let notice = Message.unsubscribed(request: 0, revoked: details)
        return leave(session, subscription, then: open.features.losesSubscriptions ? notice : nil, at: now)
    }

    /// Takes a session out of a subscription, sends the message after its last event, and tells who asked to know.
    mutating func leave(_ session: SessionID, _ id: Int64, then message: Message?, at now: Moment) -> Bool {
        guard let pattern = broker.subscriptions[id]?.pattern,
            let isLast = broker.unsubscribe(session, from: id)
        else { return false }
        act(.leave(session, subscription: id))
        if let message { act(.send(session, message)) }
        if isLast { act(broker.watch(pattern)) }
        tellLeft(session, id, isLast: isLast, at: now)
        return true
    }

    /// Takes a session out of all its subscriptions before anybody is told, so that it gets no event of its own leaving.
    private mutating func giveBackSubscriptions(_ session: SessionID, at now: Moment) {
        var left: [(id: Int64, isLast: Bool)] = []
        for id in broker.subscriptions(of: session).sorted() {
            guard let pattern = broker.subscriptions[id]?.pattern, let isLast = broker.unsubscribe(session, from: id)
            else { preconditionFailure("a session is in the subscriptions that it has joined") }
            act(.leave(session, subscription: id))
            if isLast { act(broker.watch(pattern)) }
            left.append((id, isLast))
        }
        for (id, isLast) in left { tellLeft(session, id, isLast: isLast, at: now) }
    }

    private mutating func tellLeft(_ session: SessionID, _ id: Int64, isLast: Bool, at now: Moment) {
        publishMeta("wamp.subscription.on_unsubscribe", at: now) { _ in [.int(session.value), .int(id)] }
        if isLast {
            publishMeta("wamp.subscription.on_delete", at: now) { _ in [.int(session.value), .int(id)] }
        }
    }

    // MARK: Helpers

    /// Publishes a meta event, whose arguments are made only if somebody is there to see them.
    mutating func publishMeta(_ topic: String, at now: Moment, _ args: (Router) -> [Value]) {
        guard broker.isWanted(topic) else { return }
        let payload = Payload(args: args(self))
        publish(topic, payload, PublishOptions(), details: [:], except: nil, id: newPublication(), at: now)
    }

    /// How events and invocations name a session that discloses itself.
    func identity(_ session: SessionID, _ principal: Principal, as name: String) -> [String: Value] {
        [
            name: .int(session.value), "\(name)_authid": .string(principal.authid),
            "\(name)_authrole": .string(principal.role),
        ]
    }

    /// Gives back all that a session holds and publishes its testaments.
    mutating func giveBack(_ session: SessionID, _ state: RouterSession.State, at now: Moment) {
        guard case .open(let open) = state else { return }
        openCount -= 1
        giveBackSubscriptions(session, at: now)
        giveBackCalls(session, at: now)
        for scope in TestamentScope.allCases {
            for testament in open.testaments[scope] ?? [] {
                // What the session may publish was checked when it wrote this; its role may have lost it since.
                let pattern = URIPattern(testament.topic)
                guard permissions.allows(.publish, pattern, role: open.principal.role) else { continue }
                let details =
                    testament.options.discloseMe && configuration.allowsDisclosure
                    ? identity(session, open.principal, as: "publisher") : [:]
                publish(
                    testament.topic,
                    testament.payload,
                    testament.options,
                    details: details,
                    except: nil,
                    id: newPublication(),
                    at: now
                )
            }
        }
        publishMeta("wamp.session.on_leave", at: now) { _ in
            [.int(session.value), .string(open.principal.authid), .string(open.principal.role)]
        }
    }
}
