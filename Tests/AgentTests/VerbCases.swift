/// Every verb that changes something, with each of its options: what there is to be confirmed and repeated.

import Notation
import Seedbox
import TestSupport
import Testing
import Transmission

struct VerbCase: Sendable, CustomTestStringConvertible {
    var verb: Verb
    var arguments: [String: Value]
    /// The state that the torrent is in before, as Transmission counts them.
    var status: Int64

    init(_ verb: Verb, _ arguments: [String: Value] = [:], status: Int64 = 0) {
        self.verb = verb
        self.arguments = arguments
        self.status = status
    }

    var testDescription: String { "\(verb.rawValue) \(JSON.text(.map(arguments)))" }

    private static let one: Value = [.string(ScriptedTransmission.first.hex)]
    private static let two: Value = [.string(ScriptedTransmission.second.hex)]
    static let metainfo = Value.bytes(TransmissionDaemon.metainfo("x"))

    static let all: [VerbCase] =
        torrents
        + settings.map { VerbCase(.set, ["hashes": one, $0.key: $0.value]) }
        + additions.map { VerbCase(.add, ["metainfo": metainfo, $0.key: $0.value]) }
        + figures.map { VerbCase(.sessionSet, [$0.key: $0.value]) }

    private static let torrents: [VerbCase] = [
        VerbCase(.start, ["hashes": one]), VerbCase(.startNow, ["hashes": one]),
        // Waiting is not what this one is for.
        VerbCase(.startNow, ["hashes": one], status: 3), VerbCase(.stop, ["hashes": one], status: 4),
        VerbCase(.verify, ["hashes": one]), VerbCase(.verify, ["hashes": one], status: 6),
        VerbCase(.reannounce, ["hashes": one], status: 4), VerbCase(.reannounce, ["hashes": one], status: 6),
        VerbCase(.remove, ["hashes": one]), VerbCase(.remove, ["hashes": one, "delete_data": true]),
        VerbCase(.move, ["hashes": one, "directory": "/new"]),
        VerbCase(.move, ["hashes": one, "directory": "/new", "move_data": false]),
        VerbCase(.rename, ["hash": one.array![0], "path": "torrent", "name": "new"]),
        VerbCase(.queue, ["hashes": two, "to": "top"]), VerbCase(.queue, ["hashes": two, "to": "up"]),
        VerbCase(.queue, ["hashes": one, "to": "down"]), VerbCase(.queue, ["hashes": one, "to": "bottom"]),
        VerbCase(.blocklistUpdate),
    ]

    private static let files: [String: Value] = [
        "wanted": [1], "unwanted": [0], "high": [0], "normal": [1], "low": [0, 1],
    ]

    private static let settings: [String: Value] = [
        "labels": ["new"], "priority": 1, "down_limit": 5000, "up_limit": 5000, "session_limits": false,
        "ratio_mode": 1, "ratio_limit": 1.5, "idle_mode": 1, "idle_limit": 9, "peer_limit": 9,
        "trackers_add": ["http://127.0.0.1:1/new"], "trackers_remove": ["http://127.0.0.1:1/old"],
    ].merging(files) { _, new in new }

    private static let additions: [String: Value] = [
        "paused": true, "directory": "/new", "labels": ["new"], "priority": 1, "peer_limit": 9, "down_limit": 5000,
        "up_limit": 5000,
    ].merging(files) { _, new in new }

    private static let figures: [String: Value] = [
        "speed_limit_down": 123_000, "speed_limit_down_enabled": true, "speed_limit_up": 45_000,
        "speed_limit_up_enabled": true, "alt_speed_down": 11_000, "alt_speed_up": 12_000, "alt_speed_enabled": true,
        "alt_speed_time_enabled": true, "alt_speed_time_begin": 60, "alt_speed_time_end": 120,
        "alt_speed_time_day": 65, "download_queue_enabled": true, "download_queue_size": 7,
        "seed_queue_enabled": true, "seed_queue_size": 8, "queue_stalled_enabled": true, "queue_stalled_minutes": 9,
        "seed_ratio_limit": 2.5, "seed_ratio_limited": true, "idle_seeding_limit": 14,
        "idle_seeding_limit_enabled": true, "peer_limit_global": 100, "peer_limit_per_torrent": 30,
        "peer_port": 51_999, "start_added_torrents": false, "rename_partial_files": true, "encryption": "required",
        "cache_size_mb": 8, "download_dir": "/new", "incomplete_dir": "/new", "incomplete_dir_enabled": true,
        "dht_enabled": true, "lpd_enabled": true, "pex_enabled": true, "utp_enabled": true,
        "port_forwarding_enabled": true, "blocklist_enabled": true,
    ]
}
