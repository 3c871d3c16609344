/// One seedbox as it is known at home, kept by watching its agent, and everybody who looks at it here.
import Calls
import Logging
import Notation
import Seedbox
import Synchronization
import Tunnel

final class BoxMirror: Sendable {
    /// Everything about one seedbox at one moment.
    struct View: Sendable {
        var table: TorrentTable
        /// False until the first whole snapshot; the table is empty before it.
        var isKnown: Bool
        var counts: Mirror.Counts
        var daemon: DaemonStatus?
        var session: [String: Value]
        var host: [String: Value]
        var link: LinkStatus
    }

    /// What changed, with the view after it; told to the observer in the order in which it happened.
    enum Change: Sendable {
        case torrents(Delta)
        case daemon, session, host
        case link
    }

    let name: String
    private let state: Mutex<State>
    private let observer: @Sendable (Change, View) -> Void

    private struct State {
        var mirror: Mirror
        var link = LinkStatus()
        var dataAt: Int64?
        var lookers: [Int: AsyncStream<Void>.Continuation] = [:]
        var lastLooker = 0

        var view: View {
            var link = link
            link.dataAt = dataAt
            link[.transmission] = transmission
            if link.problem == nil, let problem = mirror.daemon?.problem, link[.agent].state == .up {
                link.problem = problem
            }
            return View(
                table: mirror.table,
                isKnown: mirror.isKnown,
                counts: mirror.counts,
                daemon: mirror.daemon,
                session: mirror.session,
                host: mirror.host,
                link: link
            )
        }

        /// The last hop is known only while the one before it is up.
        private var transmission: LinkStatus.HopStatus {
            guard link[.agent].state == .up else { return .init(.unknown) }
            return switch mirror.daemon?.state {
            case nil: .init(.waiting, "asking")
            case .up: .init(.up, mirror.session["version"]?.string ?? "")
            case .busy: .init(.waiting, "busy")
            case .down: .init(.down, "not running")
            case .unauthorized: .init(.down, "password refused")
            }
        }
    }

    /// `observer` is called under the mirror's lock: it hands the change on and returns at once.
    init(name: String, epoch: Int64, observer: @escaping @Sendable (Change, View) -> Void) {
        self.name = name
        self.observer = observer
        state = Mutex(State(mirror: Mirror(epoch: epoch)))
    }

    var view: View { state.withLock(\.view) }

    /// Yields once at the beginning and then whenever something has changed since it was last waited for.
    func changes() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            state.lastLooker += 1
            state.lookers[state.lastLooker] = continuation
            return state.lastLooker
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { state in _ = state.lookers.removeValue(forKey: number) }
        }
        continuation.yield()
        return stream
    }

    /// Takes the link's status, of which the last hop and the age of the data are known here.
    func linkChanged(_ link: LinkStatus) {
        change { state in
            state.link = link
            if state.mirror.daemon?.state == .up { state.dataAt = max(link.dataAt ?? 0, state.dataAt ?? 0) }
            return nil
        }
    }

    /// Follows the agent until the connection is lost or the task cancelled; starts over by itself after a gap.
    func follow(_ connection: CallConnection, now: @Sendable () -> Int64) async throws {
        while true {
            var arguments: [String: Value] = ["topics": ["torrents", "session", "host", "daemon"], "steps": true]
            if let after = beginWatch() {
                arguments["after"] = ["epoch": .int(after.epoch), "seq": .int(after.seq)]
            }
            let watch = try await connection.open("watch", .map(arguments))
            var isWhole = true
            for await input in watch.events {
                guard case .event(let value) = input else { continue }
                guard let event = Event(value) else {
                    throw Problem(
                        .agentUnexpected,
                        "The agent sent an event that is none of this protocol; install the agent of this version."
                    )
                }
                guard received(event, at: now()) else {
                    isWhole = false
                    break
                }
            }
            guard !isWhole else {
                // The agent ends a watch only by failing it; the reason is in the answer.
                _ = try await watch.result()
                return
            }
            watch.cancel()
        }
    }

    private func beginWatch() -> Position? {
        state.withLock { state in
            state.mirror.watchBegan()
            return state.mirror.agentPosition
        }
    }

    /// False at a gap.
    private func received(_ event: Event, at now: Int64) -> Bool {
        var isWhole = true
        change { state in
            let change = state.mirror.received(event)
            if state.mirror.daemon?.state == .up {
                state.dataAt = now
            } else if case .daemon(_, let age?) = event {
                // An agent that outlived the last connection knows more of it than was told here.
                state.dataAt = max(state.dataAt ?? 0, now - age)
            }
            switch change {
            case .nothing: return nil
            case .gap:
                isWhole = false
                return nil
            case .torrents(let delta): return .torrents(delta)
            case .daemon: return .daemon
            case .session: return .session
            case .host: return .host
            }
        }
        return isWhole
    }

    /// Makes a change and tells of it, and of what it means for the link line.
    private func change(_ body: (inout State) -> Change?) {
        state.withLock { state in
            let before = state.view.link
            let change = body(&state)
            let view = state.view
            if let change { observer(change, view) }
            // The age alone is told with the next look at the link, not with every event.
            var (old, new) = (before, view.link)
            if change != nil { (old.dataAt, new.dataAt) = (nil, nil) }
            if old != new { observer(.link, view) }
            if change != nil || old != new {
                for looker in state.lookers.values { looker.yield() }
            }
        }
    }
}

extension DaemonStatus {
    /// The status as a problem; nil when up. A busy daemon is a problem only to a command that needs it now.
    var problem: Problem? {
        switch state {
        case .up, .busy: nil
        case .down: Problem(.transmissionDown, message)
        case .unauthorized: Problem(.transmissionUnauthorized, message)
        }
    }
}
