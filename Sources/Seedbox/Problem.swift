package import Notation

/// What went wrong, in one closed list that the wire, the page, the command line and its exit codes share.
package struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
    package var code: Code
    /// One or two sentences for a person: what happened, what it means, what to do.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    /// A code word and an exit code each; neither is ever given to another meaning.
    package enum Code: String, Sendable, CaseIterable {
        // The request.
        case badRequest = "bad-request"
        case notPermitted = "not-permitted"
        case unknownProcedure = "unknown-procedure"
        case notFound = "not-found"
        case ambiguous
        case duplicate
        case conflict
        case refused
        case timedOut = "timed-out"
        case cancelled
        case tooLarge = "too-large"
        case internalFault = "internal"

        // This machine.
        case configurationInvalid = "configuration-invalid"
        case secretUnreadable = "secret-unreadable"
        case sshLibraryRefused = "ssh-library-refused"
        case controllerAbsent = "controller-absent"
        case portInUse = "port-in-use"

        // Tor.
        case linkDown = "link-down"
        case torMissing = "tor-missing"
        case torFailed = "tor-failed"
        case torNotReady = "tor-not-ready"
        case socksUnreachable = "socks-unreachable"
        case socksRefused = "socks-refused"
        case socksInvalid = "socks-invalid"
        case torPolicy = "tor-policy"
        case onionNotFound = "onion-not-found"
        case onionAddressInvalid = "onion-address-invalid"
        case onionUnreachable = "onion-unreachable"
        case onionAuthorizationMissing = "onion-authorization-missing"
        case onionAuthorizationWrong = "onion-authorization-wrong"
        case hostUnreachable = "host-unreachable"
        case connectionRefused = "connection-refused"

        // SSH.
        case sshFailed = "ssh-failed"
        case hostKeyMismatch = "host-key-mismatch"
        case loginRefused = "login-refused"
        case connectionLost = "connection-lost"

        // The agent.
        case agentMissing = "agent-missing"
        case agentUnexpected = "agent-unexpected"
        case agentIncompatible = "agent-incompatible"
        case agentFailed = "agent-failed"
        case controllerOutdated = "controller-outdated"

        // Transmission.
        case transmissionDown = "transmission-down"
        case transmissionBusy = "transmission-busy"
        case transmissionUnauthorized = "transmission-unauthorized"
        case transmissionRefused = "transmission-refused"
        case programMissing = "program-missing"

        /// The exit code of the command line: 1 is an internal fault, 64 wrong usage, 10 and up these.
        package var exitCode: Int32 {
            switch self {
            case .internalFault: 1
            case .badRequest: 10
            case .notPermitted: 11
            case .unknownProcedure: 12
            case .notFound: 13
            case .ambiguous: 14
            case .duplicate: 15
            case .conflict: 16
            case .refused: 17
            case .timedOut: 18
            case .cancelled: 19
            case .tooLarge: 20
            case .configurationInvalid: 21
            case .secretUnreadable: 22
            case .sshLibraryRefused: 23
            case .controllerAbsent: 24
            case .portInUse: 25
            case .linkDown: 30
            case .torMissing: 31
            case .torFailed: 32
            case .torNotReady: 33
            case .socksUnreachable: 34
            case .socksRefused: 35
            case .socksInvalid: 36
            case .torPolicy: 37
            case .onionNotFound: 38
            case .onionAddressInvalid: 39
            case .onionUnreachable: 40
            case .onionAuthorizationMissing: 41
            case .onionAuthorizationWrong: 42
            case .hostUnreachable: 43
            case .connectionRefused: 44
            case .sshFailed: 45
            case .hostKeyMismatch: 46
            case .loginRefused: 47
            case .connectionLost: 48
            case .agentMissing: 50
            case .agentUnexpected: 51
            case .agentIncompatible: 52
            case .agentFailed: 53
            case .controllerOutdated: 54
            case .transmissionDown: 55
            case .transmissionBusy: 56
            case .transmissionUnauthorized: 57
            case .transmissionRefused: 58
            case .programMissing: 59
            }
        }
    }
}

extension Problem {
    package var value: Value { ["code": .string(code.rawValue), "message": .string(message)] }

    /// A code unknown here, from a newer peer, is read as `internal`; its sentence stands.
    package init?(_ value: Value) {
        guard let code = value["code"]?.string, let message = value["message"]?.string else { return nil }
        self.init(Code(rawValue: code) ?? .internalFault, message)
    }
}
