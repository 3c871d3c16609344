/// Which RPC field feeds which of our fields, and how an answer in table form becomes rows.

package import Notation
package import Seedbox

/// One torrent's row of an answer: only the fields that were asked and that this daemon knows.
package struct TorrentRow: Sendable, Hashable {
    package var hash: InfoHash
    /// The daemon's number for it, valid until its next restart.
    package var id: Int64
    package var fields: [Field: Value]
    /// The two fields that are asked apart, for 3.00 only.
    package var magnetLink: String?
    package var fileCount: Int64?

    package init(hash: InfoHash, id: Int64, fields: [Field: Value] = [:]) {
        self.hash = hash
        self.id = id
        self.fields = fields
    }
}

package enum FieldTable {
    /// A set of fields that one request asks for.
    package enum Selection: Sendable, Hashable {
        /// What moves while data move.
        case hot
        /// What commands change, and `recently-active` does not always tell.
        case cold
        case all
        /// What 3.00 needs apart: names that it writes rightly only in the magnet link, and the number of files.
        case extras
    }

    package static func names(_ selection: Selection) -> [String] {
        switch selection {
        case .hot: identity + hot.map(\.name)
        case .cold: identity + ["queuePosition"] + cold.map(\.name)
        case .all: identity + hot.map(\.name) + cold.map(\.name)
        case .extras: identity + ["magnetLink", "priorities"]
        }
    }

    /// Reads `torrents` of an answer in table form.
    package static func rows(_ answer: Value) throws(TransmissionError) -> [TorrentRow] {
        guard let table = answer["torrents"]?.array else { throw RPCDialect.unintelligible }
        let reader = TableReader()
        for entry in table { reader.take(entry) }
        return try reader.finish()
    }

    struct Column: Sendable {
        var name: String
        var field: Field
        /// Nil where the value is not of the field's type: 3.00 gives 0 for every name that it does not know.
        var read: @Sendable (Value) -> Value?

        init(_ name: String, _ field: Field, _ read: @escaping @Sendable (Value) -> Value?) {
            self.name = name
            self.field = field
            self.read = read
        }
    }

    private static let identity = ["hashString", "id"]

    static let hot = [
        Column("status", .status, status),
        Column("percentDone", .progress, fraction),
        Column("recheckProgress", .checked, fraction),
        Column("metadataPercentComplete", .metadata, fraction),
        Column("sizeWhenDone", .size, integer),
        Column("leftUntilDone", .left, integer),
        Column("rateDownload", .down, integer),
        Column("rateUpload", .up, integer),
        Column("downloadedEver", .downloaded, integer),
        Column("uploadedEver", .uploaded, integer),
        Column("uploadRatio", .ratio, ratio),
        Column("eta", .eta, integer),
        Column("peersConnected", .peers, integer),
        Column("peersSendingToUs", .seeding, integer),
        Column("peersGettingFromUs", .leeching, integer),
        Column("error", .error, integer),
        Column("errorString", .message, text),
        Column("activityDate", .active, integer),
        Column("queuePosition", .queue, integer),
        Column("isFinished", .finished, truth),
        Column("isStalled", .stalled, truth),
    ]

    static let cold = [
        Column("name", .name, text),
        Column("labels", .labels, texts),
        Column("downloadDir", .directory, text),
        Column("addedDate", .added, integer),
        Column("doneDate", .done, integer),
        Column("totalSize", .total, integer),
        Column("isPrivate", .isPrivate, truth),
        Column("bandwidthPriority", .priority, integer),
        Column("downloadLimited", .downLimited, truth),
        Column("downloadLimit", .downLimit, kilobytes),
        Column("uploadLimited", .upLimited, truth),
        Column("uploadLimit", .upLimit, kilobytes),
        Column("honorsSessionLimits", .sessionLimits, truth),
        Column("seedRatioMode", .ratioMode, integer),
        Column("seedRatioLimit", .ratioLimit, ratio),
        Column("seedIdleMode", .idleMode, integer),
        Column("seedIdleLimit", .idleLimit, integer),
        Column("peer-limit", .peerLimit, integer),
        Column("trackers", .trackers, hosts),
        Column("comment", .comment, text),
        Column("file-count", .files, positive),
    ]

    static let bySpelling: [String: Column] = {
        var columns: [String: Column] = [:]
        for column in hot + cold {
            columns[column.name] = column
            columns[RPCDialect.snake(column.name)] = column
        }
        return columns
    }()
}

