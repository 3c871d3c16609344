/// Which labels each torrent had before a change, to tell guests what the change is to them and nothing of other torrents.
import Notation
import Seedbox
import Synchronization

final class LabelBook: Sendable {
    /// By seedbox; torrents without labels are left out.
    private let known = Mutex<[String: [InfoHash: Set<String>]]>([:])

    /// The delta as guests of each scope see it, also where that is nothing: positions have no gaps.
    ///
    /// To be called for every delta of the box, in their order, with the table after it.
    func parts(
        of delta: Delta,
        of box: String,
        _ table: TorrentTable,
        for scopes: [String: [String]]
    ) -> [String: Delta] {
        known.withLock { known in
            let before = known[box] ?? [:]
            var after = before
            for hash in delta.del { after[hash] = nil }
            for (hash, changes) in delta.set where changes[.labels] != nil {
                let labels = Set(table.torrents[hash]?.labels ?? [])
                after[hash] = labels.isEmpty ? nil : labels
            }
            known[box] = after
            return scopes.mapValues { labels in
                let isShown = { (labels: Set<String>, of: [String]) in of.contains(where: labels.contains) }
                return Self.part(of: delta, table) { hash in
                    (isShown(before[hash] ?? [], labels), isShown(after[hash] ?? [], labels))
                }
            }
        }
    }

    /// - Parameter isShown: whether the torrent is to be seen before and after the delta.
    private static func part(
        of delta: Delta,
        _ table: TorrentTable,
        isShown: (InfoHash) -> (before: Bool, after: Bool)
    ) -> Delta {
        var part = Delta()
        for hash in delta.del where isShown(hash).before { part.del.insert(hash) }
        for (hash, changes) in delta.set {
            switch isShown(hash) {
            case (true, true): part.set[hash] = changes
            case (false, true): part.set[hash] = table.torrents[hash]?.changes(since: Torrent(hash: hash))
            case (true, false): part.del.insert(hash)
            case (false, false): break
            }
        }
        return part
    }
}
