/// What Farseed knows of a torrent, field by field: the names used on the wire, over WAMP and in `--json`.
///
/// Bytes are bytes, rates bytes per second, durations seconds, times Unix seconds (0: never), fractions 0 to 1.
/// The raw value is the field's place in `Torrent`'s storage and never leaves the process; the name does.
package enum Field: UInt8, Sendable, CaseIterable {
    // Hot: may change from one look to the next.
    /// Text, one of `TorrentStatus`.
    case status
    /// Fraction of the wanted bytes that is here.
    case progress
    /// Fraction checked while the data are verified.
    case checked
    /// Fraction of the metadata that a magnet link has fetched so far.
    case metadata
    /// Bytes of the wanted files.
    case size
    /// Bytes of the wanted files still missing.
    case left
    /// Bytes per second from peers.
    case down
    /// Bytes per second to peers.
    case up
    /// Bytes ever received.
    case downloaded
    /// Bytes ever sent.
    case uploaded
    /// Uploaded by downloaded; -1 not available, -2 infinite.
    case ratio
    /// Seconds until done; -1 not available, -2 unknown.
    case eta
    /// Peers connected.
    case peers
    /// Peers that send to us.
    case seeding
    /// Peers that we send to.
    case leeching
    /// 0 none, 1 tracker warning, 2 tracker error, 3 local error.
    case error
    /// The error in the daemon's words.
    case message
    /// Time of the last transfer.
    case active
    /// Place in the queue, from 0.
    case queue
    /// True where it has reached its seed ratio or idle limit.
    case finished
    /// True where it transfers nothing although it should.
    case stalled

    // Cold: change seldom, by a command or once in a torrent's life.
    case name
    /// Array of text.
    case labels
    /// Directory of the data on the seedbox.
    case directory
    /// Time it was added.
    case added
    /// Time it was completed.
    case done
    /// Bytes of all files, wanted or not.
    case total
    /// True for a private torrent.
    case isPrivate
    /// -1 low, 0 normal, 1 high.
    case priority
    /// True where `downLimit` is in force.
    case downLimited
    /// Bytes per second.
    case downLimit
    case upLimited
    case upLimit
    /// False where the torrent ignores the session's limits.
    case sessionLimits
    /// 0 the session's, 1 its own, 2 unlimited.
    case ratioMode
    case ratioLimit
    case idleMode
    /// Minutes.
    case idleLimit
    case peerLimit
    /// Array of announce addresses' hosts.
    case trackers
    case comment
    /// Number of files.
    case files

    /// The name outside this process.
    package var name: String { Self.names[Int(rawValue)] }

    /// Changes by commands or once in a life, not by transfer.
    package var isCold: Bool { rawValue >= Field.name.rawValue }

    package init?(name: some StringProtocol) {
        guard let field = Self.byName[String(name)] else { return nil }
        self = field
    }

    private static let names: [String] = allCases.map { field in
        switch field {
        case .isPrivate: "private"
        case .downLimited: "down_limited"
        case .downLimit: "down_limit"
        case .upLimited: "up_limited"
        case .upLimit: "up_limit"
        case .sessionLimits: "session_limits"
        case .ratioMode: "ratio_mode"
        case .ratioLimit: "ratio_limit"
        case .idleMode: "idle_mode"
        case .idleLimit: "idle_limit"
        case .peerLimit: "peer_limit"
        default: "\(field)"
        }
    }

    private static let byName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.name, $0) })
}

/// What a torrent is doing.
package enum TorrentStatus: String, Sendable, CaseIterable {
    case stopped
    case checkWait = "check-wait"
    case checking
    case downloadWait = "download-wait"
    case downloading
    case seedWait = "seed-wait"
    case seeding
}
