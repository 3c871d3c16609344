/// The WAMP realm as the controller and the websockets use it: the way in to the router from any thread.
package import Logging
package import NIOCore
package import Notation
import Synchronization
package import WAMP

/// The router runs on one event loop, the websockets on all; every loop keeps its own list of who gets what, so that an
/// event is encoded once and handed to each loop once.
package final class Realm: Sendable {
    /// What the realm's parts share, each confined to its loop.
    private let core: NIOLoopBoundBox<RealmCore>
    private let loop: any EventLoop
    private let tables: [ObjectIdentifier: NIOLoopBoundBox<RealmLoop>]
    private let lastNumber = Atomic<Int>(0)
    private let providers = Mutex<[Provider]>([])
    private let watched = Mutex(Watched())
    let limits: WebConfiguration.Limits

    /// Makes the newest state of a topic, or of every topic below a prefix.
    private struct Provider: Sendable {
        var pattern: URIPattern
        var state: @Sendable (String) -> Value?
    }

    private struct Watched {
        var topics: Set<String> = []
        var listeners: [Int: AsyncStream<Set<String>>.Continuation] = [:]
        var lastListener = 0
    }

    /// - Parameters:
    ///   - workers: who may enter by a secret or key of their own.
    ///   - openTopics: what begins so, anybody may subscribe to without a login; by default nobody enters so.
    ///   - permissions: what each role may do; by default `Realm.permissions`.
    ///   - sequentialRequests: whether a session ends whose request numbers do not count from 1.
    package init(
        group: any EventLoopGroup,
        limits: WebConfiguration.Limits = .init(),
        logins: any LoginKeeper,
        workers: [Worker] = [],
        openTopics: [String] = [],
        permissions: PermissionTable = Realm.permissions,
        sequentialRequests: Bool = false,
        logger: Logger
    ) {
        self.limits = limits
        loop = group.next()
        var tables: [ObjectIdentifier: NIOLoopBoundBox<RealmLoop>] = [:]
        for loop in group.makeIterator() {
            tables[ObjectIdentifier(loop)] = .makeBoxSendingValue(RealmLoop(loop: loop), eventLoop: loop)
        }
        self.tables = tables
        census = Census(limits)
        core = .makeBoxSendingValue(
            RealmCore(
                loop: loop,
                limits: limits,
                tables: Array(tables.values),
                census: census,
                logins: logins,
                workers: Workers(workers, openTopics: openTopics),
                guests: guests,
                permissions: permissions,
                sequentialRequests: sequentialRequests,
                logger: logger
            ),
            eventLoop: loop
        )
        onCore { [self] core in
            core.onWatch = { [weak self] topic, isWatched in self?.changed(topic, isWatched) }
        }
    }

    let census: Census
    package let guests = GuestScopes()

    /// The owner and operators see and drive everything, viewers see everything; guests get a role for their labels when they come.
    package static let permissions = PermissionTable([
        Account.Role.owner.rawValue: [
            Permission(URIPattern("farseed.", .prefix), [.subscribe, .call]),
            Permission(URIPattern("wamp.", .prefix), [.subscribe, .call]),
        ],
        Account.Role.operator.rawValue: [Permission(URIPattern("farseed.", .prefix), [.subscribe, .call])],
        Account.Role.viewer.rawValue: [
            Permission(URIPattern("farseed.", .prefix), [.subscribe]),
            Permission(URIPattern("farseed..sync", .wildcard), [.call]),
            Permission(URIPattern("farseed..torrent.get", .wildcard), [.call]),
            Permission(URIPattern("farseed.boxes"), [.call]),
        ],
    ])

    /// The permissions, and everybody but guests may subscribe to what begins so.
    package static func permissions(showing topics: [String]) -> PermissionTable {
        var table = permissions
        for role in [Account.Role.owner, .operator, .viewer] {
            table.roles[role.rawValue, default: []] += topics.map { Permission(URIPattern($0, .prefix), [.subscribe]) }
        }
        return table
    }

    // MARK: The controller's side

    /// Sends an event to all who take part. Events of one caller keep their order.
    package func publish(_ topic: String, _ state: Value) {
        onCore { $0.publish(topic, Realm.payload(state)) }
    }

    /// Gives a topic a state: who subscribes with `get_retained` gets it first, and a reader that falls behind gets the
    /// newest instead of what it missed. `state` is called on any event loop: it must be quick, and may already hold
    /// what is only about to be published.
    ///
    /// - Parameters:
    ///   - match: `.prefix` for every topic that begins so; nil is then given for those that do not exist.
    ///   - history: how many past events are kept for `wamp.subscription.get_events`.
    package func retain(
        _ topic: String,
        match: Match = .exact,
        history: Int = 0,
        state: @escaping @Sendable (String) -> Value?
    ) {
        let pattern = URIPattern(topic, match)
        providers.withLock { $0.append(Provider(pattern: pattern, state: state)) }
        onCore { $0.declare(TopicPolicy(pattern, isProvided: true, isConflatable: true, history: history)) }
    }

    /// Takes the topic's state back.
    package func withdraw(_ topic: String, match: Match = .exact) {
        let pattern = URIPattern(topic, match)
        providers.withLock { $0.removeAll { $0.pattern == pattern } }
        onCore { $0.withdraw(pattern) }
    }

    /// Offers a procedure; the task is cancelled when nobody waits for it any more. A `RealmError` goes to the caller as
    /// it is; of any other error it learns nothing. Registering a URI twice is a fault of the program.
    package func register(
        _ procedure: String,
        match: Match = .exact,
        _ body: @escaping @Sendable (RealmCall) async throws -> Value
    ) {
        onCore { $0.register(procedure, match, body) }
    }

    /// The topics with a state that somebody subscribes to: the set now, and each time it changes.
    package func watchedTopics() -> AsyncStream<Set<String>> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let number = watched.withLock { watched in
                watched.lastListener += 1
                watched.listeners[watched.lastListener] = continuation
                continuation.yield(watched.topics)
                return watched.lastListener
            }
            continuation.onTermination = { [weak self] _ in
                _ = self?.watched.withLock { $0.listeners.removeValue(forKey: number) }
            }
        }
    }

    /// Ends the WAMP sessions of logins by their ids, as after logging out.
    package func end(_ logins: [String]) {
        guard !logins.isEmpty else { return }
        let logins = Set(logins)
        onCore { $0.end(logins) }
    }

    /// Says goodbye to all sessions and takes no more.
    package func shutDown() {
        onCore { $0.shutDown() }
    }

    /// Ends all websockets, whatever their sessions do, and returns when they are gone.
    func closeSockets() async {
        for table in tables.values {
            let gone = table.eventLoop.flatSubmit {
                table.value.closeAll(.goingAway, "The server is stopping; come back.")
            }
            try? await gone.get()
        }
        // What they told the router's loop is dealt with before this is.
        try? await loop.submit {}.get()
    }

    // MARK: The websockets' side

    /// The user of a websocket that opens on this loop, which must be one of the group's.
    func makeSocket(_ opening: SocketOpening, on loop: any EventLoop) -> RealmSocket {
        guard let table = tables[ObjectIdentifier(loop)], let dialect = Dialect(subprotocol: opening.subprotocol)
        else { preconditionFailure("A websocket came from outside the realm's loops, or without a subprotocol.") }
        let number = lastNumber.wrappingAdd(1, ordering: .relaxed).newValue
        return RealmSocket(number: number, opening: opening, dialect: dialect, table: table.value, realm: self)
    }

    func opened(number: Int, opening: SocketOpening, dialect: Dialect, loop: any EventLoop) {
        guard let table = tables[ObjectIdentifier(loop)] else { return }
        onCore { $0.opened(number, opening, dialect, table) }
    }

    func received(_ message: Result<Message, Violation>, number: Int) {
        onCore { $0.received(message, number) }
    }

    /// A client of WAMP v1 shows its ticket.
    func knocked(number: Int, user: String, ticket: String) {
        onCore { $0.knocked(number, user, ticket) }
    }

    func closed(number: Int) {
        onCore { $0.closed(number) }
    }

    func state(of topic: String) -> Value? {
        let provider = providers.withLock { $0.first { $0.pattern.matches(topic) } }
        return provider?.state(topic)
    }

    /// A map becomes keyword arguments, nothing no arguments, anything else the one argument.
    static func payload(_ value: Value) -> Payload {
        switch value {
        case .null: Payload()
        case .map(let map): Payload(kwargs: map)
        default: Payload(args: [value])
        }
    }

    /// A random id as WAMP draws them: 1 to 2^53.
    static func newPublication() -> Int64 { Int64.random(in: 1...(1 << 53)) }

    private func changed(_ topic: String, _ isWatched: Bool) {
        watched.withLock { watched in
            if isWatched { watched.topics.insert(topic) } else { watched.topics.remove(topic) }
            for listener in watched.listeners.values { listener.yield(watched.topics) }
        }
    }

    private func onCore(_ body: @escaping @Sendable (RealmCore) -> Void) {
        loop.execute { [core] in body(core.value) }
    }
}