// Readers of one cell each.
extension FieldTable {
    private static let statuses: [TorrentStatus] = [
        .stopped, .checkWait, .checking, .downloadWait, .downloading, .seedWait, .seeding,
    ]

    /// The order of libtransmission's `tr_torrent_activity`.
    @Sendable private static func status(_ value: Value) -> Value? {
        guard let number = value.int, statuses.indices.contains(Int(clamping: number)) else { return nil }
        return .string(statuses[Int(number)].rawValue)
    }

    @Sendable private static func integer(_ value: Value) -> Value? {
        if let whole = value.int { return .int(whole) }
        // A rate or a date with a fraction: nobody sends one today, and it is no reason to lose the field.
        guard let number = value.double, number.magnitude < 9e15 else { return nil }
        return .int(Int64(number))
    }

    @Sendable private static func positive(_ value: Value) -> Value? {
        guard let number = value.int, number > 0 else { return nil }
        return .int(number)
    }

    /// Four decimals, rounded down so that only what is complete reads 1.
    @Sendable private static func fraction(_ value: Value) -> Value? {
        guard let number = value.double, number.isFinite else { return nil }
        return .double((max(0, min(1, number)) * 10_000).rounded(.down) / 10_000)
    }

    /// Three decimals: a finer ratio would change with every block sent.
    @Sendable private static func ratio(_ value: Value) -> Value? {
        guard let number = value.double, number.isFinite else { return nil }
        return .double((number * 1000).rounded(.down) / 1000)
    }

    @Sendable private static func truth(_ value: Value) -> Value? {
        if let flag = value.bool { return .bool(flag) }
        guard let number = value.int else { return nil }
        return .bool(number != 0)
    }

    /// Bytes of a text at most, and of all texts of a list: a torrent's comment may have megabytes, and one row must
    /// fit a frame of the wire.
    private static let longestText = 16_384
    private static let longestList = 32_768

    @Sendable private static func text(_ value: Value) -> Value? { value.string.map { .string(clipped($0)) } }

    private static func clipped(_ text: String) -> String {
        guard text.utf8.count > longestText else { return text }
        var bytes = 0
        let whole = text.unicodeScalars.prefix { scalar in
            bytes += UTF8.width(scalar)
            return bytes <= longestText
        }
        return String(whole)
    }

    @Sendable private static func texts(_ value: Value) -> Value? {
        guard let texts = value.array?.compactMap(\.string) else { return nil }
        return .array(list(texts))
    }

    private static func list(_ texts: [String]) -> [Value] {
        var bytes = 0
        let some = texts.prefix { text in
            bytes += text.utf8.count + 4
            return bytes <= longestList
        }
        return some.map { .string(clipped($0)) }
    }

    /// The daemon's limits count in units of 1,000 bytes per second.
    @Sendable private static func kilobytes(_ value: Value) -> Value? {
        guard let number = value.int, number >= 0, number < 1 << 40 else { return nil }
        return .int(number * 1000)
    }

    /// Hosts only: the rest of an announce address often holds a passkey.
    @Sendable private static func hosts(_ value: Value) -> Value? {
        guard let trackers = value.array else { return nil }
        var hosts: [String] = []
        var seen: Set<String> = []
        for tracker in trackers {
            guard let host = tracker["announce"]?.string.flatMap(host(ofAnnounce:)) else { continue }
            if seen.insert(host).inserted { hosts.append(host) }
        }
        return .array(list(hosts))
    }

    /// The host of a URL, without account, port and path.
    package static func host(ofAnnounce url: String) -> String? {
        guard let colon = url.firstIndex(of: ":"), url[colon...].hasPrefix("://") else { return nil }
        var rest = url[colon...].dropFirst(3).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        if rest.first == "[" {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            rest = rest[...end]
        } else {
            rest = rest.prefix { $0 != ":" }
        }
        return rest.isEmpty ? nil : rest.lowercased()
    }
}
