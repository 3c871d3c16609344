/// The last deltas of a history, kept for watchers that come back or are slow.

package import Notation
package import Seedbox

/// Bounded by size and age; a watcher that it no longer reaches gets a snapshot.
package struct ReplayLog: Sendable {
    /// Bytes of all deltas in it, by estimate.
    package static let largest = 1 << 20
    /// Milliseconds: longer than a link through Tor usually takes to recover.
    package static let oldest: Int64 = 600_000

    private struct Entry: Sendable {
        var seq: Int64
        var delta: Delta
        var time: Int64
        var size: Int
    }

    private var entries: [Entry] = []
    private var first = 0
    private var size = 0

    package init() {}

    package mutating func append(_ delta: Delta, seq: Int64, now: Int64) {
        let entry = Entry(seq: seq, delta: delta, time: now, size: Self.estimate(delta))
        entries.append(entry)
        size += entry.size
        while first < entries.count, size > Self.largest || now - entries[first].time > Self.oldest {
            size -= entries[first].size
            first += 1
        }
        // Dropped entries are cut off in one go now and then, not one by one.
        if first > 64, first * 2 > entries.count {
            entries.removeFirst(first)
            first = 0
        }
    }

    /// The deltas that lead on from `seq`, oldest first; nil where the first of them is gone.
    package func deltas(after seq: Int64, upTo last: Int64) -> [Delta]? {
        guard seq <= last else { return nil }
        guard seq < last else { return [] }
        guard first < entries.count, entries[first].seq <= seq + 1 else { return nil }
        let start = first + Int(seq + 1 - entries[first].seq)
        return entries[start...].map(\.delta)
    }

    /// One delta that does what all of them do, one after the other.
    package static func merged(_ deltas: [Delta]) -> Delta {
        guard var merged = deltas.first else { return Delta() }
        for delta in deltas.dropFirst() {
            for hash in delta.del {
                merged.set[hash] = nil
                merged.del.insert(hash)
            }
            // A torrent that was removed and is back stays in both: removal comes first.
            for (hash, changes) in delta.set {
                merged.set[hash, default: [:]].merge(changes) { _, new in new }
            }
        }
        return merged
    }

    /// What a delta takes on the wire, roughly.
    package static func estimate(_ delta: Delta) -> Int {
        var size = 64 + delta.del.count * 42
        for changes in delta.set.values {
            size += 44
            for value in changes.values { size += 12 + estimate(value) }
        }
        return size
    }

    package static func estimate(_ value: Value) -> Int {
        switch value {
        case .null, .bool: 1
        case .int, .double: 9
        case .string(let text): 3 + text.utf8.count
        case .bytes(let bytes): 5 + bytes.count
        case .array(let values): values.reduce(3) { $0 + estimate($1) }
        case .map(let entries): entries.reduce(3) { $0 + 3 + $1.key.utf8.count + estimate($1.value) }
        }
    }
}
