/// What the router wants done, to be carried out in order.
package import Notation

package enum RouterAction: Sendable, Hashable {
    case send(SessionID, Message)
    /// The session is part of this subscription from here on; SUBSCRIBED precedes.
    case join(SessionID, subscription: Int64)
    /// The session is part of it no longer; UNSUBSCRIBED, if any, follows.
    case leave(SessionID, subscription: Int64)
    case deliver(Delivery)
    /// Make the topic's state now and send it as EVENT with these numbers and details to this session alone.
    case sendRetained(
        SessionID,
        topic: String,
        subscription: Int64,
        publication: Int64,
        details: [String: Value]
    )
    /// A declared topic has got its first subscriber.
    case watched(topic: String)
    /// A declared topic has lost its last subscriber.
    case unwatched(topic: String)
    /// Write what is queued, then close the transport; the router has forgotten the session.
    case close(SessionID)
    /// Find out who this is; `Router.resolved` takes the answer.
    case authenticate(SessionID, Greeting)
    /// Redeem the ticket; `Router.ticketChecked` takes the answer.
    case checkTicket(SessionID, ticket: String, authid: String?)
    /// The session has got its WELCOME.
    case opened(SessionID, Principal)
    /// The client could not prove by this method that it is who it said, and is being sent away.
    case denied(SessionID, AuthMethod, authid: String?)
    /// Run a procedure of the shell; `Router.yielded` and `Router.failed` take the answers.
    case invoke(InvocationID, InternalCall)
    /// Nobody waits for this invocation any more; its answers are ignored.
    case interrupt(InvocationID)
    case setTimer(RouterTimer, milliseconds: Int64)
    case cancelTimer(RouterTimer)
}

/// An event for the sessions of one subscription: to be encoded once per serializer and written to all.
package struct Delivery: Sendable, Hashable {
    package enum Recipients: Sendable, Hashable {
        /// All that have joined, but for the publisher.
        case subscribers(except: SessionID?)
        case sessions([SessionID])
    }

    package var topic: String
    package var subscription: Int64
    /// A whole EVENT.
    package var message: Message
    /// Whether it may be dropped for a slow reader, who gets the newest state later.
    package var isConflatable: Bool
    package var recipients: Recipients
}

/// A running call of one of the shell's procedures.
package struct InvocationID: Sendable, Hashable {
    package let value: Int64
}

/// A call of a procedure that the shell has registered.
package struct InternalCall: Sendable, Hashable {
    /// The URI that was called.
    package var procedure: String
    /// The URI or pattern that was registered.
    package var registered: String
    package var payload: Payload
    package var caller: SessionID
    package var principal: Principal
    /// Whether `Router.yielded` may be used with `progress`.
    package var receiveProgress: Bool
    /// After how many milliseconds without a result the router gives up, if the caller asked for that.
    package var timeout: Int64?
}

/// A time to be waited for; `Router.timerFired` is told when it is over.
package enum RouterTimer: Sendable, Hashable {
    /// A client has not finished its HELLO in time.
    case handshake(SessionID)
    /// A client does not answer GOODBYE.
    case goodbye(SessionID)
    /// A call has no result in time.
    case call(Int64)
}
