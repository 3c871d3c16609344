import Notation

/// The torrents as one watcher is told of them: a snapshot in parts, then what changed since it was last told.
///
/// Whoever asks seldom gets fewer, larger deltas: a slow reader costs no queue.
package struct WatchFeed: Sendable {
    /// Bytes that the torrents of one event may take by estimate; with its frame it stays below the wire's 256 KiB.
    package static let eventBudget = 120_000

    private var table: TorrentTable?

    package init() {}

    /// The events that lead the watcher to `torrents`; none where nothing changed.
    package mutating func next(_ torrents: [InfoHash: Torrent], epoch: Int64 = 1) -> [Event] {
        guard var known = table else {
            let position = Position(epoch: epoch, seq: 0)
            table = TorrentTable(position: position, torrents: torrents)
            return Self.snapshot(torrents, at: position)
        }
        var events: [Event] = []
        for piece in Self.pieces(of: known.delta(to: torrents)) {
            known.apply(piece)
            events.append(.delta(position: known.position, piece))
        }
        table = known
        return events
    }

    /// All torrents in parts that fit an event each; one empty part where there are none.
    package static func snapshot(_ torrents: [InfoHash: Torrent], at position: Position) -> [Event] {
        var parts: [[Torrent]] = [[]]
        var used = 0
        for torrent in torrents.values.sorted(by: { $0.hash < $1.hash }) {
            let size = Field.allCases.reduce(torrent.hash.hex.utf8.count) { $0 + weight(torrent[$1]) }
            if used + size > eventBudget, !parts[parts.count - 1].isEmpty {
                parts.append([])
                used = 0
            }
            parts[parts.count - 1].append(torrent)
            used += size
        }
        return parts.enumerated().map { index, torrents in
            .snapshot(position: position, part: index, parts: parts.count, torrents: torrents)
        }
    }

    /// The delta in pieces that fit an event each; none where it is empty.
    package static func pieces(of delta: Delta) -> [Delta] {
        var pieces: [Delta] = []
        var piece = Delta()
        var used = 0
        func flush() {
            if !piece.isEmpty { pieces.append(piece) }
            piece = Delta()
            used = 0
        }
        for hash in delta.del.sorted() {
            if used > eventBudget { flush() }
            piece.del.insert(hash)
            used += hash.hex.utf8.count + 2
        }
        for (hash, changes) in delta.set {
            let size = changes.reduce(hash.hex.utf8.count + 4) { $0 + $1.key.name.utf8.count + 2 + weight($1.value) }
            if used + size > eventBudget { flush() }
            piece.set[hash] = changes
            used += size
        }
        flush()
        return pieces
    }

    /// At least what a value takes on the wire.
    private static func weight(_ value: Value) -> Int {
        switch value {
        case .null, .bool: 1
        case .int, .double: 9
        case .string(let text): text.utf8.count + 5
        case .bytes(let bytes): bytes.count + 5
        case .array(let elements): elements.reduce(5) { $0 + weight($1) }
        case .map(let entries): entries.reduce(5) { $0 + $1.key.utf8.count + 5 + weight($1.value) }
        }
    }
}
