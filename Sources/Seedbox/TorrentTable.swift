/// All torrents of one seedbox at one position of its history.
package struct TorrentTable: Sendable, Hashable {
    package private(set) var position: Position
    package private(set) var torrents: [InfoHash: Torrent]

    package init(position: Position, torrents: [InfoHash: Torrent] = [:]) {
        self.position = position
        self.torrents = torrents
    }

    /// What leads from this table to `newer` torrents.
    package func delta(to newer: [InfoHash: Torrent]) -> Delta {
        var delta = Delta()
        for (hash, torrent) in newer {
            let changes = torrent.changes(since: torrents[hash] ?? Torrent(hash: hash))
            if !changes.isEmpty || torrents[hash] == nil { delta.set[hash] = changes }
        }
        for hash in torrents.keys where newer[hash] == nil { delta.del.insert(hash) }
        return delta
    }

    /// Moves to the next position of the same epoch.
    package mutating func apply(_ delta: Delta) {
        for hash in delta.del { torrents[hash] = nil }
        for (hash, changes) in delta.set {
            torrents[hash, default: Torrent(hash: hash)].apply(changes)
        }
        position = position.next
    }

    /// Applies a delta that was received for `position`; false, with nothing changed, where one is missing before it.
    package mutating func apply(_ delta: Delta, for position: Position) -> Bool {
        guard position == self.position.next else { return false }
        apply(delta)
        return true
    }
}
