/// One realm: its sessions, their subscriptions and calls. Pure; the shell carries out the actions.
///
/// A connection lives so: `connected`, HELLO → `authenticate` → `resolved` → (CHALLENGE, AUTHENTICATE →
/// (`checkTicket` → `ticketChecked`)) → WELCOME and `opened`; then anything; at last GOODBYE, ABORT or `disconnected`.
/// Whatever ends it, its subscriptions, registrations and calls are given back at once.
package import Notation

package struct Router {
    let configuration: RouterConfiguration
    let cryptography: any Cryptography
    var random: any RandomNumberGenerator & Sendable
    var permissions: PermissionTable
    var sessions: [SessionID: RouterSession] = [:]
    var broker: Broker
    var dealer = Dealer()
    /// Sessions with a WELCOME.
    var openCount = 0
    private var isShuttingDown = false
    private var actions: [RouterAction] = []

    package init(
        _ configuration: RouterConfiguration = RouterConfiguration(),
        permissions: PermissionTable,
        cryptography: any Cryptography,
        random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    ) {
        self.configuration = configuration
        self.permissions = permissions
        self.cryptography = cryptography
        self.random = random
        broker = Broker(mostRetainedTopics: configuration.mostRetainedTopics)
    }

    // MARK: Connections

    /// A client has connected. Its number is drawn here and stays its session's.
    ///
    /// - Parameter transport: what `wamp.session.get` tells about the connection.
    package mutating func connected(
        transport: [String: Value] = [:],
        at now: Moment
    ) -> (SessionID, [RouterAction]) {
        let session = newSession(transport)
        act(.setTimer(.handshake(session), milliseconds: configuration.handshakeLimit))
        return (session, flush())
    }

    /// A connected client has proved itself outside of WAMP v2; WELCOME is sent unasked.
    package mutating func entered(
        _ session: SessionID,
        _ principal: Principal,
        at now: Moment
    ) -> [RouterAction] {
        guard case .greeting = sessions[session]?.state else { return [] }
        open(session, principal, PeerFeatures(), at: now)
        return flush()
    }

    package mutating func received(_ message: Message, from session: SessionID, at now: Moment) -> [RouterAction] {
        // A message may still be on its way when its session has ended.
        guard let state = sessions[session]?.state else { return [] }
        do throws(Violation) {
            if case .open(let open) = state {
                try handle(message, session, open, at: now)
            } else {
                try handshake(message, session, state, at: now)
            }
        } catch {
            abort(session, WAMPReason.protocolViolation, error.message, at: now)
        }
        return flush()
    }

    /// A client has sent what is no message: ABORT and close.
    package mutating func violated(_ session: SessionID, _ violation: Violation, at now: Moment) -> [RouterAction] {
        guard sessions[session] != nil else { return [] }
        abort(session, WAMPReason.protocolViolation, violation.message, at: now)
        return flush()
    }

    /// The transport is gone. A session that has ended already is passed over.
    package mutating func disconnected(_ session: SessionID, at now: Moment) -> [RouterAction] {
        guard sessions[session] != nil else { return [] }
        end(session, at: now)
        return flush()
    }

    package mutating func timerFired(_ timer: RouterTimer, at now: Moment) -> [RouterAction] {
        switch timer {
        case .handshake(let session):
            guard let state = sessions[session]?.state else { return [] }
            switch state {
            // The shell has been slow, or the timer was: both are no fault of the client's.
            case .open, .closing: return []
            case .greeting, .resolving, .challenged, .checking:
                abort(session, WAMPReason.timeout, "The session was not opened in time.", at: now)
            }
        case .goodbye(let session):
            guard case .closing = sessions[session]?.state else { return [] }
            sessions[session] = nil
            act(.close(session))
        case .call(let serial):
            guard let call = dealer.calls[serial: serial] else { return [] }
            timedOut(call)
        }
        return flush()
    }

    // MARK: Closing

    /// Ends sessions with GOODBYE, or with ABORT those that are not open yet.
    package mutating func kill(
        _ targets: [SessionID],
        reason: String = WAMPReason.killed,
        message: String? = nil,
        at now: Moment
    ) -> [RouterAction] {
        for session in targets { dismiss(session, reason, message, at: now) }
        return flush()
    }

    /// Ends all sessions; whoever comes later is refused.
    package mutating func shutDown(at now: Moment) -> [RouterAction] {
        isShuttingDown = true
        let all = sessions.keys.sorted { $0.value < $1.value }
        return kill(all, reason: WAMPReason.shutdown, message: "The controller is shutting down.", at: now)
    }

    var refusesEntry: Bool { isShuttingDown }

    // MARK: What the shell may ask

    /// Who an open session is.
    package func principal(of session: SessionID) -> Principal? {
        guard case .open(let open) = sessions[session]?.state else { return nil }
        return open.principal
    }

    /// The open sessions.
    package var sessionIDs: [SessionID] {
        sessions.filter { if case .open = $0.value.state { true } else { false } }.keys.sorted { $0.value < $1.value }
    }

    /// Whether anybody's subscription reaches this topic.
    package func isWatched(_ topic: String) -> Bool { broker.isWatched(topic) }

    /// A number for an event that the shell makes itself.
    package mutating func newPublication() -> Int64 {
        Int64.random(in: WAMPIdentifier.range, using: &random)
    }

    // MARK: Ending sessions

    /// GOODBYE by the router: everything is given back now, the client's answer is waited for.
    mutating func dismiss(_ session: SessionID, _ reason: String, _ message: String?, at now: Moment) {
        guard let state = sessions[session]?.state else { return }
        switch state {
        case .closing: return
        case .open:
            let details: [String: Value] = message.map { ["message": .string($0)] } ?? [:]
            act(.send(session, .goodbye(details: details, reason: reason)))
            sessions[session]!.state = .closing
            act(.setTimer(.goodbye(session), milliseconds: configuration.goodbyeLimit))
            giveBack(session, state, at: now)
        case .greeting, .resolving, .challenged, .checking:
            abort(session, reason, message ?? "The session was ended.", at: now)
        }
    }

    mutating func abort(_ session: SessionID, _ reason: String, _ message: String, at now: Moment) {
        act(.send(session, .abort(details: ["message": .string(message)], reason: reason, payload: Payload())))
        act(.close(session))
        end(session, at: now)
    }

    /// Forgets a session and gives back all that it holds.
    mutating func end(_ session: SessionID, at now: Moment) {
        guard let state = sessions.removeValue(forKey: session)?.state else { return }
        switch state {
        case .open: giveBack(session, state, at: now)
        case .closing: act(.cancelTimer(.goodbye(session)))
        case .greeting, .resolving, .challenged, .checking: act(.cancelTimer(.handshake(session)))
        }
    }

    // MARK: Helpers

    mutating func act(_ action: RouterAction) { actions.append(action) }

    mutating func act(_ more: [RouterAction]) { actions.append(contentsOf: more) }

    mutating func flush() -> [RouterAction] {
        let all = actions
        actions = []
        return all
    }

    /// Lets the broker write its actions straight into ours.
    mutating func publish(_ event: StoredEvent, retain: Bool) {
        broker.publish(event, retain: retain, &actions)
    }

    private mutating func newSession(_ transport: [String: Value]) -> SessionID {
        var session: SessionID
        repeat {
            session = SessionID(Int64.random(in: WAMPIdentifier.range, using: &random))
        } while sessions[session] != nil
        sessions[session] = RouterSession(transport: transport)
        return session
    }
}
