/// One client as the router sees it, from its connection to its last message.
import Notation

struct RouterSession {
    enum State {
        /// Connected; HELLO must come.
        case greeting
        /// HELLO has come; the shell finds out who it is, and the client waits.
        case resolving(HelloDetails, [AuthMethod])
        /// CHALLENGE is sent; AUTHENTICATE must come.
        case challenged(Challenge, HelloDetails)
        /// AUTHENTICATE has come; the shell redeems the ticket, and the client waits.
        case checking(HelloDetails)
        /// WELCOME is sent.
        case open(Open)
        /// GOODBYE is sent and everything given back; only the answer is waited for.
        case closing
    }

    struct Open {
        let principal: Principal
        let features: PeerFeatures
        var lastRequest: Int64 = 0
        /// Published when the session ends, the detached ones first.
        var testaments: [TestamentScope: [Testament]] = [:]
    }

    let transport: [String: Value]
    var state = State.greeting
}

/// When a testament is published. Sessions cannot be resumed here, so both are published at the end, in this order.
enum TestamentScope: String, CaseIterable {
    case detached
    case destroyed
}

/// An event that a session leaves behind.
struct Testament {
    var topic: String
    var payload: Payload
    var options: PublishOptions
}
