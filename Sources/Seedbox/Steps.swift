/// Numbers told by what they grew: on a compressed stream that takes fewer bytes than the numbers themselves.

import Notation

/// By how much each number of a torrent grew; an entry is never zero.
package typealias Steps = [InfoHash: [Field: Int64]]

extension Value {
    /// Numbers with a fraction are counted in so many parts: none of a torrent's has more than four decimals.
    private static let parts = 10_000.0

    /// What leads from `older` to this number; nil where that is none of the same kind, or the way is not exact.
    func step(from older: Value) -> Int64? {
        switch (older, self) {
        case (.int(let old), .int(let new)):
            let (step, overflow) = new.subtractingReportingOverflow(old)
            return overflow ? nil : step
        case (.double(let old), .double(let new)):
            let parts = (new * Self.parts).rounded() - (old * Self.parts).rounded()
            guard let step = Int64(exactly: parts), older.stepped(by: step) == self else { return nil }
            return step
        default: return nil
        }
    }

    /// The number after a step; nil where this is none, or that would be too large.
    func stepped(by step: Int64) -> Value? {
        switch self {
        case .int(let old):
            let (new, overflow) = old.addingReportingOverflow(step)
            return overflow ? nil : .int(new)
        case .double(let old):
            let new = ((old * Self.parts).rounded() + Double(step)) / Self.parts
            return new.isFinite ? .double(new) : nil
        default: return nil
        }
    }
}

/// What a watcher was told lately, so that it can be told of numbers by their steps.
package struct ToldNumbers: Sendable {
    /// Torrents kept in mind at most: those that change at every look are few.
    package static let most = 64

    private var torrents: [InfoHash: Torrent] = [:]

    package init() {}

    /// The watcher has been told everything anew.
    package mutating func forget() { torrents.removeAll() }

    /// The same delta with steps in place of the numbers that follow one that was told here.
    package mutating func split(_ delta: Delta) -> (rest: Delta, steps: Steps) {
        var rest = Delta(del: delta.del)
        var steps: Steps = [:]
        for hash in delta.del { torrents[hash] = nil }
        let newcomers = delta.set.keys.count { torrents[$0] == nil }
        if torrents.count + newcomers > Self.most { torrents = torrents.filter { delta.set[$0.key] != nil } }
        for (hash, changes) in delta.set {
            let known = torrents[hash] ?? Torrent(hash: hash)
            var others: [Field: Value] = [:]
            for (field, value) in changes {
                guard let step = value.step(from: known[field]) else {
                    others[field] = value
                    continue
                }
                if step != 0 { steps[hash, default: [:]][field] = step }
            }
            if !others.isEmpty || changes.isEmpty { rest.set[hash] = others }
            guard torrents[hash] != nil || torrents.count < Self.most else { continue }
            torrents[hash, default: known].apply(changes)
        }
        return (rest, steps)
    }
}

extension TorrentTable {
    /// The delta with values in place of steps; nil where one leads on from what is no number here.
    package func whole(_ delta: Delta, _ steps: Steps) -> Delta? {
        var delta = delta
        for (hash, steps) in steps {
            guard !delta.del.contains(hash), let torrent = torrents[hash] else { return nil }
            for (field, step) in steps {
                guard let value = torrent[field].stepped(by: step) else { return nil }
                delta.set[hash, default: [:]][field] = value
            }
        }
        return delta
    }
}
