/// Waits until torrents are as `--wait` says.
import ArgumentParser
import Calls
import Jobs
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
    private static let watchAgainAfter = Duration.seconds(2)

    /// Watches until all `hashes` have reached the goal; a link that is down is waited for.
    func wait(for goal: WaitGoal, _ hashes: [InfoHash], within limit: Duration?) async throws {
        let overdue = Problem(
            .timedOut,
            "Not every torrent was \(goal.rawValue) in time; nothing is lost. `farseed list` shows how far they are."
        )
        try await Calls.within(limit, orThrow: overdue) {
            var wait = TorrentWait(goal, hashes)
            while true {
                do {
                    if try await isOver(&wait) { return }
                } catch {
                    // A daemon mends its link by itself; a session of our own is opened anew.
                    guard case .own = road, let code = Failure.problem(error)?.code,
                        [.lost, .notSent].contains(code.jobVerdict)
                    else { throw error }
                    try await Task.sleep(for: Self.watchAgainAfter)
                }
            }
        }
    }

    /// True once the goal is reached; false at a gap, after which it begins again from a snapshot.
    private func isOver(_ wait: inout TorrentWait) async throws -> Bool {
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
            if try wait.isOver(mirror.table.torrents) { return true }
        }
        // The watch has ended with its connection, or the agent has ended it.
        _ = try await call.result()
        return false
    }
}
