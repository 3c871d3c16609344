/// Waits until torrents are as `--wait` says.
import ArgumentParser
import Calls
import Notation
import Seedbox

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
    /// Watches until all `hashes` have reached the goal; a link that is down is waited for.
    func wait(for goal: WaitGoal, _ hashes: [InfoHash], within limit: Duration?) async throws {
        let overdue = Problem(
            .timedOut,
            "Not every torrent was \(goal.rawValue) in time; nothing is lost. `farseed list` shows how far they are."
        )
        try await Calls.within(limit, orThrow: overdue) {
            var wait = TorrentWait(goal, hashes)
            while true {
                let call = try await watch(["torrents"])
                var mirror = Mirror(epoch: 0)
                for await input in call.events {
                    guard case .event(let value) = input, let event = Event(value) else { continue }
                    if mirror.received(event) == .gap { break }
                    if mirror.agentPosition != nil, try wait.isOver(mirror.table.torrents) { return }
                }
                // A gap begins again from a snapshot; an end of the watch is the connection's or the agent's.
                call.cancel()
                if mirror.agentPosition == nil { continue }
                _ = try await call.result()
            }
        }
    }
}
