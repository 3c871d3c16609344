/// The full-screen view of `farseed watch`: what it shows and what each key does; pure.
import Foundation
import Notation
import Seedbox

/// What is going on with the keys: they choose, they are typed into the filter, or they answer a question.
struct WatchScreen: Sendable {
    enum Action: Sendable, Equatable {
        case quit
        case change(verb: String, InfoHash, arguments: [String: Value], told: String)
    }

    enum Order: String, Sendable, CaseIterable {
        case added, name, status, done, size, down, up, ratio, eta
    }

    private enum Mode: Sendable, Equatable {
        case choosing
        case filtering
        /// Removing this torrent waits for a `y`.
        case confirming(InfoHash)
        case helping
    }

    private let box: String
    private var torrents: [InfoHash: Torrent] = [:]
    private var link: Value = .null
    private var daemon: DaemonStatus?
    /// Of the host's figures those that tell of the disks.
    private var disk: [String: Value] = [:]
    private var order = Order.added
    private var isReversed = false
    private var filter = ""
    private var mode = Mode.choosing
    /// The torrent under the cursor, which stays with it when the order changes.
    private var chosen: InfoHash?
    private var top = 0
    /// What the last key did.
    private var message = ""

    init(box: String) { self.box = box }

    // MARK: What happens

    mutating func received(_ torrents: [InfoHash: Torrent], daemon: DaemonStatus?) {
        self.torrents = torrents
        self.daemon = daemon
    }

    mutating func received(link: Value) { self.link = link }

    mutating func received(host: [String: Value]) {
        disk = host.filter { DaemonReport.Box.diskFigures.contains($0.key) }
    }

    mutating func told(_ message: String) { self.message = message }

    mutating func pressed(_ key: Key) -> Action? {
        if key == .interrupt { return .quit }
        switch mode {
        case .choosing: return choose(key)
        case .filtering:
            type(key)
            return nil
        case .confirming(let hash):
            mode = .choosing
            guard key == .character("y") else {
                message = "Nothing was removed."
                return nil
            }
            return .change(verb: "torrent.remove", hash, arguments: ["delete_data": false], told: "removed")
        case .helping:
            mode = .choosing
            return nil
        }
    }

    private mutating func choose(_ key: Key) -> Action? {
        message = ""
        switch key {
        case .character("q"): return .quit
        case .down, .character("j"): move(1)
        case .up, .character("k"): move(-1)
        case .pageDown: move(10)
        case .pageUp: move(-10)
        case .home, .character("g"): move(-.max / 2)
        case .end, .character("G"): move(.max / 2)
        case .character("o"):
            let all = Order.allCases
            order = all[(all.firstIndex(of: order)! + 1) % all.count]
            message = "Sorted by \(order.rawValue)."
        case .character("r"): isReversed.toggle()
        case .character("/"): mode = .filtering
        case .escape: filter = ""
        case .character("?"): mode = .helping
        case .character("s"): return change("torrent.start", told: "started")
        case .character("p"): return change("torrent.stop", told: "stopped")
        case .character("v"): return change("torrent.verify", told: "verifying")
        case .character("x"):
            guard let torrent = current else { return nil }
            mode = .confirming(torrent.hash)
        default: break
        }
        return nil
    }

    private mutating func type(_ key: Key) {
        switch key {
        case .character(let character): if filter.count < 100 { filter.append(character) }
        case .backspace: if !filter.isEmpty { filter.removeLast() }
        case .escape:
            filter = ""
            mode = .choosing
        case .enter: mode = .choosing
        default: break
        }
    }

    private func change(_ verb: String, told: String) -> Action? {
        current.map { .change(verb: verb, $0.hash, arguments: [:], told: told) }
    }

    private mutating func move(_ steps: Int) {
        let rows = visibleTorrents
        guard !rows.isEmpty else { return }
        let at = rows.firstIndex { $0.hash == chosen } ?? 0
        chosen = rows[min(rows.count - 1, max(0, at + steps))].hash
    }

    // MARK: What is shown

