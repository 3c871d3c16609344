/// What a procedure of the controller gets, and what it answers with when it fails.
package import Notation
package import WAMP

/// A call of a procedure that the controller itself implements.
package struct RealmCall: Sendable {
    /// The URI that was called.
    package var procedure: String
    package var payload: Payload
    package var caller: Principal
    /// The caller's address.
    package var client: String
    /// The labels that a guest is limited to; nil for callers without this limit.
    package var labels: [String]?
    /// Sends a part of the result before its end; nil where the caller does not want parts.
    package var progress: (@Sendable (Value) -> Void)?
}

/// An ERROR with a URI that clients may rely on, and a sentence for a person.
package struct RealmError: Error, Sendable {
    package var uri: String
    package var code: String
    package var message: String

    /// - Parameter code: a word from a closed list, such as `not-found`; the URI is `farseed.error.not_found` then.
    package init(code: String, message: String) {
        uri = "farseed.error." + code.split(separator: "-").joined(separator: "_")
        self.code = code
        self.message = message
    }

    var payload: Payload {
        Payload(args: [.string(message)], kwargs: ["code": .string(code), "message": .string(message)])
    }
}
