package import Notation

/// One torrent: its info hash and a value for each field; `.null` where the daemon says nothing.
package struct Torrent: Sendable, Hashable {
    package let hash: InfoHash
    private var values: [Value]

    package init(hash: InfoHash, _ fields: [Field: Value] = [:]) {
        self.hash = hash
        values = [Value](repeating: .null, count: Field.allCases.count)
        for (field, value) in fields { self[field] = value }
    }

    package subscript(field: Field) -> Value {
        get { values[Int(field.rawValue)] }
        set { values[Int(field.rawValue)] = newValue }
    }

    package var name: String { self[.name].string ?? hash.hex }
    package var status: TorrentStatus? { self[.status].string.flatMap(TorrentStatus.init) }
    package var progress: Double { self[.progress].double ?? 0 }

    /// All fields that have a value, by their outside names.
    package var fields: [String: Value] {
        var fields: [String: Value] = [:]
        for field in Field.allCases where !self[field].isNull { fields[field.name] = self[field] }
        return fields
    }

    /// What must be set in `older` to make it this one.
    package func changes(since older: Torrent) -> [Field: Value] {
        var changes: [Field: Value] = [:]
        for field in Field.allCases where values[Int(field.rawValue)] != older.values[Int(field.rawValue)] {
            changes[field] = self[field]
        }
        return changes
    }

    package mutating func apply(_ changes: [Field: Value]) {
        for (field, value) in changes { self[field] = value }
    }
}
