/// Registering and calling.
import Notation

extension Router {
    // MARK: From inside

    /// Registers a procedure that the shell runs. Sessions that hold it lose it: the controller's names are its own.
    package mutating func register(_ procedure: String, match: Match = .exact, at now: Moment) -> [RouterAction] {
        let pattern = URIPattern(procedure, match)
        if let id = dealer.index[pattern] {
            for case .session(let session) in dealer.registrations[id]!.callees.map(\.owner) {
                _ = revoke(session, registration: id, reason: "taken by the controller", at: now)
            }
        }
        let callee = Dealer.Callee(
            owner: .shell,
            discloseCaller: true,
            forwardTimeout: false,
            cancels: true,
            makesProgress: true
        )
        let added = dealer.register(callee, pattern, policy: .single, at: now)
        precondition(added != nil, "the procedure \(procedure) is registered once by the shell")
        return flush()
    }

    /// Takes a procedure of the shell back; calls under way go on.
    package mutating func unregister(_ procedure: String, match: Match = .exact, at now: Moment) -> [RouterAction] {
        if let id = dealer.index[URIPattern(procedure, match)] { _ = dealer.unregister(.shell, from: id) }
        return flush()
    }

    /// The shell's procedure has a result, or with `progress` a part of it.
    package mutating func yielded(
        _ invocation: InvocationID,
        _ payload: Payload,
        progress: Bool = false,
        at now: Moment
    ) -> [RouterAction] {
        yielded(.shell(invocation), payload, progress: progress)
        return flush()
    }

    /// The shell's procedure has failed.
    package mutating func failed(
        _ invocation: InvocationID,
        _ uri: String,
        _ payload: Payload = Payload(),
        at now: Moment
    ) -> [RouterAction] {
        failed(.shell(invocation), uri, [:], payload)
        return flush()
    }

    // MARK: Registering

    mutating func registered(
        _ request: Int64,
        _ session: SessionID,
        _ open: RouterSession.Open,
        _ procedure: String,
        _ options: RegisterOptions,
        at now: Moment
    ) throws(Refusal) {
        let pattern = URIPattern(procedure, options.match)
        try authorize(.register, pattern, open.principal)
        try checkDisclosure(options.discloseCaller)
        guard dealer.registrations(of: session).count < configuration.mostRegistrations else {
            throw Refusal(
                WAMPReason.overLimit,
                "A session may hold \(configuration.mostRegistrations) registrations; give one back."
            )
        }
        let callee = Dealer.Callee(
            owner: .session(session),
            discloseCaller: options.discloseCaller,
            forwardTimeout: options.forwardTimeout,
            cancels: open.features.cancelsCalls,
            makesProgress: open.features.makesProgress
        )
        guard let (id, isFirst) = dealer.register(callee, pattern, policy: options.invoke, at: now) else {
            throw Refusal(WAMPReason.procedureExists, "The procedure is registered already.")
        }
        act(.send(session, .registered(request: request, registration: id)))
        if isFirst {
            publishMeta("wamp.registration.on_create", at: now) { router in
                [.int(session.value), router.details(ofRegistration: id)]
            }
        }
        publishMeta("wamp.registration.on_register", at: now) { _ in [.int(session.value), .int(id)] }
    }

    mutating func unregistered(
        _ request: Int64,
        _ session: SessionID,
        _ registration: Int64,
        at now: Moment
    ) throws(Refusal) {
        guard withdraw(session, registration, then: .unregistered(request: request, revoked: nil), at: now) else {
            throw Refusal(WAMPReason.noSuchRegistration, "This session has no such registration.")
        }
    }

    /// Takes a registration away.
    mutating func revoke(_ session: SessionID, registration: Int64, reason: String?, at now: Moment) -> Bool {
        guard case .open(let open) = sessions[session]?.state else { return false }
        var details: [String: Value] = ["registration": .int(registration)]
        if let reason { details["reason"] = .string(reason) }
        let notice = Message.unregistered(request: 0, revoked: details)
        return withdraw(session, registration, then: open.features.losesRegistrations ? notice : nil, at: now)
    }

    private mutating func withdraw(_ session: SessionID, _ id: Int64, then message: Message?, at now: Moment) -> Bool {
        guard let isLast = dealer.unregister(.session(session), from: id) else { return false }
        if let message { act(.send(session, message)) }
        publishMeta("wamp.registration.on_unregister", at: now) { _ in [.int(session.value), .int(id)] }
        if isLast {
            publishMeta("wamp.registration.on_delete", at: now) { _ in [.int(session.value), .int(id)] }
        }
        return true
    }

    // MARK: Calling

    mutating func called(
        _ key: CallTable.Key,
        _ open: RouterSession.Open,
        _ procedure: String,
        _ payload: Payload,
        _ options: CallOptions,
        at now: Moment
    ) throws(Refusal) {
        try authorize(.call, URIPattern(procedure), open.principal)
        try checkDisclosure(options.discloseMe)
        if procedure.isReservedURI {
            let result = try callMeta(procedure, payload, key.caller, open, at: now)
            act(.send(key.caller, .result(request: key.request, details: [:], payload: Payload(args: result))))
            return
        }
        guard let id = dealer.index.best(procedure) else {
            throw Refusal(WAMPReason.noSuchProcedure, "Nobody has registered this procedure.")
        }
        guard dealer.calls.count(key.caller) < configuration.mostCalls else {
            throw Refusal(
                WAMPReason.overLimit,
                "A session may have \(configuration.mostCalls) calls under way; wait for one."
            )
        }
        invoke(id, key, open.principal, procedure, payload, options)
    }

