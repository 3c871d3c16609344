/// What `--format` knows of the records that each command prints: their fields are those of `--json`, and deeper ones have
/// a dot in their names.
import Notation
import Seedbox

protocol RecordKind: Sendable {
    /// What one of them is called, and a format for it.
    static var noun: String { get }
    static var example: String { get }
    /// Empty where Transmission says which there are: then those of the record itself.
    static var fields: KeyValuePairs<String, Reading> { get }
}

enum TorrentRecord: RecordKind {
    static let noun = "torrent"
    static let example = "{hash} {name} {size:h}"
    static var fields: KeyValuePairs<String, Reading> {
        [
            "hash": .plain, "status": .plain, "progress": .percent, "checked": .percent, "metadata": .percent,
            "size": .bytes, "left": .bytes, "down": .rate, "up": .rate, "downloaded": .bytes, "uploaded": .bytes,
            "ratio": .ratio, "eta": .eta, "peers": .plain, "seeding": .plain, "leeching": .plain, "error": .plain,
            "message": .plain, "active": .seconds, "queue": .plain, "finished": .plain, "stalled": .plain,
            "name": .plain, "labels": .plain, "directory": .plain, "added": .seconds, "done": .seconds,
            "total": .bytes, "private": .plain, "priority": .plain, "down_limited": .plain, "down_limit": .rate,
            "up_limited": .plain, "up_limit": .rate, "session_limits": .plain, "ratio_mode": .plain,
            "ratio_limit": .ratio, "idle_mode": .plain, "idle_limit": .plain, "peer_limit": .plain,
            "trackers": .plain, "comment": .plain, "files": .plain,
        ]
    }

    static let readings = Dictionary(uniqueKeysWithValues: fields.map { ($0.key, $0.value) })
}

enum FileRecord: RecordKind {
    static let noun = "file"
    static let example = "{index} {size:h} {name}"
    static var fields: KeyValuePairs<String, Reading> {
        ["index": .plain, "name": .plain, "size": .bytes, "done": .bytes, "wanted": .plain, "priority": .plain]
    }

    /// With the number by which `--wanted` takes each.
    static func numbered(_ files: [Value]) -> [Value] {
        files.enumerated().map { .map(($1.map ?? [:]).merging(["index": .int(Int64($0))]) { $1 }) }
    }
}

enum PeerRecord: RecordKind {
    static let noun = "peer"
    static let example = "{address} {down:h} {client}"
    static var fields: KeyValuePairs<String, Reading> {
        [
            "address": .plain, "port": .plain, "client": .plain, "progress": .percent, "down": .rate, "up": .rate,
            "flags": .plain, "encrypted": .plain, "incoming": .plain, "utp": .plain,
        ]
    }
}

enum TrackerRecord: RecordKind {
    static let noun = "tracker"
    static let example = "{tier} {seeders} {announce}"
    static var fields: KeyValuePairs<String, Reading> {
        [
            "announce": .plain, "tier": .plain, "seeders": .plain, "leechers": .plain, "downloads": .plain,
            "peers": .plain, "message": .plain, "succeeded": .plain, "announced_at": .seconds, "next_at": .seconds,
        ]
    }
}

enum JobRecord: RecordKind {
    static let noun = "job"
    static let example = "{id} {state} {verb} {problem.code}"
    static var fields: KeyValuePairs<String, Reading> {
        [
            "id": .plain, "key": .plain, "box": .plain, "verb": .plain, "hashes": .plain, "targets": .plain,
            "who": .plain, "from": .plain, "state": .plain, "attempts": .plain, "accepted_at": .milliseconds,
            "changed_at": .milliseconds, "expires_at": .milliseconds, "ended": .plain, "undoable": .plain,
            "problem.code": .plain, "problem.message": .plain, "cancelled_by": .plain, "undone_by": .plain,
            "undoes": .plain,
        ]
    }
}

/// One torrent of a change, or the change itself where it has none that are known.
enum ChangeRecord: RecordKind {
    static let noun = "torrent"
    static let example = "{hash} {state} {name}"
    static var fields: KeyValuePairs<String, Reading> {
        ["hash": .plain, "name": .plain, "state": .plain, "duplicate": .plain, "job": .plain]
    }
}

enum LinkRecord: RecordKind {
    static let noun = "seedbox"
    static let example = "{name} {link.state} {link.problem.code}"
    static var fields: KeyValuePairs<String, Reading> {
        [
            "name": .plain, "link.state": .plain, "link.rtt_ms": .plain, "link.data_at": .milliseconds,
            "link.problem.code": .plain, "link.problem.message": .plain, "disk_guard": .plain, "disk_paused": .plain,
        ]
    }
}

enum BoxRecord: RecordKind {
    static let noun = "seedbox"
    static let example = "{name} {user}"
    static var fields: KeyValuePairs<String, Reading> { ["name": .plain, "user": .plain] }
}

enum HopRecord: RecordKind {
    static let noun = "hop"
    static let example = "{hop} {state} {ms}"
    static var fields: KeyValuePairs<String, Reading> {
        ["hop": .plain, "state": .plain, "detail": .plain, "ms": .plain]
    }
}

enum FaultRecord: RecordKind {
    static let noun = "fault"
    static let example = "{path}:{line}: {message}"
    static var fields: KeyValuePairs<String, Reading> {
        ["path": .plain, "line": .plain, "message": .plain, "code": .plain, "secret": .plain]
    }
}

enum UserRecord: RecordKind {
    static let noun = "user"
    static let example = "{name} {role} {labels}"
    static var fields: KeyValuePairs<String, Reading> {
        [
            "name": .plain, "role": .plain, "labels": .plain, "password": .plain, "sessions": .plain,
            "created_at": .milliseconds, "changed_at": .milliseconds,
        ]
    }
}

enum AuditRecord: RecordKind {
    static let noun = "entry"
    static let example = "{at:h} {who} {action} {outcome}"
    static var fields: KeyValuePairs<String, Reading> {
        [
            "id": .plain, "at": .milliseconds, "who": .plain, "origin": .plain, "action": .plain, "target": .plain,
            "outcome": .plain,
        ]
    }
}

/// Settings and figures in Transmission's names.
enum FigureRecord: RecordKind {
    static let noun = "answer"
    static let example = "{NAME} {OUTER.INNER:h}"
    static var fields: KeyValuePairs<String, Reading> { [:] }
}