    /// The torrent under the cursor; the first where the chosen one is gone.
    private var current: Torrent? {
        let rows = visibleTorrents
        return rows.first { $0.hash == chosen } ?? rows.first
    }

    /// Filtered and in order.
    var visibleTorrents: [Torrent] {
        let words = filter.lowercased()
        let rows = torrents.values.filter { torrent in
            words.isEmpty || torrent.name.lowercased().contains(words) || torrent.hash.hex.hasPrefix(words)
                || torrent[.status].string == words
                || torrent[.labels].array?.contains { $0.string?.lowercased() == words } == true
        }
        let sorted = rows.sorted { left, right in
            let (a, b) = (key(left), key(right))
            return a == b ? left.hash < right.hash : a < b
        }
        return isReversed ? sorted.reversed() : sorted
    }

    private enum SortKey: Comparable {
        case number(Double)
        case text(String)
    }

    private func key(_ torrent: Torrent) -> SortKey {
        switch order {
        case .added: .number(torrent[.added].double ?? 0)
        case .name: .text(torrent.name.lowercased())
        case .status: .text(torrent[.status].string ?? "")
        case .done: .number(torrent.progress)
        case .size: .number(torrent[.size].double ?? 0)
        // What moves most comes first.
        case .down: .number(-(torrent[.down].double ?? 0))
        case .up: .number(-(torrent[.up].double ?? 0))
        case .ratio: .number(-(torrent[.ratio].double ?? 0))
        case .eta: .number(torrent[.eta].double.flatMap { $0 < 0 ? nil : $0 } ?? .infinity)
        }
    }

    /// The whole screen, a line per row of the terminal at most.
    mutating func lines(on terminal: Terminal, now: Int64) -> [String] {
        let width = terminal.width ?? 80
        let height = max(5, terminal.height ?? 24)
        let rows = visibleTorrents
        let room = height - 3
        let at = rows.firstIndex { $0.hash == chosen } ?? 0
        top = max(0, min(top, at, max(0, rows.count - room)))
        if at >= top + room { top = at - room + 1 }
        let header = DisplayWidth.cut(headline(rows, now: now), to: width)
        var lines = [Tint.bold.paint(header, terminal.colours)]
        if mode == .helping {
            lines += Self.help.prefix(room + 1).map { DisplayWidth.cut($0, to: width) }
        } else {
            lines += TorrentList.table(rows).lines(
                on: terminal,
                shown: top..<min(rows.count, top + room),
                marked: rows.isEmpty ? nil : at
            )
        }
        while lines.count < height - 1 { lines.append("") }
        lines.append(DisplayWidth.cut(footer, to: width))
        return lines
    }

    private func headline(_ rows: [Torrent], now: Int64) -> String {
        let report = DaemonReport(software: "", boxes: [.init(name: box, link: link, disk: disk)])
        var parts = [link.isNull ? visible(box, atMost: 40) : StatusText.oneline(report, now: now)]
        if link.isNull, let want = StatusText.wantOfDiskInShort(disk) { parts.append(want) }
        if let daemon, daemon.state != .up { parts.append("Transmission is \(daemon.state.rawValue)") }
        parts.append(TorrentList.summary(rows))
        return parts.joined(separator: "  ")
    }

    private var footer: String {
        switch mode {
        case .filtering: "/" + visible(filter) + "▏"
        case .confirming(let hash):
            "Remove \(visible(torrents[hash]?.name ?? hash.hex, atMost: 60))? Its data stay. y: yes, any other key: no"
        case .helping: "Any key goes back."
        case .choosing:
            if !message.isEmpty {
                message
            } else if !filter.isEmpty {
                "filter: \(visible(filter))  (Esc: all)"
            } else {
                "? help  q quit  o order  / filter  s start  p stop  x remove"
            }
        }
    }

    private static let help = [
        "", "  ↑ ↓ j k g G   choose a torrent", "  o             order by the next column",
        "  r             the other way round",
        "  /             filter by name, label, status or hash", "  Esc           show all",
        "  s             start", "  p             stop", "  v             verify",
        "  x             remove, the data stay",
        "  q             quit",
    ]
}
