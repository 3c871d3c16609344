/// Why Transmission did not do what was asked, in words for a program and for a person.

package import Seedbox

package struct TransmissionError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// Nothing listens at the RPC address.
        case down
        /// It listens, but no answer came in time.
        case busy
        /// It demands a user name and password, or its whitelist leaves this machine out.
        case unauthorized
        /// It understood and said no.
        case refused
        /// What answered is not Transmission, or not one that this agent understands.
        case unintelligible
        /// The answer is larger than `RPCConfiguration.largestReply`.
        case tooLarge
        /// The caller gave up.
        case cancelled
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    package var problem: Problem {
        let code: Problem.Code =
            switch self.code {
            case .down, .unintelligible: .transmissionDown
            case .busy: .transmissionBusy
            case .unauthorized: .transmissionUnauthorized
            case .refused: .transmissionRefused
            case .tooLarge: .tooLarge
            case .cancelled: .cancelled
            }
        return Problem(code, message)
    }

    /// What a watcher is told of the daemon after this failure.
    package var daemon: DaemonStatus {
        switch code {
        case .busy, .tooLarge, .cancelled, .refused: DaemonStatus(.busy, message)
        case .unauthorized: DaemonStatus(.unauthorized, message)
        case .down, .unintelligible: DaemonStatus(.down, message)
        }
    }
}
