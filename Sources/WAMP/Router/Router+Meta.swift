/// The procedures that the router runs itself: about sessions, subscriptions, registrations and testaments.
import Notation

extension Router {
    /// Takes new permissions, and takes away what they no longer allow.
    package mutating func setPermissions(_ table: PermissionTable, at now: Moment) -> [RouterAction] {
        permissions = table
        for session in sessionIDs {
            guard let principal = principal(of: session) else { continue }
            for id in broker.subscriptions(of: session).sorted()
            where !permissions.allows(.subscribe, broker.subscriptions[id]!.pattern, role: principal.role) {
                _ = revoke(session, subscription: id, reason: WAMPReason.notAuthorized, at: now)
            }
            for id in dealer.registrations(of: session).sorted()
            where !permissions.allows(.register, dealer.registrations[id]!.pattern, role: principal.role) {
                _ = revoke(session, registration: id, reason: WAMPReason.notAuthorized, at: now)
            }
        }
        return flush()
    }

    mutating func callMeta(
        _ procedure: String,
        _ payload: Payload,
        _ caller: SessionID,
        _ open: RouterSession.Open,
        at now: Moment
    ) throws(Refusal) -> [Value] {
        let arguments = MetaArguments(payload: payload, owner: procedure)
        let parts = procedure.split(separator: ".", maxSplits: 2).map(String.init)
        guard parts.count == 3 else { throw unknown }
        switch parts[1] {
        case "session": return try callSessions(parts[2], arguments, caller, open, at: now)
        case "subscription": return try callSubscriptions(parts[2], arguments, open.principal, at: now)
        case "registration": return try callRegistrations(parts[2], arguments, at: now)
        default: throw unknown
        }
    }

    private var unknown: Refusal { Refusal(WAMPReason.noSuchProcedure, "The router has no such procedure.") }

    // MARK: Sessions

    private mutating func callSessions(
        _ name: String,
        _ arguments: MetaArguments,
        _ caller: SessionID,
        _ open: RouterSession.Open,
        at now: Moment
    ) throws(Refusal) -> [Value] {
        switch name {
        case "count": return [.int(Int64(try list(arguments).count))]
        case "list": return [.array(try list(arguments).map { .int($0.value) })]
        case "get":
            let session = SessionID(try arguments.id(0, "session"))
            guard principal(of: session) != nil else { throw noSuchSession }
            return [.map(details(of: session))]
        case "kill":
            let session = SessionID(try arguments.id(0, "session"))
            guard principal(of: session) != nil, session != caller else { throw noSuchSession }
            try kill([session], arguments, at: now)
            return []
        case "kill_by_authid":
            let authid = try arguments.text(0, "authid")
            return [.array(try killAll(arguments, caller, at: now) { $0.authid == authid })]
        case "kill_by_authrole":
            let role = try arguments.text(0, "authrole")
            return [.int(Int64(try killAll(arguments, caller, at: now) { $0.role == role }.count))]
        case "kill_all":
            return [.int(Int64(try killAll(arguments, caller, at: now) { _ in true }.count))]
        case "add_testament":
            try addTestament(arguments, caller, open)
            return []
        case "flush_testaments":
            let scope = try scope(arguments)
            var open = open
            open.testaments[scope] = nil
            sessions[caller]!.state = .open(open)
            return []
        default: throw unknown
        }
    }

    private var noSuchSession: Refusal { Refusal(WAMPReason.noSuchSession, "There is no such other session.") }

    private func list(_ arguments: MetaArguments) throws(Refusal) -> [SessionID] {
        guard let roles = try arguments.texts(0, "filter_authroles") else { return sessionIDs }
        return sessionIDs.filter { principal(of: $0).map { roles.contains($0.role) } ?? false }
    }

    private mutating func killAll(
        _ arguments: MetaArguments,
        _ caller: SessionID,
        at now: Moment,
        where matches: (Principal) -> Bool
    ) throws(Refusal) -> [Value] {
        let targets = sessionIDs.filter { $0 != caller && principal(of: $0).map(matches) ?? false }
        try kill(targets, arguments, at: now)
        return targets.map { .int($0.value) }
    }

    private mutating func kill(_ targets: [SessionID], _ arguments: MetaArguments, at now: Moment) throws(Refusal) {
        let reason = try reason(arguments) ?? WAMPReason.killed
        let message = try arguments.keywordText("message")
        for target in targets { dismiss(target, reason, message, at: now) }
    }

    /// Why something is taken away; a client may end its session over one that is no URI.
    func reason(_ arguments: MetaArguments) throws(Refusal) -> String? {
        guard let reason = try arguments.keywordText("reason") else { return nil }
        guard configuration.uris.allows(reason) else {
            throw Refusal(WAMPReason.invalidURI, "The reason is no valid URI.")
        }
        return reason
    }

    func details(of session: SessionID) -> [String: Value] {
        var details = principal(of: session)?.details ?? [:]
        details["session"] = .int(session.value)
        details["transport"] = .map(sessions[session]?.transport ?? [:])
        return details
    }

    // MARK: Testaments

    private mutating func addTestament(
        _ arguments: MetaArguments,
        _ caller: SessionID,
        _ open: RouterSession.Open
    ) throws(Refusal) {
        let topic = try arguments.text(0, "topic")
        try authorize(.publish, URIPattern(topic), open.principal)
        let args = arguments.optional(1) ?? []
        let kwargs = arguments.optional(2) ?? [:]
        guard let args = args.array else { throw arguments.wrong("args", "a list") }
        guard let kwargs = kwargs.map else { throw arguments.wrong("kwargs", "a dictionary") }
        guard let options = (arguments.keyword("publish_options") ?? [:]).map else {
            throw arguments.wrong("publish_options", "a dictionary")
        }
        let parsed: PublishOptions
        do throws(Violation) {
            parsed = try PublishOptions(options)
        } catch {
            throw Refusal(WAMPReason.invalidArgument, error.message)
        }
        let scope = try scope(arguments)
        guard open.testaments.values.reduce(0, { $0 + $1.count }) < configuration.mostTestaments else {
            throw Refusal(
                WAMPReason.overLimit,
                "A session may leave \(configuration.mostTestaments) testaments; flush some."
            )
        }
        var open = open
        open.testaments[scope, default: []].append(
            Testament(topic: topic, payload: Payload(args: args, kwargs: kwargs), options: parsed)
        )
        sessions[caller]!.state = .open(open)
    }

    private func scope(_ arguments: MetaArguments) throws(Refusal) -> TestamentScope {
        guard let text = try arguments.keywordText("scope") else { return .destroyed }
        guard let scope = TestamentScope(rawValue: text) else {
            throw arguments.wrong("scope", "'detached' or 'destroyed'")
        }
        return scope
    }
}
