package import Notation

/// A point in a seedbox's history: `epoch` names one unbroken numbering, `seq` counts its deltas.
///
/// A new epoch begins whenever the numbering cannot be continued; positions of different epochs do not compare.
package struct Position: Sendable, Hashable {
    package var epoch: Int64
    package var seq: Int64

    package init(epoch: Int64, seq: Int64) {
        self.epoch = epoch
        self.seq = seq
    }

    package var next: Position { Position(epoch: epoch, seq: seq + 1) }
}

/// What changed between one position and the next: fields set per torrent (all of them for a new one) and torrents gone.
package struct Delta: Sendable, Hashable {
    package var set: [InfoHash: [Field: Value]]
    package var del: Set<InfoHash>

    package init(set: [InfoHash: [Field: Value]] = [:], del: Set<InfoHash> = []) {
        self.set = set
        self.del = del
    }

    package var isEmpty: Bool { self.set.isEmpty && del.isEmpty }
}
