package import Notation

/// What a seedbox tells those who watch it; the payload of the wire's events (`Docs/Wire.md`, "Watching").
package enum Event: Sendable, Hashable {
    /// A piece of all torrents at a position; `part` counts from 0 and the last is `parts - 1`.
    case snapshot(position: Position, part: Int, parts: Int, torrents: [Torrent])
    /// What changed on the way to `position`; `steps` are told to those only who ask for them.
    case delta(position: Position, Delta, steps: Steps = [:])
    /// Whether Transmission answers, and the sentence that says why not. `age`: milliseconds since it last did.
    case daemon(DaemonStatus, age: Int64? = nil)
    /// Figures of the whole session: rates, counts, version, limits, directories. Replaces the ones before.
    case session([String: Value])
    /// Figures of the machine: load, memory, disks, network. Replaces the ones before.
    case host([String: Value])
}

/// Whether the torrent daemon answers.
package struct DaemonStatus: Sendable, Hashable {
    package enum State: String, Sendable {
        case up
        /// It listens but does not answer in time, as during disk work; the last data stand.
        case busy
        case down
        /// It demands a password that the agent does not have.
        case unauthorized
    }

    package var state: State
    /// A sentence for a person; empty when up.
    package var message: String

    package init(_ state: State, _ message: String = "") {
        self.state = state
        self.message = message
    }
}

extension Event {
    /// A century in milliseconds; more is nonsense and might overflow.
    private static let greatestAge: Int64 = 100 * 366 * 86_400_000

    package var value: Value {
        switch self {
        case .snapshot(let position, let part, let parts, let torrents):
            let fields = Field.allCases.filter { field in torrents.contains { !$0[field].isNull } }
            let rows = Self.rows(torrents.map(\.hash), fields) { torrents[$0][$1] }
            return .map(
                rows.merging([
                    "kind": "snapshot", "epoch": .int(position.epoch), "seq": .int(position.seq),
                    "part": .int(Int64(part)), "parts": .int(Int64(parts)),
                ]) { _, new in new }
            )
        case .delta(let position, let delta, let steps):
            let fields = Field.allCases.filter { field in steps.values.contains { $0[field] != nil } }
            let sorted = steps.sorted { $0.key < $1.key }
            let rows = steps.isEmpty ? [:] : Self.rows(sorted.map(\.key), fields) { .int(sorted[$0].value[$1] ?? 0) }
            return .map(
                delta.map.merging(rows) { _, new in new }.merging(
                    ["kind": "delta", "epoch": .int(position.epoch), "seq": .int(position.seq)]
                ) { _, new in new }
            )
        case .daemon(let status, let age):
            var map: [String: Value] = [
                "kind": "daemon", "state": .string(status.state.rawValue), "message": .string(status.message),
            ]
            if let age { map["age"] = .int(age) }
            return .map(map)
        case .session(let figures): return ["kind": "session", "figures": .map(figures)]
        case .host(let figures): return ["kind": "host", "figures": .map(figures)]
        }
    }

    /// Rows under one header: a field's name is sent once, not once a torrent.
    private static func rows(
        _ hashes: [InfoHash],
        _ fields: [Field],
        cell: (Int, Field) -> Value
    ) -> [String: Value] {
        [
            "fields": .array(fields.map { .string($0.name) }),
            "rows": .array(
                hashes.enumerated().map { index, hash in
                    .array([.string(hash.hex)] + fields.map { cell(index, $0) })
                }
            ),
        ]
    }

    /// The cells of each row by their fields; nil where they do not fit the header.
    private static func rows(_ value: Value) -> [(hash: InfoHash, cells: [(field: Field, value: Value)])]? {
        guard let header = value["fields"]?.array, let rows = value["rows"]?.array else { return nil }
        let fields = header.map { $0.string.flatMap { Field(name: $0) } }
        var read: [(hash: InfoHash, cells: [(field: Field, value: Value)])] = []
        read.reserveCapacity(rows.count)
        for row in rows {
            guard let cells = row.array, cells.count == fields.count + 1,
                let hash = cells[0].string.flatMap(InfoHash.init)
            else { return nil }
            read.append((hash, zip(fields, cells.dropFirst()).compactMap { field, cell in field.map { ($0, cell) } }))
        }
        return read
    }

    /// The steps of a delta; none where it has no rows, nil where one is no whole number.
    private static func steps(_ value: Value) -> Steps? {
        guard value["rows"] != nil else { return [:] }
        guard let rows = rows(value) else { return nil }
        var steps: Steps = [:]
        for row in rows {
            for (field, cell) in row.cells {
                guard let step = cell.int else { return nil }
                if step != 0 { steps[row.hash, default: [:]][field] = step }
            }
        }
        return steps
    }

    /// Nil where the value is no event of this version. Fields of names unknown here are passed over.
    package init?(_ value: Value) {
        switch value["kind"]?.string {
        case "snapshot":
            guard let position = Position(value), let part = value["part"]?.int, let parts = value["parts"]?.int,
                part >= 0, part < parts, parts <= Int64(Int32.max), let rows = Self.rows(value)
            else { return nil }
            let torrents = rows.map { row in
                var torrent = Torrent(hash: row.hash)
                for (field, cell) in row.cells { torrent[field] = cell }
                return torrent
            }
            self = .snapshot(position: position, part: Int(part), parts: Int(parts), torrents: torrents)
        case "delta":
            guard let position = Position(value), let delta = Delta(value), let steps = Self.steps(value)
            else { return nil }
            self = .delta(position: position, delta, steps: steps)
        case "daemon":
            guard let state = value["state"]?.string.flatMap(DaemonStatus.State.init),
                let message = value["message"]?.string
            else { return nil }
            let age = value["age"]?.int.flatMap { (0...Self.greatestAge).contains($0) ? $0 : nil }
            self = .daemon(DaemonStatus(state, message), age: age)
        case "session":
            guard let figures = value["figures"]?.map else { return nil }
            self = .session(figures)
        case "host":
            guard let figures = value["figures"]?.map else { return nil }
            self = .host(figures)
        default: return nil
        }
    }
}

extension Position {
    package init?(_ value: Value) {
        guard let epoch = value["epoch"]?.int, let seq = value["seq"]?.int, seq >= 0 else { return nil }
        self.init(epoch: epoch, seq: seq)
    }
}

extension Delta {
    /// `set` and `del` as they stand in events, on the wire and over WAMP; an absent one is empty.
    package var map: [String: Value] {
        var map: [String: Value] = [:]
        if !set.isEmpty {
            map["set"] = .map(
                Dictionary(
                    uniqueKeysWithValues: set.map { hash, changes in
                        let named = changes.map { field, value in (field.name, value) }
                        return (hash.hex, .map(Dictionary(uniqueKeysWithValues: named)))
                    }
                )
            )
        }
        if !del.isEmpty { map["del"] = .array(del.sorted().map { .string($0.hex) }) }
        return map
    }

    package init?(_ value: Value) {
        self.init()
        if let entries = value["set"] {
            guard let entries = entries.map else { return nil }
            for (key, changes) in entries {
                guard let hash = InfoHash(key), let changes = changes.map else { return nil }
                var known: [Field: Value] = [:]
                for (name, value) in changes {
                    if let field = Field(name: name) { known[field] = value }
                }
                set[hash] = known
            }
        }
        if let entries = value["del"] {
            guard let entries = entries.array else { return nil }
            for entry in entries {
                guard let hash = entry.string.flatMap(InfoHash.init) else { return nil }
                del.insert(hash)
            }
        }
    }
}
