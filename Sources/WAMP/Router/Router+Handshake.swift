/// From HELLO to WELCOME.
import Notation

extension Router {
    /// What WELCOME says of the router, beside the session's own.
    private static let roles: Value = [
        "broker": [
            "features": [
                "publisher_exclusion": true, "publisher_identification": true, "subscriber_blackwhite_listing": true,
                "pattern_based_subscription": true, "event_retention": true, "event_history": true,
                "subscription_meta_api": true, "subscription_revocation": true, "session_meta_api": true,
            ]
        ],
        "dealer": [
            "features": [
                "progressive_call_results": true, "call_canceling": true, "call_timeout": true,
                "caller_identification": true, "pattern_based_registration": true, "shared_registration": true,
                "registration_meta_api": true, "registration_revocation": true, "session_meta_api": true,
                "testament_meta_api": true,
            ]
        ],
    ]

    /// Every refusal says the same, whatever was wrong.
    private static let denial = "The login was refused."

    /// Bytes of randomness in a challenge.
    private static let nonceLength = 32

    /// A message from a session that is not open.
    mutating func handshake(
        _ message: Message,
        _ session: SessionID,
        _ state: RouterSession.State,
        at now: Moment
    ) throws(Violation) {
        switch (state, message) {
        case (.closing, .goodbye), (.closing, .abort), (_, .abort):
            act(.close(session))
            end(session, at: now)
        case (.closing, _): break  // It was on its way when GOODBYE was sent.
        case (.greeting, .hello(let realm, let details)):
            try greeted(session, realm: realm, HelloDetails(details), at: now)
        case (.greeting, _): throw Violation("The first message must be HELLO, not \(message.kind.name).")
        case (.challenged(let challenge, let details), .authenticate(let signature, _)):
            authenticated(session, challenge, details, signature, at: now)
        case (.challenged, _): throw Violation("CHALLENGE is answered by AUTHENTICATE, not by \(message.kind.name).")
        case (.resolving, _), (.checking, _):
            throw Violation("\(message.kind.name) came before the session was open.")
        case (.open, _): preconditionFailure("open sessions are handled elsewhere")
        }
    }

    private mutating func greeted(_ session: SessionID, realm: String, _ details: HelloDetails, at now: Moment) {
        guard configuration.uris.allows(realm) else {
            return abort(session, WAMPReason.invalidURI, "The realm is no valid URI.", at: now)
        }
        guard realm == configuration.realm else {
            return abort(session, WAMPReason.noSuchRealm, "There is no realm of this name.", at: now)
        }
        guard !refusesEntry else {
            return abort(session, WAMPReason.shutdown, "The controller is shutting down.", at: now)
        }
        // Who offers nothing comes anonymously.
        let offered = details.methods.isEmpty ? [AuthMethod.anonymous.rawValue] : details.methods
        let methods = offered.compactMap(AuthMethod.init).filter { configuration.methods.contains($0) }
        guard !methods.isEmpty else {
            let known = configuration.methods.map(\.rawValue).sorted().joined(separator: ", ")
            return abort(session, WAMPReason.noMatchingMethod, "Offer one of these authmethods: \(known).", at: now)
        }
        sessions[session]!.state = .resolving(details, methods)
        let greeting = Greeting(
            methods: methods,
            authid: details.authid,
            extra: details.extra,
            transport: sessions[session]!.transport
        )
        act(.authenticate(session, greeting))
    }

    /// The shell knows how this client is to prove itself.
    package mutating func resolved(
        _ session: SessionID,
        _ credential: Credential,
        at now: Moment
    ) -> [RouterAction] {
        // The client may have gone while the shell was searching.
        guard case .resolving(let details, let methods) = sessions[session]?.state else { return [] }
        guard methods.contains(credential.method) else {
            // The shell must choose among the greeting's methods; where it does not, nobody enters.
            abort(session, WAMPReason.authenticationFailed, "The login failed; try again later.", at: now)
            return flush()
        }
        switch credential {
        case .anonymous(let principal): open(session, principal, details.features, at: now)
        case .ticket, .unknown(.ticket): challenge(session, .ticket, [:], details)
        case .wampcra(let principal, let secret, let salt):
            challengeWAMPCRA(session, principal, known: true, secret, salt, details, at: now)
        case .unknown(.wampcra):
            let stranger = Principal(
                authid: details.authid ?? "",
                role: "viewer",
                method: AuthMethod.wampcra.rawValue,
                provider: "accounts"
            )
            challengeWAMPCRA(session, stranger, known: false, nonce(), nil, details, at: now)
        case .cryptosign(let principal, let publicKey):
            let nonce = nonce()
            let extra: [String: Value] = ["challenge": .string(Hexadecimal.encode(nonce))]
            challenge(session, .cryptosign(principal, publicKey: publicKey, nonce: nonce), extra, details)
        case .unknown(.cryptosign):
            let nonce = nonce()
            let extra: [String: Value] = ["challenge": .string(Hexadecimal.encode(nonce))]
            challenge(session, .cryptosign(nil, publicKey: nonce, nonce: nonce), extra, details)
        case .unknown(.anonymous): deny(session, at: now)
        }
        return flush()
    }

