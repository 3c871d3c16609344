/// Where torrents go in the queue, and whether they went.

import Seedbox

enum QueueMove: String, Sendable, CaseIterable {
    case top, up, down, bottom

    /// Whether it goes past one torrent, not past all.
    var isStep: Bool { self == .up || self == .down }

    /// Whether each of the torrents has passed one of the others, or all where it is no step, or has none left to pass.
    ///
    /// What came or went meanwhile does not count, and neither does how others stand to each other.
    func isDone(_ torrents: Set<InfoHash>, from before: [InfoHash], to now: [InfoHash]) -> Bool {
        let others = Set(before).intersection(now).subtracting(torrents)
        let left = unpassed(torrents, others, before)
        return unpassed(torrents, others, now).allSatisfy { hash, count in
            count == 0 || isStep && count < left[hash] ?? 0
        }
    }

    /// How many of the others are still between each of the torrents and the end that it goes to.
    private func unpassed(_ torrents: Set<InfoHash>, _ others: Set<InfoHash>, _ order: [InfoHash]) -> [InfoHash: Int] {
        var counts: [InfoHash: Int] = [:]
        var count = 0
        for hash in self == .top || self == .up ? order : order.reversed() {
            if torrents.contains(hash) { counts[hash] = count }
            if others.contains(hash) { count += 1 }
        }
        return counts
    }
}
