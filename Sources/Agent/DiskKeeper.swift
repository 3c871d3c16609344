/// Keeps a reserve of disk space: warns, and where allowed pauses downloads until there is room again.

import Logging
import Notation
import Seedbox
import Synchronization
import Transmission

/// The shell of `DiskReserve`. What it paused is written down: the agent ends when no controller has come for a while, and
/// its successor resumes.
final class DiskKeeper: Sendable {
    let configuration: AgentConfiguration.DiskGuard
    private let source: TorrentSource
    private let verbs: Verbs
    private let file: String?
    private let logger: Logger
    private let reserve: Mutex<DiskReserve>

    /// Bytes of the file: as many torrents as anybody has.
    private static let largestFile = 4 << 20

    init(
        source: TorrentSource,
        configuration: AgentConfiguration.DiskGuard,
        verbs: Verbs,
        state: StateDirectory?,
        logger: Logger
    ) {
        self.source = source
        self.configuration = configuration
        self.verbs = verbs
        self.logger = logger
        file = state.map { $0.path + "/paused" }
        let lines = file.flatMap { SmallFile.text($0, limit: Self.largestFile) }?.split(separator: "\n") ?? []
        reserve = Mutex(DiskReserve(configuration, paused: Set(lines.compactMap { InfoHash(String($0)) })))
    }

    /// `ok`, `low`, or `paused` while downloads are held back.
    var word: String { reserve.withLock { !$0.paused.isEmpty ? "paused" : $0.isLow ? "low" : "ok" } }

    /// Downloads that are held back.
    var pausedCount: Int { reserve.withLock(\.paused.count) }

    func look(at disks: [Disk]) async {
        // Without a table nothing is known of what was paused.
        guard let table = source.table, !disks.isEmpty else { return }
        let incomplete = source.incompleteDirectory
        let (action, before, after, wasLow, isLow) = reserve.withLock { reserve in
            let (before, wasLow) = (reserve.paused, reserve.isLow)
            let action = reserve.looked(at: disks, table.torrents, incomplete: incomplete)
            return (action, before, reserve.paused, wasLow, reserve.isLow)
        }
        if isLow, !wasLow {
            let worst = disks.map(\.free).min() ?? 0
            logger.warning("disk reserve reached", metadata: ["disk.free": "\(worst)"])
        }
        if after != before { remember() }
        if !action.pause.isEmpty {
            // Before they stop: an agent that is killed meanwhile leaves none stopped that nobody resumes.
            reserve.withLock { $0.didPause(action.pause) }
            remember()
            if await tell(.stop, action.pause, "downloads could not be paused") {
                logger.warning(
                    "downloads paused for want of disk space",
                    metadata: ["disk.paused": "\(action.pause.count)"]
                )
            } else {
                reserve.withLock { $0.didNotPause(action.pause) }
            }
        }
        if !action.resume.isEmpty, await tell(.start, action.resume, "downloads could not be resumed") {
            reserve.withLock { $0.didResume(action.resume) }
            remember()
            logger.info("downloads resumed", metadata: ["disk.resumed": "\(action.resume.count)"])
        }
    }

    private func tell(_ verb: Verb, _ hashes: [InfoHash], _ failure: Logger.Message) async -> Bool {
        defer { source.mutated() }
        do {
            _ = try await verbs.perform(verb, ["hashes": .array(hashes.map { .string($0.hex) })])
            return true
        } catch {
            logger.warning(failure, metadata: ["disk.reason": "\(Shown.text("\(error)"))"])
            return false
        }
    }

    private func remember() {
        guard let file else { return }
        let lines = reserve.withLock(\.paused).sorted().map { $0.hex + "\n" }
        do {
            try SmallFile.replace(file, with: Array(lines.joined().utf8))
        } catch {
            logger.warning("paused downloads are not written down", metadata: ["disk.reason": "\(error.message)"])
        }
    }
}
