/// The figures of the whole session, from `session-get` and `session-stats`.

package import Notation

package struct SessionFigures: Sendable, Hashable {
    /// As published in `session` events: settings and counts under snake_case names, bytes in bytes.
    package var values: [String: Value]
    package var rpcVersion: Int64
    package var version: String

    /// Both are the answers' arguments; statistics may be missing.
    package init(session: Value, statistics: Value?) throws(TransmissionError) {
        guard let rpcVersion = session.named("rpc-version")?.int else { throw RPCDialect.unintelligible }
        self.rpcVersion = rpcVersion
        version = session["version"]?.string.map { String($0.prefix(64)) } ?? ""
        values = [:]
        for name in Self.settings {
            if let value = session.named(name), !value.isNull { values[RPCDialect.snake(name)] = value }
        }
        for (name, unit) in Self.limits {
            if let value = session.named(name)?.int, value >= 0, value < 1 << 40 { values[unit] = .int(value * 1000) }
        }
        guard let statistics else { return }
        for name in ["torrentCount", "activeTorrentCount", "pausedTorrentCount"] {
            values[RPCDialect.snake(name)] = statistics.named(name)
        }
        values["down"] = statistics.named("downloadSpeed")
        values["up"] = statistics.named("uploadSpeed")
        for (name, key) in [("cumulative-stats", "total"), ("current-stats", "run")] {
            guard let counts = statistics.named(name) else { continue }
            values["\(key)_downloaded"] = counts.named("downloadedBytes")
            values["\(key)_uploaded"] = counts.named("uploadedBytes")
        }
    }

    /// Settings that pass as they are. No address of a blocklist and no script: those may hold secrets.
    private static let settings = [
        "version", "rpc-version", "rpc-version-semver", "download-dir", "incomplete-dir", "incomplete-dir-enabled",
        "speed-limit-down-enabled", "speed-limit-up-enabled", "alt-speed-enabled", "alt-speed-time-enabled",
        "alt-speed-time-begin", "alt-speed-time-end", "alt-speed-time-day", "download-queue-enabled",
        "download-queue-size", "seed-queue-enabled", "seed-queue-size", "queue-stalled-enabled",
        "queue-stalled-minutes", "seedRatioLimit", "seedRatioLimited", "idle-seeding-limit",
        "idle-seeding-limit-enabled", "peer-limit-global", "peer-limit-per-torrent", "peer-port",
        "peer-port-random-on-start", "port-forwarding-enabled", "dht-enabled", "lpd-enabled", "pex-enabled",
        "utp-enabled", "encryption", "rename-partial-files", "start-added-torrents", "trash-original-torrent-files",
        "blocklist-enabled", "blocklist-size", "cache-size-mb",
    ]

    /// Speed limits, given in units of 1,000 bytes per second.
    private static let limits = [
        ("speed-limit-down", "speed_limit_down"), ("speed-limit-up", "speed_limit_up"),
        ("alt-speed-down", "alt_speed_down"), ("alt-speed-up", "alt_speed_up"),
    ]
}
