/// How one realm's router behaves; times in milliseconds.
package struct RouterConfiguration: Sendable, Hashable {
    package var realm = "farseed"
    /// The methods a client may prove itself by.
    package var methods: Set<AuthMethod> = [.ticket]
    /// Which URIs are taken.
    package var uris = URIRule.loose
    /// Whether a session's request numbers must count from 1. The specification says so, but several client libraries
    /// in use draw them at random; they are let in by default.
    package var sequentialRequests = false
    /// Whether callers and publishers may disclose who they are.
    package var allowsDisclosure = true
    /// How long a client may take from its connection to WELCOME, unless the shell keeps it waiting.
    package var handshakeLimit: Int64 = 10_000
    /// How long a client may take to answer GOODBYE.
    package var goodbyeLimit: Int64 = 5_000
    package var mostSubscriptions = 256
    package var mostRegistrations = 256
    /// Of one session, under way at a time.
    package var mostCalls = 256
    package var mostTestaments = 16
    package var mostRetainedTopics = 1_000

    package init() {}
}
