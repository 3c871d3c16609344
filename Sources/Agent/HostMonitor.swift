/// The machine's own figures: load, memory, disks, network; and the watch over free disk space.

import Logging
import Notation
import Seedbox
import Synchronization
import Transmission

/// Looks often while somebody watches or the disk guard may have to pause something, else seldom.
final class HostMonitor: Sendable {
    /// Seconds between two looks while somebody looks at what is told, and while nobody does.
    static let watchedInterval = 5
    static let unwatchedInterval = 30
    /// How long figures wait for the next look at the torrents, to be told together: a little longer than that comes. One
    /// that does not come, because the daemon is busy, does not hold them up.
    static let patience = Duration.milliseconds(2500)

    private struct State {
        var figures: [String: Value]?
        var version = 0
        var listeners: [Int: Wakeup] = [:]
        var nextListener = 0
    }

    private let source: TorrentSource
    private let diskGuard: DiskKeeper
    private let proc: String
    private let patience: Duration
    private let lapse: Int64
    private let state = Mutex(State())
    private let wakeup = Wakeup()

    init(
        source: TorrentSource,
        diskGuard: DiskKeeper,
        proc: String = "/proc",
        patience: Duration = HostMonitor.patience,
        lapse: Int64 = 1
    ) {
        self.source = source
        self.diskGuard = diskGuard
        self.proc = proc
        self.patience = patience / lapse
        self.lapse = lapse
    }

    var figures: (version: Int, figures: [String: Value])? {
        state.withLock { state in state.figures.map { (state.version, $0) } }
    }

    /// Rings `bell` where new figures have waited for long enough; who looks at them on every look at the torrents has
    /// them by then.
    func subscribe(_ bell: Wakeup) -> Int {
        let id = state.withLock { state in
            state.nextListener += 1
            state.listeners[state.nextListener] = bell
            return state.nextListener
        }
        wakeup.ring()
        return id
    }

    func unsubscribe(_ id: Int) {
        state.withLock { $0.listeners[id] = nil }
    }

    /// Somebody looks who did not before, or the other way round.
    func audienceChanged() { wakeup.ring() }

    func run() async {
        var counters = HostCounters.read(proc)
        /// When news are told that nobody has fetched by then.
        var telling: ContinuousClock.Instant?
        while !Task.isCancelled {
            // A fast line fills what the guard keeps free in less than the long interval.
            let isOften = source.isLookedAt || diskGuard.configuration.pauses
            await pause(.seconds(isOften ? Self.watchedInterval : Self.unwatchedInterval) / lapse, &telling)
            let now = HostCounters.read(proc)
            // Rung twice in a moment there is nothing to compute a rate from.
            let rates = now.time - counters.time >= 1_000_000 ? now.rates(since: counters) : [:]
            if !rates.isEmpty { counters = now }
            let disks = Disk.all(holding: source.directories)
            await diskGuard.look(at: disks)
            if publish(rates, disks), telling == nil { telling = .now + patience }
        }
    }

    /// Waits for the next look or for somebody who wants one, and tells the news on the way when it is time to.
    private func pause(_ interval: Duration, _ telling: inout ContinuousClock.Instant?) async {
        let start = ContinuousClock.now
        if let time = telling {
            await wakeup.wait(upTo: time - start)
            guard ContinuousClock.now >= time else { return }
            telling = nil
            for bell in state.withLock({ Array($0.listeners.values) }) { bell.ring() }
        }
        await wakeup.wait(upTo: interval - (ContinuousClock.now - start))
    }

    /// False where nothing has changed.
    private func publish(_ rates: [String: Value], _ disks: [Disk]) -> Bool {
        let (isNews, bells): (Bool, [Wakeup]) = state.withLock { state in
            var figures = HostFacts.read(proc)
            // Rates that could not be taken this time are those of last time.
            for key in HostCounters.rateKeys { figures[key] = rates[key] ?? state.figures?[key] }
            figures["disks"] = .array(disks.map { $0.value(reserve: diskGuard.configuration.reserve) })
            figures["disk_guard"] = .string(diskGuard.word)
            figures["disk_paused"] = .int(Int64(diskGuard.pausedCount))
            guard figures != state.figures else { return (false, []) }
            // The first ones are waited for.
            let bells = state.figures == nil ? Array(state.listeners.values) : []
            state.figures = figures
            state.version += 1
            return (true, bells)
        }
        for bell in bells { bell.ring() }
        return isNews
    }
}