    private mutating func invoke(
        _ id: Int64,
        _ key: CallTable.Key,
        _ principal: Principal,
        _ procedure: String,
        _ payload: Payload,
        _ options: CallOptions
    ) {
        var generator = random
        let callee = dealer.choose(id) { Int.random(in: 0..<$0, using: &generator) }
        random = generator
        let receiveProgress = options.receiveProgress && callee.makesProgress
        let timeout = callee.forwardTimeout ? nil : options.timeout
        let call = dealer.calls.begin(key, callee: callee, receiveProgress: receiveProgress, timeout: timeout)
        let pattern = dealer.registrations[id]!.pattern
        switch call.place {
        case .session(let session, let invocation):
            var details: [String: Value] = [:]
            if pattern.match != .exact { details["procedure"] = .string(procedure) }
            if receiveProgress { details["receive_progress"] = true }
            if callee.forwardTimeout, let limit = options.timeout { details["timeout"] = .int(limit) }
            if options.discloseMe || callee.discloseCaller {
                details.merge(identity(key.caller, principal, as: "caller")) { $1 }
            }
            act(
                .send(
                    session,
                    .invocation(request: invocation, registration: id, details: details, payload: payload)
                )
            )
        case .shell(let invocation):
            let internalCall = InternalCall(
                procedure: procedure,
                registered: pattern.uri,
                payload: payload,
                caller: key.caller,
                principal: principal,
                receiveProgress: receiveProgress,
                timeout: options.timeout
            )
            act(.invoke(invocation, internalCall))
        }
        if let timeout { act(.setTimer(.call(call.serial), milliseconds: timeout)) }
    }

    mutating func yielded(_ place: CallTable.Place, _ payload: Payload, progress: Bool) {
        // A call that was given up may still be answered.
        guard let call = dealer.calls[place] else { return }
        let caller = call.key.caller
        guard progress else {
            finish(call)
            act(.send(caller, .result(request: call.key.request, details: [:], payload: payload)))
            return
        }
        // A callee that sends parts unasked, or after it was interrupted, is not passed on.
        guard call.receiveProgress, !call.isKilled else { return }
        if let timeout = call.timeout {
            act(.cancelTimer(.call(call.serial)))
            act(.setTimer(.call(call.serial), milliseconds: timeout))
        }
        act(.send(caller, .result(request: call.key.request, details: ["progress": true], payload: payload)))
    }

    mutating func failed(_ place: CallTable.Place, _ uri: String, _ details: [String: Value], _ payload: Payload) {
        guard let call = dealer.calls[place] else { return }
        finish(call)
        // What a callee calls its error need not be a URI that we would take; the caller must get some answer.
        let uri = configuration.uris.allows(uri) ? uri : WAMPReason.invalidURI
        sendError(call.key.caller, .call, call.key.request, uri, payload, details: details)
    }

    mutating func cancelled(_ key: CallTable.Key, _ mode: CancelMode) {
        // The result may have been on its way; a second CANCEL says nothing new, unless it no longer waits.
        guard let call = dealer.calls[key] else { return }
        switch call.cancels ? mode : .skip {
        case .kill:
            guard !call.isKilled else { return }
            dealer.calls.kill(key)
            interrupt(call, .kill)
        case .killnowait:
            giveUp(call, WAMPReason.canceled, "The call was cancelled.")
            if !call.isKilled { interrupt(call, .killnowait) }
        case .skip: giveUp(call, WAMPReason.canceled, "The call was cancelled.")
        }
    }

    mutating func timedOut(_ call: CallTable.Call) {
        giveUp(call, WAMPReason.timeout, "The call had no result in time.")
        if call.cancels, !call.isKilled { interrupt(call, .killnowait) }
    }

    /// Ends the calls of a leaving session, those it made and those it runs, and its registrations.
    mutating func giveBackCalls(_ session: SessionID, at now: Moment) {
        for call in dealer.calls.calls(made: session) {
            finish(call)
            if call.cancels, !call.isKilled { interrupt(call, .killnowait) }
        }
        for call in dealer.calls.calls(runBy: session) {
            giveUp(call, WAMPReason.canceled, "The callee left before it had a result.")
        }
        dealer.calls.forget(session)
        for id in dealer.registrations(of: session).sorted() { _ = withdraw(session, id, then: nil, at: now) }
    }

    private mutating func giveUp(_ call: CallTable.Call, _ reason: String, _ message: String) {
        finish(call)
        sendError(call.key.caller, .call, call.key.request, reason, Payload(args: [.string(message)]))
    }

    private mutating func finish(_ call: CallTable.Call) {
        dealer.calls.end(call)
        if call.timeout != nil { act(.cancelTimer(.call(call.serial))) }
    }

    private mutating func interrupt(_ call: CallTable.Call, _ mode: CancelMode) {
        switch call.place {
        case .session(let session, let invocation):
            // A session that leaves while it runs its own call is told nothing any more.
            guard case .open = sessions[session]?.state else { return }
            act(.send(session, .interrupt(request: invocation, options: ["mode": .string(mode.rawValue)])))
        case .shell(let invocation): act(.interrupt(invocation))
        }
    }
}
