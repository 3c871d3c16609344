package import Seedbox
import Wire

/// Why a connection ended that did not end by goodbye.
package struct CallsError: Error, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The stream is not Farseed's; `received` has its first bytes.
        case notFarseed
        /// The stream ended before the peer's greeting; `received` has what came, often nothing.
        case notGreeted
        /// The peer broke the protocol.
        case violated
        /// The stream failed, or ended within a frame.
        case lost
    }

    package var code: Code
    /// What happened, for a person.
    package var message: String
    /// The stream's first bytes where it was not Farseed's. Whoever shows them neutralises control characters.
    package var received: [UInt8]
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, received: [UInt8] = [], cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.received = received
        self.cause = cause
    }

    package var description: String { message }

    /// The same in the closed list, for a caller that adds nothing of its own.
    package var problem: Problem {
        switch code {
        case .notFarseed: Problem(.agentUnexpected, message)
        case .notGreeted: Problem(.agentFailed, message)
        case .violated: Problem(.agentFailed, message)
        case .lost: Problem(.connectionLost, message)
        }
    }
}

extension CallsError {
    init(_ error: WireError) {
        switch error.code {
        case .notFarseed:
            self.init(
                .notFarseed,
                "The other side does not speak Farseed's protocol: something else answers in its place.",
                received: error.received,
                cause: error
            )
        case .notGreeted:
            self.init(
                .notGreeted,
                "The connection ended before the other side had said anything of its own.",
                received: error.received,
                cause: error
            )
        case .truncated:
            self.init(.lost, "The connection was cut in the middle of a message.", cause: error)
        case .badLength, .unknownType, .malformed, .misplaced, .unknownCall, .overCredit, .incompatible, .overLimit:
            self.init(.violated, "The other side broke the protocol: \(error.message)", cause: error)
        }
    }
}

extension Problem {
    init(_ failure: WireFailure) {
        self.init(Code(rawValue: failure.code) ?? .internalFault, failure.message)
    }

    var failure: WireFailure { WireFailure(code: code.rawValue, message: message) }
}
