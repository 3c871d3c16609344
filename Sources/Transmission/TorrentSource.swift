/// Watches one Transmission and keeps what watchers need: its state, its table, and the last deltas.

package import Notation
package import Seedbox
import Synchronization

/// The shell of `Watcher`. `run()` does the asking; everything else may be called from anywhere at any time.
package final class TorrentSource: Sendable {
    private struct State: Sendable {
        var watcher: Watcher
        var log = ReplayLog()
        /// Counts the changes of `session`, so that a watcher sees whether it has the newest.
        var sessionVersion = 0
        var audience = WatchAudience()
        /// The bells of those who watch.
        var listeners: [Int: Wakeup] = [:]
        /// What the daemon is asked is numbered from 1. A look is what told of the torrents' hot fields, or failed.
        var asked = 0
        /// The newest look that is over.
        var looksOver = 0
        /// When the newest look was over that tells how things are; long ago where there is none.
        var lookedAt = Int64.min / 2
        /// What was asked up to here may have been answered before the last command of ours.
        var outdated = 0
        /// When the daemon last answered as it should; nil before it ever did.
        var answeredAt: Int64?
    }

    private let client: RPCClient
    private let swept: @Sendable () -> Void
    private let timing: WatcherTiming
    private let state: Mutex<State>
    private let wakeup = Wakeup()
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    /// `epoch` must be higher than that of every earlier source of this seedbox. `swept` is called after each answer about
    /// all torrents, which took much memory for a moment.
    package init(
        client: RPCClient,
        epoch: Int64,
        timing: WatcherTiming = WatcherTiming(),
        swept: @escaping @Sendable () -> Void = {}
    ) {
        self.client = client
        self.swept = swept
        self.timing = timing
        start = clock.now
        state = Mutex(State(watcher: Watcher(epoch: epoch, timing: timing)))
    }

    /// Asks until it is cancelled. Failures become states of the daemon, so it never throws.
    package func run() async {
        while !Task.isCancelled {
            switch state.withLock({ $0.watcher.next(now: now) }) {
            case .ask(let request):
                await ask(request)
                if case .torrents(.all, _) = request { swept() }
            case .wait(let until): await wakeup.wait(upTo: .milliseconds(max(1, until - now)))
            }
        }
    }

    /// A command of ours has changed something: look at once, and let whoever comes now wait for that look.
    package func mutated() { changed { $0.mutated(now: $1) } }

    /// A program of ours may have changed something: look when it is quiet again.
    package func mayHaveChanged() { changed { $0.mayHaveChanged(now: $1) } }

    private func changed(_ step: (inout Watcher, Int64) -> Void) {
        state.withLock { state in
            step(&state.watcher, now)
            state.outdated = state.asked
            state.lookedAt = .min / 2
        }
        wakeup.ring()
    }

    // What watchers read.

    /// Where a watcher stands, and what it has not seen.
    package enum Progress: Sendable {
        /// No table yet.
        case none
        /// The deltas that lead from its position to the newest, perhaps none.
        case deltas([Delta])
        /// It must begin anew.
        case snapshot(TorrentTable)
    }

    package func progress(since position: Position?) -> Progress {
        state.withLock { state in
            guard let table = state.watcher.table else { return .none }
            if let position, position.epoch == table.position.epoch,
                let deltas = state.log.deltas(after: position.seq, upTo: table.position.seq)
            {
                return .deltas(deltas)
            }
            return .snapshot(table)
        }
    }

    /// Nil before the first answer or failure.
    package var daemon: DaemonStatus? { state.withLock { $0.watcher.daemon } }

    /// Milliseconds since the daemon last answered as it should; nil before it ever did.
    package var age: Int64? { state.withLock { state in state.answeredAt.map { max(0, now - $0) } } }

    /// The daemon's own name for its version; nil before it ever answered.
    package var version: String? { state.withLock { $0.watcher.session?.version } }

    package var session: (version: Int, figures: [String: Value])? {
        state.withLock { state in
            state.watcher.session.map { (state.sessionVersion, $0.values) }
        }
    }

    /// Where the daemon keeps the data of whatever is not complete; nil where that is where they stay.
    package var incompleteDirectory: String? {
        state.withLock { state in
            guard let figures = state.watcher.session?.values, figures["incomplete_dir_enabled"] == true else {
                return nil
            }
            return figures["incomplete_dir"]?.string
        }
    }

    /// The directories that hold the data of torrents.
    package var directories: Set<String> {
        state.withLock { state in
            var directories: Set<String> = []
            if let table = state.watcher.table {
                for torrent in table.torrents.values {
                    if let directory = torrent[.directory].string { directories.insert(directory) }
                }
            }
            if let directory = state.watcher.session?.values["download_dir"]?.string { directories.insert(directory) }
            return directories
        }.union(incompleteDirectory.map { [$0] } ?? [])
    }

    /// The newest table; nil before the first.
    package var table: TorrentTable? { state.withLock { $0.watcher.table } }

    package func torrent(_ hash: InfoHash) -> Torrent? { state.withLock { $0.watcher.table?.torrents[hash] } }

    // Who watches.

    /// A connection over which `subscribe` may be asked for, until `disconnected`.
    package func connected() -> Int { state.withLock { $0.audience.connected() } }

    package func disconnected(_ connection: Int) {
        changeAudience { $0.disconnected(connection) }
    }

    /// Whether anybody looks at what the watchers of a connection are told; until this is said somebody does. While nobody
    /// looks over any connection the daemon is asked seldom.
    package func setLooking(_ isLooking: Bool, on connection: Int) {
        changeAudience { $0.said(isLooking, on: connection) }
    }

    package var isLookedAt: Bool { state.withLock(\.audience.isLooking) }

    /// Rings `bell` on every change until `unsubscribe`.
    package func subscribe(_ bell: Wakeup, on connection: Int? = nil) -> Int {
        changeAudience {
            $0.joined(on: connection)
        } with: { id, state in
            state.listeners[id] = bell
        }
    }

    package func unsubscribe(_ id: Int) {
        changeAudience {
            $0.left(id)
        } with: { _, state in
            state.listeners[id] = nil
        }
    }

    @discardableResult
    private func changeAudience<Result>(
        _ change: (inout WatchAudience) -> Result,
        with more: (Result, inout State) -> Void = { _, _ in }
    ) -> Result {
        let (result, isNew) = state.withLock { state in
            let wasLookedAt = state.audience.isLooking
            let result = change(&state.audience)
            more(result, &state)
            state.watcher.setWatched(state.audience.isLooking, now: now)
            return (result, state.audience.isLooking && !wasLookedAt)
        }
        if isNew { wakeup.ring() }
        return result
    }

    /// The look after which what is known is fresh to a watcher that comes now: nobody may have watched for a while.
    package var freshLook: Int {
        state.withLock { state in now - state.lookedAt <= timing.fresh ? state.looksOver : state.asked + 1 }
    }

    /// True once a look of this number, or a later one, is over; every look's end rings the watchers' bells.
    package func isOver(look: Int) -> Bool { state.withLock { $0.looksOver >= look } }

    // The asking.

    private var now: Int64 {
        let (seconds, attoseconds) = (clock.now - start).components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }

    private func ask(_ request: Watcher.Request) async {
        // Unstructured: it only speaks up when the answer is late, and is called off when it is there.
        let (lateAfter, number) = state.withLock { state in
            state.asked += 1
            return (state.watcher.lateAfter, state.asked)
        }
        let alarm = Task {
            guard (try? await Task.sleep(for: .milliseconds(lateAfter))) != nil else { return }
            self.publish(endOf: nil) { watcher, _ in watcher.late() }
        }
        defer { alarm.cancel() }
        do throws(TransmissionError) {
            let answer = try await answer(to: request)
            let daemonSession = client.sessionID
            publish(endOf: request.isLook ? number : nil) { watcher, now in
                watcher.received(answer, to: request, daemonSession: daemonSession, now: now)
            }
        } catch {
            guard error.code != .cancelled else { return }
            publish(endOf: number) { watcher, now in watcher.failed(error, now: now) }
        }
    }

    private func answer(to request: Watcher.Request) async throws(TransmissionError) -> Watcher.Answer {
        switch request {
        case .session:
            let session = try await client.call("session-get")
            let statistics = try await client.call("session-stats")
            return .session(try SessionFigures(session: session, statistics: statistics))
        case .torrents(let scope, let selection):
            var arguments: [String: Value] = [
                "format": "table", "fields": .array(FieldTable.names(selection).map { .string($0) }),
            ]
            switch scope {
            case .all: break
            case .recent: arguments["ids"] = "recently-active"
            case .some(let hashes):
                precondition(!hashes.isEmpty, "an empty list of ids would mean all torrents")
                arguments["ids"] = .array(hashes.map { .string($0.hex) })
            }
            let reader = TableReader()
            let answer = try await client.call("torrent-get", arguments, eachTorrent: reader.take)
            guard answer["torrents"]?.array != nil else { throw RPCDialect.unintelligible }
            let removed = scope == .recent ? answer["removed"]?.array?.compactMap(\.int) ?? [] : []
            return .torrents(try reader.finish(), removed: removed)
        }
    }

    /// Rings once for all that a step brings, and for the end of a look even where it brings nothing.
    private func publish(endOf look: Int?, _ step: (inout Watcher, Int64) -> [Watcher.Output]) {
        let now = now
        let bells: [Wakeup] = state.withLock { state in
            let outputs = step(&state.watcher, now)
            if state.watcher.daemon?.state == .up { state.answeredAt = now }
            if let look {
                state.looksOver = look
                // Neither an answer from before a command of ours nor a failure, which may be over by now, is fresh.
                if look > state.outdated, state.watcher.daemon?.state == .up { state.lookedAt = now }
            }
            guard look != nil || !outputs.isEmpty else { return [] }
            for output in outputs {
                switch output {
                case .delta(let position, let delta): state.log.append(delta, seq: position.seq, now: now)
                case .session: state.sessionVersion += 1
                case .daemon, .began: break
                }
            }
            guard !state.watcher.isMoreComing(after: outputs, now: now) else { return [] }
            return Array(state.listeners.values)
        }
        for bell in bells { bell.ring() }
    }
}
