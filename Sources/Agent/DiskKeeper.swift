/// Keeps a reserve of disk space: warns, and where allowed pauses downloads until there is room again.

import Logging
import Notation
import Seedbox
import Synchronization
import Transmission

final class DiskKeeper: Sendable {
    let configuration: AgentConfiguration.DiskGuard
    private let source: TorrentSource
    private let verbs: Verbs
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var isLow = false
        /// What this keeper paused, and therefore may resume.
        var paused: Set<InfoHash> = []
    }

    /// Room needed beyond the reserve before anything is resumed, so that it does not go back and forth.
    static let margin: Int64 = 512 << 20

    init(source: TorrentSource, configuration: AgentConfiguration.DiskGuard, verbs: Verbs, logger: Logger) {
        self.source = source
        self.configuration = configuration
        self.verbs = verbs
        self.logger = logger
    }

    /// `ok`, `low`, or `paused` while downloads are held back.
    var word: String {
        state.withLock { !$0.paused.isEmpty ? "paused" : $0.isLow ? "low" : "ok" }
    }

    func look(at disks: [Disk]) async {
        guard let worst = disks.map(\.free).min() else { return }
        let isLow = worst < configuration.reserve
        let wasLow = state.withLock { state in
            defer { state.isLow = isLow }
            return state.isLow
        }
        if isLow, !wasLow { logger.warning("disk reserve reached", metadata: ["disk.free": "\(worst)"]) }
        guard configuration.pauses else { return }
        if isLow {
            await pause()
        } else if worst > configuration.reserve + Self.margin {
            await resume()
        }
    }

    /// One step a look: the downloads of the lowest priority that still run.
    private func pause() async {
        guard let table = source.table else { return }
        let running = table.torrents.values.filter { torrent in
            (torrent.status == .downloading || torrent.status == .downloadWait) && torrent[.left].int != 0
        }
        guard let lowest = running.map({ $0[.priority].int ?? 0 }).min() else { return }
        let chosen = running.filter { ($0[.priority].int ?? 0) == lowest }.map(\.hash)
        do {
            _ = try await verbs.perform(.stop, ["hashes": .array(chosen.map { .string($0.hex) })])
            state.withLock { $0.paused.formUnion(chosen) }
            source.mutated()
            logger.warning("downloads paused for want of disk space", metadata: ["disk.paused": "\(chosen.count)"])
        } catch {
            logger.warning("downloads could not be paused", metadata: ["disk.reason": "\(Shown.text("\(error)"))"])
        }
    }

    private func resume() async {
        let paused = state.withLock(\.paused)
        // Those that were started or removed by somebody else meanwhile are no longer ours.
        let chosen = paused.filter { source.torrent($0)?.status == .stopped }.sorted()
        defer { state.withLock { $0.paused.removeAll() } }
        guard !chosen.isEmpty else { return }
        do {
            _ = try await verbs.perform(.start, ["hashes": .array(chosen.map { .string($0.hex) })])
            source.mutated()
            logger.info("downloads resumed", metadata: ["disk.resumed": "\(chosen.count)"])
        } catch {
            logger.warning("downloads could not be resumed", metadata: ["disk.reason": "\(Shown.text("\(error)"))"])
        }
    }
}
