package import Notation

/// The seedbox as it is known at home: takes an agent's events and keeps the last good data while the link is down.
///
/// It counts positions of its own. An agent that is restarted begins a new epoch with a new snapshot; what that changes
/// reaches those who watch the mirror as one more delta, so no page has to load everything again.
package struct Mirror: Sendable {
    /// More torrents than any seedbox has; a snapshot past it is refused, since the VPS may be hostile.
    package static let maximumTorrents = 100_000

    /// What an event changed.
    package enum Change: Sendable, Hashable {
        case nothing
        /// `table` moved to its next position by this delta.
        case torrents(Delta)
        case daemon
        case session
        case host
        /// A delta is missing or does not fit what is known, or the parts of a snapshot do not fit: watch anew, from a
        /// snapshot.
        case gap
    }

    /// What has come from the agent. A watch that goes on where the one before it ended needs no snapshot.
    package struct Counts: Sendable, Hashable {
        /// Whole ones.
        package var snapshots = 0
        package var deltas = 0
    }

    /// All torrents, at the mirror's own position.
    package private(set) var table: TorrentTable
    /// Where the agent's numbering stands: a new watch continues after it. Nil before the first snapshot.
    package private(set) var agentPosition: Position?
    /// True once a whole snapshot was here: before it, an empty table means nothing.
    package private(set) var isKnown = false
    package private(set) var counts = Counts()
    package private(set) var daemon: DaemonStatus?
    package private(set) var session: [String: Value] = [:]
    package private(set) var host: [String: Value] = [:]

    private var partial: PartialSnapshot?

    private struct PartialSnapshot {
        var position: Position
        var parts: Int
        var nextPart = 0
        var torrents: [InfoHash: Torrent] = [:]
    }

    /// `epoch` must differ from that of every earlier mirror of this seedbox: Unix milliseconds at start will do.
    package init(epoch: Int64) {
        table = TorrentTable(position: Position(epoch: epoch, seq: 0))
    }

    /// A watch begins on a new connection: what an earlier one left unfinished is dropped.
    ///
    /// Whether Transmission answers is unknown until this watch says so: old data must not pass for fresh ones.
    package mutating func watchBegan() {
        partial = nil
        daemon = nil
    }

    package mutating func received(_ event: Event) -> Change {
        switch event {
        case .snapshot(let position, let part, let parts, let torrents):
            return received(part: part, of: parts, at: position, torrents)
        case .delta(let position, let delta, let steps):
            guard partial == nil, let last = agentPosition, position == last.next,
                let delta = table.whole(delta, steps)
            else { return lostTrack() }
            agentPosition = position
            counts.deltas += 1
            return apply(delta)
        case .daemon(let status, _):
            if daemon == status { return .nothing }
            daemon = status
            return .daemon
        case .session(let figures):
            if session == figures { return .nothing }
            session = figures
            return .session
        case .host(let figures):
            if host == figures { return .nothing }
            host = figures
            return .host
        }
    }

    private mutating func received(
        part: Int,
        of parts: Int,
        at position: Position,
        _ torrents: [Torrent]
    ) -> Change {
        if part == 0 { partial = PartialSnapshot(position: position, parts: parts) }
        guard var snapshot = partial, snapshot.position == position, snapshot.parts == parts,
            snapshot.nextPart == part, snapshot.torrents.count + torrents.count <= Self.maximumTorrents
        else { return lostTrack() }
        for torrent in torrents { snapshot.torrents[torrent.hash] = torrent }
        snapshot.nextPart += 1
        guard snapshot.nextPart == parts else {
            partial = snapshot
            return .nothing
        }
        partial = nil
        agentPosition = position
        isKnown = true
        counts.snapshots += 1
        return apply(table.delta(to: snapshot.torrents))
    }

    private mutating func apply(_ delta: Delta) -> Change {
        let added = delta.set.keys.reduce(into: 0) { count, hash in
            if table.torrents[hash] == nil { count += 1 }
        }
        guard table.torrents.count + added <= Self.maximumTorrents else { return lostTrack() }
        if delta.isEmpty { return .nothing }
        table.apply(delta)
        return .torrents(delta)
    }

    private mutating func lostTrack() -> Change {
        partial = nil
        agentPosition = nil
        return .gap
    }
}
