/// Decides which downloads wait while a disk has less free space than shall stay free.

import Notation
import Seedbox

/// A pure machine; `DiskKeeper` looks at the disks and carries out what it says. One step a look: on each disk that is low
/// all running downloads of the lowest priority are paused; on each that has room again, what was paused is resumed.
struct DiskReserve: Sendable, Hashable {
    struct Action: Sendable, Hashable {
        var pause: [InfoHash] = []
        var resume: [InfoHash] = []
    }

    /// Whether any disk has less than the reserve.
    private(set) var isLow = false
    /// What was paused here, and may be resumed.
    private(set) var paused: Set<InfoHash>

    /// Of those, what the table has not shown stopped yet: it may be older than the pause.
    private var unseen: Set<InfoHash> = []
    private let reserve: Int64
    private let pauses: Bool

    /// `paused` is what an earlier run paused.
    init(_ configuration: AgentConfiguration.DiskGuard, paused: Set<InfoHash> = []) {
        reserve = configuration.reserve
        pauses = configuration.pauses
        self.paused = paused
    }

    /// Room needed beyond the reserve before anything is resumed, so that it does not go back and forth.
    private var margin: Int64 { min(512 << 20, reserve / 4) }

    /// `incomplete` is where the data of downloads are until they are whole, if not where they stay.
    mutating func looked(at disks: [Disk], _ torrents: [InfoHash: Torrent], incomplete: String? = nil) -> Action {
        isLow = disks.contains { $0.free < reserve }
        // What somebody else started or removed meanwhile is not ours any more.
        unseen = unseen.filter { torrents[$0].map { $0.status != .stopped } ?? false }
        paused = paused.filter { unseen.contains($0) || torrents[$0]?.status == .stopped }
        var places: [String: Int] = [:]
        for (index, disk) in disks.enumerated() {
            for directory in disk.directories { places[directory] = index }
        }
        /// The disks that a download fills: where it is, and where it goes.
        func indices(of torrent: Torrent) -> Set<Int> {
            Set([torrent[.directory].string, incomplete].compactMap { $0.flatMap { places[$0] } })
        }
        var action = Action()
        if pauses {
            let running = torrents.values.filter { $0.isDownload && !unseen.contains($0.hash) }
            var pause: Set<InfoHash> = []
            for (index, disk) in disks.enumerated() where disk.free < reserve {
                let here = running.filter { indices(of: $0).contains(index) }
                let lowest = here.map { $0[.priority].int ?? 0 }.min()
                pause.formUnion(here.filter { ($0[.priority].int ?? 0) == lowest }.map(\.hash))
            }
            action.pause = pause.sorted()
        }
        action.resume = paused.filter { hash in
            let indices = torrents[hash].map(indices(of:)) ?? []
            return !indices.isEmpty && indices.allSatisfy { disks[$0].free > reserve + margin }
        }.sorted()
        return action
    }

    mutating func didPause(_ hashes: [InfoHash]) {
        paused.formUnion(hashes)
        unseen.formUnion(hashes)
    }

    /// Some of them may be stopped all the same, which the next table tells.
    mutating func didNotPause(_ hashes: [InfoHash]) {
        unseen.subtract(hashes)
    }

    mutating func didResume(_ hashes: [InfoHash]) {
        paused.subtract(hashes)
        unseen.subtract(hashes)
    }
}

extension Torrent {
    /// Whether it takes space: its turn has come or will come.
    fileprivate var isDownload: Bool {
        (status == .downloading || status == .downloadWait) && self[.left].int != 0
    }
}
