/// Counts connections and websockets, so that no address and no user takes them all, and what their events cost.
import Glibc
import Synchronization
import WAMP

final class Census: Sendable {
    private struct State {
        var connections = 0
        var byAddress: [String: Int] = [:]
        var greeting = 0
        var byUser: [String: Int] = [:]
        var slowReaders = SlowReaders()
        var encodedEvents: [Serializer: Int] = [:]
    }

    /// How often readers did not keep up, since the start.
    struct SlowReaders: Equatable {
        /// Events were left out and the newest state sent instead.
        var conflated = 0
        /// The reader was sent away.
        var closed = 0
    }

    private let limits: WebConfiguration.Limits
    private let state = Mutex(State())

    init(_ limits: WebConfiguration.Limits) {
        var limits = limits
        // Where every descriptor is taken, accepting spins and nothing else gets one. The other half is for the links,
        // the database and the commands.
        let descriptors = sysconf(Int32(_SC_OPEN_MAX))
        if descriptors > 0 { limits.connections = min(limits.connections, descriptors / 2) }
        self.limits = limits
    }

    /// One more connection; false, with nothing counted, where there are enough. `isShared` addresses have only the
    /// total bound.
    func admitConnection(from address: String, isShared: Bool) -> Bool {
        state.withLock { state in
            guard state.connections < limits.connections else { return false }
            let known = state.byAddress[address, default: 0]
            guard isShared || known < limits.connectionsPerAddress else { return false }
            state.connections += 1
            state.byAddress[address] = known + 1
            return true
        }
    }

    func connectionClosed(from address: String) {
        state.withLock { state in
            state.connections -= 1
            Self.decrement(&state.byAddress, address)
        }
    }

    /// One more websocket that has not shown who it is.
    func admitSocket() -> Bool {
        state.withLock { state in
            guard state.greeting < limits.unauthenticatedSockets else { return false }
            state.greeting += 1
            return true
        }
    }

    /// A websocket ends before it was welcomed.
    func greetingEnded() {
        state.withLock { $0.greeting -= 1 }
    }

    /// A websocket has shown who it is; false where its user has enough. It stays a greeting one then.
    func welcomed(_ user: String) -> Bool {
        state.withLock { state in
            let known = state.byUser[user, default: 0]
            guard known < limits.socketsPerUser else { return false }
            state.greeting -= 1
            state.byUser[user] = known + 1
            return true
        }
    }

    func socketClosed(_ user: String) {
        state.withLock { Self.decrement(&$0.byUser, user) }
    }

    func slowReaderConflated() {
        state.withLock { $0.slowReaders.conflated += 1 }
    }

    func slowReaderClosed() {
        state.withLock { $0.slowReaders.closed += 1 }
    }

    /// An event was written out for all who read this serializer.
    func eventEncoded(_ serializer: Serializer) {
        state.withLock { $0.encodedEvents[serializer, default: 0] += 1 }
    }

    /// How often events were written out since the start, by serializer.
    var encodedEvents: [Serializer: Int] { state.withLock { $0.encodedEvents } }

    var slowReaders: SlowReaders { state.withLock { $0.slowReaders } }

    /// Connections, websockets not yet welcomed, and websockets in use.
    var counts: (connections: Int, greeting: Int, sockets: Int) {
        state.withLock { ($0.connections, $0.greeting, $0.byUser.values.reduce(0, +)) }
    }

    private static func decrement(_ counts: inout [String: Int], _ key: String) {
        guard let count = counts[key] else { return }
        counts[key] = count > 1 ? count - 1 : nil
    }
}