    /// The ticket of this client is redeemed; nil where it was worth nothing.
    package mutating func ticketChecked(
        _ session: SessionID,
        _ principal: Principal?,
        at now: Moment
    ) -> [RouterAction] {
        guard case .checking(let details) = sessions[session]?.state else { return [] }
        if let principal {
            open(session, principal, details.features, at: now)
        } else {
            deny(session, at: now)
        }
        return flush()
    }

    private mutating func challengeWAMPCRA(
        _ session: SessionID,
        _ principal: Principal,
        known: Bool,
        _ secret: [UInt8],
        _ salt: Salt?,
        _ details: HelloDetails,
        at now: Moment
    ) {
        let text = WAMPCRA.challenge(principal, session: session, nonce: Base64.encode(nonce()), at: now)
        var extra: [String: Value] = ["challenge": .string(text)]
        if let salt {
            extra["salt"] = .string(salt.salt)
            extra["iterations"] = .int(Int64(salt.iterations))
            extra["keylen"] = .int(Int64(salt.keyLength))
        }
        challenge(session, .wampcra(known ? principal : nil, secret: secret, text: text), extra, details)
    }

    private mutating func challenge(
        _ session: SessionID,
        _ challenge: Challenge,
        _ extra: [String: Value],
        _ details: HelloDetails
    ) {
        sessions[session]!.state = .challenged(challenge, details)
        act(.send(session, .challenge(method: challenge.method.rawValue, extra: extra)))
    }

    private mutating func authenticated(
        _ session: SessionID,
        _ challenge: Challenge,
        _ details: HelloDetails,
        _ signature: String,
        at now: Moment
    ) {
        switch challenge.answered(signature, cryptography) {
        case .accepted(let principal): open(session, principal, details.features, at: now)
        case .denied:
            act(.denied(session, challenge.method, authid: details.authid))
            deny(session, at: now)
        case .check(let ticket):
            sessions[session]!.state = .checking(details)
            act(.checkTicket(session, ticket: ticket, authid: details.authid))
        }
    }

    private mutating func deny(_ session: SessionID, at now: Moment) {
        abort(session, WAMPReason.authenticationDenied, Self.denial, at: now)
    }

    mutating func open(_ session: SessionID, _ principal: Principal, _ features: PeerFeatures, at now: Moment) {
        guard !refusesEntry else {
            return abort(session, WAMPReason.shutdown, "The controller is shutting down.", at: now)
        }
        sessions[session]!.state = .open(RouterSession.Open(principal: principal, features: features))
        openCount += 1
        act(.cancelTimer(.handshake(session)))
        var details = principal.details
        details["realm"] = .string(configuration.realm)
        details["agent"] = "farseed"
        details["roles"] = Self.roles
        act(.send(session, .welcome(session: session.value, details: details)))
        act(.opened(session, principal))
        publishMeta("wamp.session.on_join", at: now) { router in [.map(router.details(of: session))] }
    }

    private mutating func nonce() -> [UInt8] {
        (0..<Self.nonceLength).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
}

extension Credential {
    fileprivate var method: AuthMethod {
        switch self {
        case .ticket: .ticket
        case .wampcra: .wampcra
        case .cryptosign: .cryptosign
        case .anonymous: .anonymous
        case .unknown(let method): method
        }
    }
}

extension Principal {
    /// As WELCOME and the session meta API tell it.
    var details: [String: Value] {
        [
            "authid": .string(authid), "authrole": .string(role), "authmethod": .string(method),
            "authprovider": .string(provider),
        ]
    }
}
