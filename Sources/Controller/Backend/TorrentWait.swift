/// Waits until torrents are as `--wait` says.
import ArgumentParser
import Calls
import Jobs
import Notation
import Seedbox
import Synchronization

/// What is waited for.
enum WaitGoal: String, Sendable, CaseIterable, ExpressibleByArgument {
    case done, stopped, seeding

    func isReached(by torrent: Torrent) -> Bool {
        switch self {
        // A magnet link has no size until its metadata are here.
        case .done: torrent.progress >= 1 && (torrent[.size].int ?? 0) > 0
        case .stopped: torrent.status == .stopped
        case .seeding: torrent.status == .seeding || torrent.status == .seedWait
        }
    }
}

/// Follows the torrents that are waited for; pure.
struct TorrentWait: Sendable {
    private let goal: WaitGoal
    private var missing: Set<InfoHash>
    /// Those that were there at some moment: one just added may not have come home yet.
    private var seen: Set<InfoHash> = []

    init(_ goal: WaitGoal, _ hashes: some Sequence<InfoHash>) {
        self.goal = goal
        missing = Set(hashes)
    }

    /// True once all have reached the goal, each at some moment; throws for one that cannot any more.
    mutating func isOver(_ torrents: [InfoHash: Torrent]) throws(Problem) -> Bool {
        for hash in missing {
            guard let torrent = torrents[hash] else {
                guard seen.contains(hash) else { continue }
                throw Problem(.notFound, "Torrent \(hash.hex.prefix(8)) was removed while it was waited for.")
            }
            seen.insert(hash)
            if goal.isReached(by: torrent) {
                missing.remove(hash)
            } else if torrent[.error].int == 3 {
                throw Problem(
                    .transmissionRefused,
                    "\(visible(torrent.name, atMost: 80)) has an error: "
                        + "\(visible(torrent[.message].string ?? "", atMost: 200)). Mend it, then `farseed start` it."
                )
            }
        }
        return missing.isEmpty
    }
}

extension Backend {
    private static let watchAgainAfter = Duration.seconds(2)
    /// How often a wait without a daemon looks whether one has started.
    private static let lookForDaemonEvery = Duration.seconds(2)
    /// How long the next daemon is waited for where one has ended: an upgrade may lie between the two.
    private static let nextDaemonWithin = Duration.seconds(60)

    /// Watches until all `hashes` have reached the goal; a link that is down is waited for, and a daemon that has ended too.
    func wait(for goal: WaitGoal, _ hashes: [InfoHash], within limit: Duration?) async throws {
        let overdue = Problem(
            .timedOut,
            "Not every torrent was \(goal.rawValue) in time; nothing is lost. `farseed list` shows how far they are."
        )
        try await Calls.within(limit, orThrow: overdue) {
            let progress = WaitProgress(goal, hashes)
            if try await followed(progress) { return }
            var next = NextDaemon(configuration, within: Self.nextDaemonWithin)
            while let daemon = try await next.connection(until: nil) {
                let backend = Backend(road: .daemon(daemon), box: box, configuration: configuration)
                do {
                    if try await Self.greeting(daemon, { try await backend.followed(progress) }) { return }
                } catch  where Self.isLoss(error) {
                    // It has ended before it had greeted.
                }
            }
            throw Self.forsaken(goal)
        }
    }

    private static func forsaken(_ goal: WaitGoal) -> Problem {
        Problem(
            .controllerAbsent,
            "The daemon has ended, and no other has come for \(nextDaemonWithin.components.seconds) s, so that not every "
                + "torrent was seen to be \(goal.rawValue). The command itself was carried out before. Start "
                + "`farseed serve`, and look with `farseed list`, or wait again by the same command."
        )
    }

    /// Follows to the goal; false where that is to go on through another daemon.
    private func followed(_ progress: WaitProgress) async throws -> Bool {
        switch road {
        case .daemon:
            do {
                while try await !isOver(progress) {}
                return true
            } catch  where Self.isLoss(error) {
                // It mends its link by itself, so it has ended.
                return false
            }
        case .own(let reach, _):
            let isReached = try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask { try await followedAlone(progress) }
                group.addTask {
                    while await !ControlSocket.isOpen(configuration.controlSocket) {
                        try await Task.sleep(for: Self.lookForDaemonEvery)
                    }
                    return false
                }
                defer { group.cancelAll() }
                return try await group.next() ?? false
            }
            // A daemon that has started needs the tor that our session may have started.
            if !isReached { await reach.end() }
            return isReached
        }
    }

    /// Over sessions of our own, each of which takes the place of one that was lost.
    private func followedAlone(_ progress: WaitProgress) async throws -> Bool {
        while true {
            do {
                if try await isOver(progress) { return true }
            } catch  where Self.isLoss(error) {
                try await Task.sleep(for: Self.watchAgainAfter)
            }
        }
    }

    /// Whether one side of the watch has ended, and not what is watched. A daemon that ends may still cancel its calls.
    private static func isLoss(_ error: any Error) -> Bool {
        guard let code = Failure.problem(error)?.code else { return false }
        return [.lost, .notSent].contains(code.jobVerdict) || code == .cancelled && !Task.isCancelled
    }

    /// True once the goal is reached; false at a gap, after which it begins again from a snapshot.
    private func isOver(_ progress: WaitProgress) async throws -> Bool {
        let call = try await watch(["torrents", "daemon"])
        defer { call.cancel() }
        var mirror = Mirror(epoch: 0)
        var isLive = true
        for await input in call.events {
            guard case .event(let value) = input else { continue }
            if value["kind"] == "link" {
                isLive = value["link"].map(StatusText.isLive) ?? true
            } else if let event = Event(value), mirror.received(event) == .gap {
                return false
            }
            // What was true before the link or Transmission went away may not be so any more.
            guard isLive, mirror.daemon.map({ $0.problem == nil }) ?? true, mirror.agentPosition != nil else {
                continue
            }
            if try progress.isOver(mirror.table.torrents) { return true }
        }
        // The watch has ended with its connection, or the agent has ended it.
        _ = try await call.result()
        return false
    }
}

/// What is still waited for, over all the ways on which the torrents are watched one after the other.
private final class WaitProgress: Sendable {
    private let state: Mutex<TorrentWait>

    init(_ goal: WaitGoal, _ hashes: [InfoHash]) { state = Mutex(TorrentWait(goal, hashes)) }

    func isOver(_ torrents: [InfoHash: Torrent]) throws(Problem) -> Bool {
        try state.withLock { wait throws(Problem) in try wait.isOver(torrents) }
    }
}
