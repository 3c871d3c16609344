/// Why the web server cannot start or go on.
package struct WebError: Error, CustomStringConvertible {
    package enum Code: Sendable {
        case certificateInvalid
        /// The address is in use or not ours.
        case listenFailed
        /// More is asked than can be done now; come back later.
        case overloaded
    }

    package var code: Code
    /// What happened and what to do, for a person.
    package var message: String
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { message }
}
