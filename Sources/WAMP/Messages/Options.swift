/// The options of client messages that the router knows.
import Notation

/// How an event is published (PUBLISH.Options).
package struct PublishOptions: Sendable, Hashable {
    package var acknowledge = false
    /// Whether the publisher does not get its own event.
    package var excludeMe = true
    package var discloseMe = false
    /// Whether the event is kept for those who subscribe later and ask for it.
    package var retain = false
    package var audience = Audience()

    package init() {}

    init(_ options: [String: Value]) throws(Violation) {
        let reader = OptionReader(options: options, owner: "PUBLISH")
        acknowledge = try reader.flag("acknowledge") ?? false
        excludeMe = try reader.flag("exclude_me") ?? true
        discloseMe = try reader.flag("disclose_me") ?? false
        retain = try reader.flag("retain") ?? false
        audience.exclude = try reader.ids("exclude")
        audience.excludeAuthid = try reader.texts("exclude_authid")
        audience.excludeRole = try reader.texts("exclude_authrole")
        audience.eligible = try reader.ids("eligible")
        audience.eligibleAuthid = try reader.texts("eligible_authid")
        audience.eligibleRole = try reader.texts("eligible_authrole")
    }
}

/// Black- and white-lists of an event; a list that is absent does not restrict.
package struct Audience: Sendable, Hashable {
    package var exclude: [Int64]?
    package var excludeAuthid: [String]?
    package var excludeRole: [String]?
    package var eligible: [Int64]?
    package var eligibleAuthid: [String]?
    package var eligibleRole: [String]?

    package init() {}

    var isEverybody: Bool { !namesSessions && !namesPeople }

    /// Whether sessions are listed, which do not outlive their connection.
    var namesSessions: Bool { exclude != nil || eligible != nil }

    private var namesPeople: Bool {
        excludeAuthid != nil || excludeRole != nil || eligibleAuthid != nil || eligibleRole != nil
    }

    func includes(_ session: SessionID, _ principal: Principal) -> Bool {
        eligible?.contains(session.value) != false && exclude?.contains(session.value) != true
            && includes(principal)
    }

    /// By person and role alone, as event history filters.
    func includes(_ principal: Principal) -> Bool {
        eligibleAuthid?.contains(principal.authid) != false && eligibleRole?.contains(principal.role) != false
            && excludeAuthid?.contains(principal.authid) != true && excludeRole?.contains(principal.role) != true
    }
}

/// How a session subscribes (SUBSCRIBE.Options).
struct SubscribeOptions {
    var match: Match
    var getRetained: Bool

    init(_ options: [String: Value]) throws(Violation) {
        let reader = OptionReader(options: options, owner: "SUBSCRIBE")
        match = try reader.word("match", Match.self) ?? .exact
        getRetained = try reader.flag("get_retained") ?? false
    }
}

/// How a procedure is called (CALL.Options).
struct CallOptions {
    var receiveProgress: Bool
    var discloseMe: Bool
    /// In milliseconds; nil without a limit.
    var timeout: Int64?

    init(_ options: [String: Value]) throws(Violation) {
        let reader = OptionReader(options: options, owner: "CALL")
        receiveProgress = try reader.flag("receive_progress") ?? false
        discloseMe = try reader.flag("disclose_me") ?? false
        let limit = try reader.count("timeout") ?? 0
        timeout = limit > 0 ? limit : nil
    }
}

/// Which callee of a shared registration is called.
package enum InvocationPolicy: String, Sendable, CaseIterable {
    case single
    case roundrobin
    case random
    case first
    case last
}

/// How a procedure is registered (REGISTER.Options).
struct RegisterOptions {
    var match: Match
    var invoke: InvocationPolicy
    var discloseCaller: Bool
    /// Whether the callee watches time-outs itself.
    var forwardTimeout: Bool

    init(_ options: [String: Value]) throws(Violation) {
        let reader = OptionReader(options: options, owner: "REGISTER")
        match = try reader.word("match", Match.self) ?? .exact
        invoke = try reader.word("invoke", InvocationPolicy.self) ?? .single
        discloseCaller = try reader.flag("disclose_caller") ?? false
        forwardTimeout = try reader.flag("forward_timeout") ?? false
    }
}

/// How a call is given up (CANCEL.Options).
enum CancelMode: String, CaseIterable {
    /// The caller is answered at once; the callee is not told.
    case skip
    /// The callee is told, and its answer goes to the caller.
    case kill
    /// The caller is answered at once; the callee is told and its answer discarded.
    case killnowait

    init(_ options: [String: Value]) throws(Violation) {
        self = try OptionReader(options: options, owner: "CANCEL").word("mode", CancelMode.self) ?? .killnowait
    }
}

/// What a client says of itself (HELLO.Details).
struct HelloDetails {
    var methods: [String]
    var authid: String?
    var extra: [String: Value]
    var features: PeerFeatures

    init(_ details: [String: Value]) throws(Violation) {
        let reader = OptionReader(options: details, owner: "HELLO")
        methods = try reader.texts("authmethods") ?? []
        authid = try reader.text("authid")
        extra = try reader.map("authextra") ?? [:]
        _ = try reader.text("agent")
        guard let roles = try reader.map("roles") else { throw Violation("HELLO must name the client's roles.") }
        features = try PeerFeatures(roles)
    }
}

/// The features of a client that change what the router sends.
struct PeerFeatures {
    /// As callee, takes INTERRUPT.
    var cancelsCalls = false
    /// As callee, sends progressive results.
    var makesProgress = false
    /// As callee, learns of a registration taken away.
    var losesRegistrations = false
    /// As subscriber, learns of a subscription taken away.
    var losesSubscriptions = false

    init() {}

    init(_ roles: [String: Value]) throws(Violation) {
        guard ["publisher", "subscriber", "caller", "callee"].contains(where: { roles[$0] != nil }) else {
            throw Violation("HELLO must name at least one of the roles publisher, subscriber, caller, callee.")
        }
        let reader = OptionReader(options: roles, owner: "HELLO roles")
        let subscriber = try Self.features(reader, "subscriber")
        let callee = try Self.features(reader, "callee")
        _ = try Self.features(reader, "publisher")
        _ = try Self.features(reader, "caller")
        losesSubscriptions = try subscriber.flag("subscription_revocation") ?? false
        cancelsCalls = try callee.flag("call_canceling") ?? false
        losesRegistrations = try callee.flag("registration_revocation") ?? false
        // The specification wants call_canceling announced beside it, so that a stream can be stopped whose caller leaves.
        // autobahn.js does not; what it then still sends is dropped, as every YIELD of a call that is over.
        makesProgress = try callee.flag("progressive_call_results") ?? false
    }

    private static func features(_ roles: OptionReader, _ role: String) throws(Violation) -> OptionReader {
        let details = OptionReader(options: try roles.map(role) ?? [:], owner: "HELLO roles.\(role)")
        return OptionReader(options: try details.map("features") ?? [:], owner: "HELLO roles.\(role).features")
    }
}
