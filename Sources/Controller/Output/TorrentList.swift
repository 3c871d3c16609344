/// What `farseed list` prints: a table for people, one value or template line for programs.
import Notation
import Seedbox

/// All torrents of one seedbox at one moment, as a command got them.
struct TorrentListing: Sendable {
    var box: String
    var table: TorrentTable
    var daemon: DaemonStatus?
    var link: Value?

    /// Nil until the mirror's first snapshot is whole.
    init?(box: String, _ mirror: Mirror, link: Value?) {
        guard let position = mirror.agentPosition else { return nil }
        self.box = box
        table = TorrentTable(position: position, torrents: mirror.table.torrents)
        daemon = mirror.daemon
        self.link = link
    }

    /// Newest last, then by hash: the order in which they were added.
    var sorted: [Torrent] {
        table.torrents.values.sorted {
            ($0[.added].int ?? 0, $0.hash) < ($1[.added].int ?? 0, $1.hash)
        }
    }
}

enum TorrentList {
    /// Digits of the hash shown where all differ in them; more where they do not.
    private static let shortHash = 8
    private static let barWidth = 10

    /// The documented schema of `list --json` (`Docs/Operations.md`).
    static func value(_ listing: TorrentListing, _ torrents: [Torrent]) -> Value {
        var value: [String: Value] = [
            "box": .string(listing.box),
            "epoch": .int(listing.table.position.epoch),
            "seq": .int(listing.table.position.seq),
            "torrents": .array(torrents.map(Self.value)),
        ]
        if let link = listing.link { value["link"] = link }
        if let daemon = listing.daemon {
            value["transmission"] = ["state": .string(daemon.state.rawValue), "message": .string(daemon.message)]
        }
        return .map(value)
    }

    static func value(_ torrent: Torrent) -> Value {
        .map(torrent.fields.merging(["hash": .string(torrent.hash.hex)]) { _, new in new })
    }

    static func lines(_ torrents: [Torrent], on terminal: Terminal) -> [String] {
        table(torrents).lines(on: terminal) + [Tint.faint.paint(summary(torrents), terminal.colours)]
    }

    static func table(_ torrents: [Torrent]) -> TextTable {
        let digits = hashDigits(torrents.map(\.hash))
        var table = TextTable(columns: [
            .init(title: "HASH", expendable: 3), .init(title: "NAME", flexible: true), .init(title: "STATUS"),
            .init(title: "DONE"), .init(title: "SIZE", right: true, expendable: 2), .init(title: "DOWN", right: true),
            .init(title: "UP", right: true, expendable: 1), .init(title: "RATIO", right: true, expendable: 5),
            .init(title: "ETA", right: true, expendable: 4), .init(title: "PEERS", right: true, expendable: 6),
        ])
        table.rows = torrents.map { row($0, digits: digits) }
        return table
    }

    /// How many there are and what flows.
    static func summary(_ torrents: [Torrent]) -> String {
        let down = torrents.reduce(0) { $0 + max(0, $1[.down].int ?? 0) }
        let up = torrents.reduce(0) { $0 + max(0, $1[.up].int ?? 0) }
        let rates = [("down", Amounts.rate(down)), ("up", Amounts.rate(up))].filter { !$0.1.isEmpty }
        let count = "\(torrents.count) torrent\(torrents.count == 1 ? "" : "s")"
        return ([count] + rates.map { "\($0.0) \($0.1)" }).joined(separator: ", ")
    }

    private static func row(_ torrent: Torrent, digits: Int) -> [TextTable.Cell] {
        let hasError = (torrent[.error].int ?? 0) != 0
        let name = visible(torrent.name, atMost: 400)
        let message = hasError ? " ⚠ " + visible(torrent[.message].string ?? "", atMost: 100) : ""
        return [
            .init(String(torrent.hash.hex.prefix(digits)), .faint),
            .init(name + message, hasError ? .red : nil),
            status(torrent),
            .init(progress(torrent)),
            .init(Amounts.bytes(torrent[.size].int ?? 0)),
            .init(Amounts.rate(torrent[.down].int ?? 0), .green),
            .init(Amounts.rate(torrent[.up].int ?? 0), .cyan),
            .init(Amounts.ratio(torrent[.ratio].double ?? -1)),
            .init(torrent.status == .downloading ? Amounts.eta(torrent[.eta].int ?? -1) : ""),
            .init(peers(torrent)),
        ]
    }

    private static func progress(_ torrent: Torrent) -> String {
        var done = torrent.progress
        if torrent.status == .checking, let checked = torrent[.checked].double { done = checked }
        return Amounts.bar(done, width: barWidth) + " " + DisplayWidth.padded(Amounts.percent(done), to: 5, right: true)
    }

    static func status(_ torrent: Torrent) -> TextTable.Cell {
        let text = visible(torrent[.status].string ?? "", atMost: 20)
        switch torrent.status {
        case .downloading: return .init(torrent[.stalled].bool == true ? "stalled" : text, .green)
        case .seeding: return .init(text, .cyan)
        case .checking, .checkWait: return .init(text, .yellow)
        case .stopped: return .init(torrent[.finished].bool == true ? "finished" : text, .faint)
        case .downloadWait, .seedWait, nil: return .init(text)
        }
    }

    private static func peers(_ torrent: Torrent) -> String {
        guard let peers = torrent[.peers].int, peers > 0 else { return "" }
        return String(peers)
    }

    /// The fewest digits, 8 at least, by which all hashes differ.
    static func hashDigits(_ hashes: [InfoHash]) -> Int {
        var digits = shortHash
        let sorted = hashes.map(\.hex).sorted()
        for (one, next) in zip(sorted, sorted.dropFirst()) where one != next {
            digits = max(digits, one.commonPrefix(with: next).count + 1)
        }
        return digits
    }
}

extension String {
    fileprivate func commonPrefix(with other: String) -> Substring {
        var end = startIndex
        for (a, b) in zip(indices, other.indices) {
            guard self[a] == other[b] else { break }
            end = index(after: a)
        }
        return self[..<end]
    }
}
