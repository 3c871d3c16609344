/// The link to one seedbox: keeps a session with its agent, whatever happens to Tor, SSH or the VPS.
package import Calls
package import Logging
package import NIOCore
package import Seedbox
import ServiceLifecycle
import Synchronization
import Wire

package final class Link: Service {
    private let configuration: TunnelConfiguration
    private let tor: Tor
    private let group: any EventLoopGroup
    private let logger: Logger
    private let state: Mutex<State>
    private let events: AsyncStream<LinkMachine.Event>
    private let post: AsyncStream<LinkMachine.Event>.Continuation
    private let origin = ContinuousClock.now

    private struct State {
        var machine: LinkMachine
        var sessions: [Int: AgentSession] = [:]
        var attempts: [Int: Task<Void, Never>] = [:]
        /// The SOCKS passwords of attempts and sessions, by which tor tells their circuits.
        var isolations: [Int: String] = [:]
        /// Those of them whose circuits tor has told of, and that of the session that was lost last, where it was one.
        var circuitsSeen: Set<String> = []
        var lostCircuit: String?
        /// The newest start of each timer; one that was restarted or cancelled fires in vain.
        var timers: [LinkMachine.Timer: Int] = [:]
        var lastTimer = 0
        var torStatus = Tor.Status()
        /// Attempts that have failed since the start.
        var failures = 0
        /// Unix milliseconds when the agent was last heard.
        var heardAt: Int64?
        /// The stages that the newest attempt has passed, for the hops.
        var stage: Dialer.Stage?
        var shown = LinkStatus()
        var statusListeners: [Int: AsyncStream<LinkStatus>.Continuation] = [:]
        var connectionListeners: [Int: AsyncStream<CallConnection>.Continuation] = [:]
        var lastListener = 0

        /// The session in use.
        var live: AgentSession? { machine.session.flatMap { sessions[$0.id] } }

        /// The relays on the way of the session in use, else of the newest attempt.
        var path: [TorRelay]? {
            guard let id = machine.session?.id ?? isolations.keys.max() else { return nil }
            return isolations[id].flatMap { torStatus.news?.paths[$0] }
        }

        /// True once tor says that the lost session's circuit is no more; without tor nothing is known of it.
        var isCircuitGone: Bool {
            guard let lostCircuit, let news = torStatus.news else { return false }
            return news.paths[lostCircuit] == nil
        }

        mutating func told(of tor: Tor.Status) {
            torStatus = tor
            guard let paths = tor.news?.paths else { return }
            circuitsSeen = circuitsSeen.intersection(isolations.values)
                .union(isolations.values.filter { paths[$0] != nil })
        }
    }

    package init(_ configuration: TunnelConfiguration, tor: Tor, group: any EventLoopGroup, logger: Logger) {
        self.configuration = configuration
        self.tor = tor
        self.group = group
        var logger = logger
        logger[metadataKey: "tunnel.box"] = "\(configuration.box)"
        self.logger = logger
        state = Mutex(
            State(machine: LinkMachine(configuration.timing, addresses: configuration.addresses.count))
        )
        (events, post) = AsyncStream.makeStream()
    }

    // MARK: What others use

    package var status: LinkStatus { state.withLock(\.shown) }

    /// The status now, and whenever it changes; a slow listener gets the newest.
    package func statuses() -> AsyncStream<LinkStatus> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let number = state.withLock { state in
                state.lastListener += 1
                state.statusListeners[state.lastListener] = continuation
                continuation.yield(state.shown)
                return state.lastListener
            }
            continuation.onTermination = { [weak self] _ in
                _ = self?.state.withLock { $0.statusListeners.removeValue(forKey: number) }
            }
        }
    }

    /// The connection in use, if there is one, and each that takes its place.
    package func connections() -> AsyncStream<CallConnection> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let number = state.withLock { state in
                state.lastListener += 1
                state.connectionListeners[state.lastListener] = continuation
                if let connection = state.live?.connection { continuation.yield(connection) }
                return state.lastListener
            }
            continuation.onTermination = { [weak self] _ in
                _ = self?.state.withLock { $0.connectionListeners.removeValue(forKey: number) }
            }
        }
    }

    /// The connection in use; waits for one as long as `patience` lasts.
    ///
    /// Throws the problem that keeps the link down: at once where only the owner can mend it, else at the end.
    package func connection(within patience: Duration) async throws -> CallConnection {
        // Whoever does not wait at all must not lose a race against a timer of no length.
        if let live = state.withLock(\.live) { return live.connection }
        let deadline = ContinuousClock.now + patience
        // An old failure is tried again for this caller before it is believed.
        let before = state.withLock(\.failures)
        post.yield(.kicked)
        return try await withThrowingTaskGroup(of: CallConnection?.self) { group in
            group.addTask { [self] in
                for await _ in statuses() {
                    let (live, failure, failures) = state.withLock { ($0.live, $0.machine.failure, $0.failures) }
                    if let live { return live.connection }
                    if failures > before, let failure, failure.remedy == .tellOwner { throw failure.problem }
                }
                throw CancellationError()
            }
            group.addTask {
                try await Task.sleep(until: deadline)
                return nil
            }
            defer { group.cancelAll() }
            if let connection = try await group.next() ?? nil { return connection }
            throw status.problem ?? Self.notUp
        }
    }

    /// What keeps a caller from its call where nothing else is known to.
    package static let notUp = Problem(
        .linkDown,
        "The link to the seedbox is not up yet. See `farseed status`, or wait longer by --timeout."
    )

    // MARK: The shell of the machine

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withDiscardingTaskGroup { group in
                group.addTask { [self] in
                    for await status in tor.statuses() {
                        state.withLock { $0.told(of: status) }
                        post.yield(status.isUsable ? .torUsable : .torUnusable)
                    }
                }
                for await event in events { handle(event, &group) }
                group.cancelAll()
            }
            await leave()
        }
    }

    private func handle(_ event: LinkMachine.Event, _ group: inout DiscardingTaskGroup) {
        let now = ContinuousClock.now - origin
        let actions = state.withLock { state in
            note(event, &state)
            let before = state.machine.name
            let actions = state.machine.handle(event, at: now, jitter: .random(in: 0...1))
            log(event, from: before, to: state.machine.name, state.machine.failure)
            return actions
        }
        for action in actions { perform(action, &group) }
        state.withLock { show(&$0) }
    }

    /// What the hops need to know and the machine does not.
    private func note(_ event: LinkMachine.Event, _ state: inout State) {
        switch event {
        case .reached(_, let stage): state.stage = stage
        case .heard: state.heardAt = Wall.milliseconds
        case .ended(let id, _, let stage):
            state.sessions[id] = nil
            let isolation = state.isolations.removeValue(forKey: id)
            guard id == state.machine.session?.id, stage == .handshake else { return }
            state.lostCircuit = isolation.flatMap { state.circuitsSeen.contains($0) ? $0 : nil }
        case .failed(let id, _):
            state.failures += 1
            state.isolations[id] = nil
            state.lostCircuit = nil
        case .opened:
            state.heardAt = Wall.milliseconds
            state.lostCircuit = nil
        default: break
        }
    }

    private func perform(_ action: LinkMachine.Action, _ group: inout DiscardingTaskGroup) {
        switch action {
        case .attempt(let id, let address): attempt(id, configuration.addresses[address])
        case .abandon(let id):
            state.withLock { state in
                state.isolations[id] = nil
                return state.attempts.removeValue(forKey: id)
            }?.cancel()
        case .adopt(let id):
            state.withLock { state in
                guard let session = state.sessions[id] else { return }
                for listener in state.connectionListeners.values { listener.yield(session.connection) }
            }
        case .end(let id):
            let ended = state.withLock { state in
                state.isolations[id] = nil
                return state.sessions.removeValue(forKey: id)
            }
            guard let ended else { return }
            group.addTask { await ended.end(Self.givenUp) }
        case .retire(let id):
            guard let session = state.withLock({ $0.sessions[id] }) else { return }
            group.addTask { [configuration] in await session.retire(configuration.timing) }
        case .ping(let id):
            guard let session = state.withLock({ $0.sessions[id] }) else { return }
            group.addTask { [post] in
                // A connection that ends tells so itself.
                guard let roundTrip = try? await session.connection.ping() else { return }
                post.yield(.heard(id, roundTrip: roundTrip, carried: await session.carried))
            }
        case .set(let timer, let duration):
            let number = state.withLock { state in
                state.lastTimer += 1
                state.timers[timer] = state.lastTimer
                return state.lastTimer
            }
            group.addTask { [self] in
                guard (try? await Task.sleep(for: duration)) != nil else { return }
                let isDue = state.withLock { state in
                    guard state.timers[timer] == number else { return false }
                    state.timers[timer] = nil
                    return true
                }
                if isDue { post.yield(.timer(timer)) }
            }
        case .cancel(let timer): state.withLock { $0.timers[timer] = nil }
        case .forget: group.addTask { [tor] in await tor.forget() }
        }
    }

    private func attempt(_ id: Int, _ address: String) {
        let dialer = Dialer(configuration, tor: tor, group: group)
        let isolation = Wall.nonce()
        // Not in the group: one attempt must be cancelled without the others. `leave` cancels what is left.
        let begin = { [self] in
            Task {
                do {
                    let session = try await dialer.dial(address, isolation: isolation) { [post] stage in
                        post.yield(.reached(id, stage))
                    }
                    let isWanted = state.withLock { state in
                        guard state.attempts.removeValue(forKey: id) != nil else { return false }
                        state.sessions[id] = session
                        return true
                    }
                    guard isWanted else { return await session.end() }
                    post.yield(.opened(id))
                    let failure = await session.ended() ?? AgentSession.agentEnded
                    post.yield(.ended(id, failure.problem, at: failure.stage))
                    await session.end()
                } catch let failure as DialFailure {
                    _ = state.withLock { $0.attempts.removeValue(forKey: id) }
                    post.yield(.failed(id, failure))
                } catch {
                    // Cancelled: abandoned, or the controller is stopping.
                }
            }
        }
        // Noted before it can end, since it removes its own note.
        state.withLock { state in
            state.isolations[id] = isolation
            state.attempts[id] = begin()
        }
    }

    private func leave() async {
        let (attempts, sessions) = state.withLock { state in
            defer {
                state.attempts = [:]
                state.sessions = [:]
            }
            return (state.attempts, state.sessions)
        }
        for attempt in attempts.values { attempt.cancel() }
        for session in sessions.values { await session.end(Self.leaving) }
    }

    /// What calls on a session fail with that another takes the place of: it was silent.
    static let givenUp = Problem(
        .connectionLost,
        "The seedbox has not answered for too long on the session that this was under way on, which was given up."
    )
    private static let leaving = Problem(.connectionLost, "The controller was stopped while this was under way.")

    private func log(_ event: LinkMachine.Event, from before: String, to after: String, _ failure: DialFailure?) {
        logger.trace("Link event", metadata: ["tunnel.event": "\(event)", "tunnel.state": "\(after)"])
        guard before != after else { return }
        var metadata: Logger.Metadata = ["tunnel.state": "\(after)"]
        if case .failed(_, let failure) = event { metadata["tunnel.problem"] = "\(failure.problem.code.rawValue)" }
        if case .ended(_, let problem, _) = event { metadata["tunnel.problem"] = "\(problem.code.rawValue)" }
        switch after {
        case "live": logger.info("The link is live", metadata: metadata)
        case "lost", "suspect", "backing-off": logger.notice("The link is not live", metadata: metadata)
        default: logger.debug("The link changes", metadata: metadata)
        }
    }

    /// Works out the status, and tells of it where it has changed.
    private func show(_ state: inout State) {
        let status = LinkView(
            machine: state.machine,
            tor: state.torStatus,
            stage: state.stage,
            path: state.path,
            software: state.live?.hello?.software,
            heardAt: state.heardAt,
            isCircuitGone: state.isCircuitGone
        ).status
        guard status != state.shown else { return }
        state.shown = status
        for listener in state.statusListeners.values { listener.yield(status) }
    }
}
