// A job as scripts and browsers see it (`Docs/Subscriptions.md`).

package import Notation
import Seedbox

extension Job {
    /// Everything but raw bytes, which stand as their length: for `--json` and one job's details.
    package var value: Value {
        var map = overview
        map["arguments"] = arguments.withoutBytes
        if !precondition.isNull { map["precondition"] = precondition }
        if case .done(let result) = state { map["result"] = result.withoutBytes }
        return .map(map)
    }

    /// Without arguments and result: for lists and the topic `farseed.jobs`.
    package var summary: Value { .map(overview) }

    /// The most hashes named in a summary; `targets` counts them all.
    private static let mostHashes = 100

    private var overview: [String: Value] {
        var map: [String: Value] = [
            "id": .int(id), "key": .string(key), "box": .string(box), "verb": .string(verb),
            "hashes": .array(targets.prefix(Self.mostHashes).map { .string($0.hex) }),
            "targets": .int(Int64(targets.count)),
            "who": .string(who), "from": .string(origin), "state": .string(state.name.rawValue),
            "attempts": .int(Int64(attempts)), "accepted_at": .int(acceptedAt), "changed_at": .int(changedAt),
            "expires_at": .int(expiresAt), "ended": .bool(state.isEnd), "undoable": .bool(isUndoable),
        ]
        if let problem = state.problem { map["problem"] = problem.value }
        if case .cancelled(let who) = state { map["cancelled_by"] = .string(who) }
        if let undoneBy { map["undone_by"] = .int(undoneBy) }
        if let undoes { map["undoes"] = .int(undoes) }
        return map
    }
}

extension Value {
    fileprivate var withoutBytes: Value {
        switch self {
        case .bytes(let bytes): ["bytes": .int(Int64(bytes.count))]
        case .array(let elements): .array(elements.map(\.withoutBytes))
        case .map(let entries): .map(entries.mapValues(\.withoutBytes))
        case .null, .bool, .int, .double, .string: self
        }
    }
}
