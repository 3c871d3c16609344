/// Why the router refuses a request.
import Notation

/// Becomes an ERROR, and the session goes on.
struct Refusal: Error {
    let reason: String
    let message: String

    init(_ reason: String, _ message: String) {
        self.reason = reason
        self.message = message
    }

    var payload: Payload { Payload(args: [.string(message)]) }
}
