/// The messages of WAMP v2, as the specification lays them out.
package import Notation

/// The application's part of a message: positional and keyword arguments.
package struct Payload: Sendable, Hashable {
    package var args: [Value]
    package var kwargs: [String: Value]

    package init(args: [Value] = [], kwargs: [String: Value] = [:]) {
        self.args = args
        self.kwargs = kwargs
    }
}

/// One message, in either direction.
package enum Message: Sendable, Hashable {
    package typealias Details = [String: Value]

    case hello(realm: String, details: Details)
    case welcome(session: Int64, details: Details)
    case abort(details: Details, reason: String, payload: Payload)
    case challenge(method: String, extra: Details)
    case authenticate(signature: String, extra: Details)
    case goodbye(details: Details, reason: String)
    case error(kind: Kind, request: Int64, details: Details, uri: String, payload: Payload)
    case publish(request: Int64, options: Details, topic: String, payload: Payload)
    case published(request: Int64, publication: Int64)
    case subscribe(request: Int64, options: Details, topic: String)
    case subscribed(request: Int64, subscription: Int64)
    case unsubscribe(request: Int64, subscription: Int64)
    /// `revoked` is set, and `request` 0, when the broker takes the subscription away.
    case unsubscribed(request: Int64, revoked: Details?)
    case event(subscription: Int64, publication: Int64, details: Details, payload: Payload)
    case call(request: Int64, options: Details, procedure: String, payload: Payload)
    case cancel(request: Int64, options: Details)
    case result(request: Int64, details: Details, payload: Payload)
    case register(request: Int64, options: Details, procedure: String)
    case registered(request: Int64, registration: Int64)
    case unregister(request: Int64, registration: Int64)
    /// `revoked` is set, and `request` 0, when the dealer takes the registration away.
    case unregistered(request: Int64, revoked: Details?)
    case invocation(request: Int64, registration: Int64, details: Details, payload: Payload)
    case interrupt(request: Int64, options: Details)
    case yield(request: Int64, options: Details, payload: Payload)

    /// The number that stands first in a message.
    package enum Kind: Int64, Sendable, CaseIterable {
        case hello = 1
        case welcome = 2
        case abort = 3
        case challenge = 4
        case authenticate = 5
        case goodbye = 6
        case error = 8
        case publish = 16
        case published = 17
        case subscribe = 32
        case subscribed = 33
        case unsubscribe = 34
        case unsubscribed = 35
        case event = 36
        case call = 48
        case cancel = 49
        case result = 50
        case register = 64
        case registered = 65
        case unregister = 66
        case unregistered = 67
        case invocation = 68
        case interrupt = 69
        case yield = 70

        /// The specification's name.
        package var name: String { "\(self)".uppercased() }
    }

    package var kind: Kind {
        switch self {
        case .hello: .hello
        case .welcome: .welcome
        case .abort: .abort
        case .challenge: .challenge
        case .authenticate: .authenticate
        case .goodbye: .goodbye
        case .error: .error
        case .publish: .publish
        case .published: .published
        case .subscribe: .subscribe
        case .subscribed: .subscribed
        case .unsubscribe: .unsubscribe
        case .unsubscribed: .unsubscribed
        case .event: .event
        case .call: .call
        case .cancel: .cancel
        case .result: .result
        case .register: .register
        case .registered: .registered
        case .unregister: .unregister
        case .unregistered: .unregistered
        case .invocation: .invocation
        case .interrupt: .interrupt
        case .yield: .yield
        }
    }
}
