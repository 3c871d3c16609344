/// What `show`, `files`, `peers`, `trackers`, `session` and `stats` print.
import Foundation
import Notation
import Seedbox

enum DetailText {
    static func overview(_ details: Value, on terminal: Terminal) -> [String] {
        guard let hash = details["hash"]?.string.flatMap(InfoHash.init) else { return [] }
        var torrent = Torrent(hash: hash)
        for (name, value) in details["fields"]?.map ?? [:] {
            if let field = Field(name: name) { torrent[field] = value }
        }
        var table = TextTable(columns: [.init(title: ""), .init(title: "", flexible: true)])
        table.rows = [[.init("hash", .faint), .init(hash.hex)]]
        for field in Field.allCases where !torrent[field].isNull {
            let text = (TorrentRecord.readings[field.name] ?? .plain).text(torrent[field])
            if !text.isEmpty { table.rows.append([.init(field.name, .faint), .init(text)]) }
        }
        var lines = table.lines(on: terminal, titles: false)
        let trackers = details["trackers"]?.array ?? []
        if !trackers.isEmpty { lines += [""] + Self.trackers(trackers, on: terminal) }
        let files = details["files"]?.array ?? []
        if !files.isEmpty { lines += [""] + Self.files(files, on: terminal) }
        return lines
    }

    static func files(_ files: [Value], on terminal: Terminal) -> [String] {
        var table = TextTable(columns: [
            .init(title: "FILE", right: true), .init(title: "DONE", right: true), .init(title: "SIZE", right: true),
            .init(title: "PRIORITY"), .init(title: "NAME", flexible: true),
        ])
        table.rows = files.enumerated().map { index, file in
            let size = file["size"]?.int ?? 0
            let isWanted = file["wanted"]?.bool ?? true
            let done = size == 0 ? 1 : Double(file["done"]?.int ?? 0) / Double(size)
            return [
                .init(String(index), .faint), .init(Amounts.percent(done)), .init(Amounts.bytes(size)),
                .init(isWanted ? priority(file["priority"]?.int) : "unwanted", isWanted ? nil : .faint),
                .init(text(file["name"])),
            ]
        }
        return table.lines(on: terminal)
    }

    static func peers(_ peers: [Value], on terminal: Terminal) -> [String] {
        var table = TextTable(columns: [
            .init(title: "ADDRESS"), .init(title: "DONE", right: true), .init(title: "DOWN", right: true),
            .init(title: "UP", right: true), .init(title: "FLAGS"), .init(title: "CLIENT", flexible: true),
        ])
        table.rows = peers.map { peer in
            let address = text(peer["address"])
            let port = peer["port"]?.int ?? 0
            return [
                .init(address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"),
                .init(Amounts.percent(peer["progress"]?.double ?? 0)),
                .init(Amounts.rate(peer["down"]?.int ?? 0), .green),
                .init(Amounts.rate(peer["up"]?.int ?? 0), .cyan), .init(text(peer["flags"])),
                .init(text(peer["client"])),
            ]
        }
        return table.lines(on: terminal)
    }

    static func trackers(_ trackers: [Value], on terminal: Terminal) -> [String] {
        var table = TextTable(columns: [
            .init(title: "TIER", right: true), .init(title: "SEEDERS", right: true),
            .init(title: "LEECHERS", right: true),
            .init(title: "PEERS", right: true), .init(title: "ANNOUNCED"), .init(title: "TRACKER", flexible: true),
            .init(title: "ANSWER"),
        ])
        table.rows = trackers.map { tracker in
            let succeeded = tracker["succeeded"]?.bool ?? false
            let message = visible(tracker["message"]?.string ?? "", atMost: 60)
            return [
                .init(count(tracker["tier"])), .init(count(tracker["seeders"])), .init(count(tracker["leechers"])),
                .init(count(tracker["peers"])), .init(Amounts.time(tracker["announced_at"]?.int ?? 0)),
                .init(text(tracker["announce"])), .init(message, succeeded ? .green : .red),
            ]
        }
        return table.lines(on: terminal)
    }

    /// A map as names and values, deeper ones with their names joined by a dot.
    static func figures(_ figures: Value, on terminal: Terminal) -> [String] {
        var table = TextTable(columns: [.init(title: ""), .init(title: "", flexible: true)])
        func add(_ value: Value, _ name: String) {
            guard let map = value.map else {
                table.rows.append([.init(visible(name, atMost: 80), .faint), .init(figure(value, name))])
                return
            }
            for (key, value) in map.sorted(by: { $0.key < $1.key }) {
                add(value, name.isEmpty ? key : name + "." + key)
            }
        }
        add(figures, "")
        return table.lines(on: terminal, titles: false)
    }

    /// One of Transmission's figures, whose name tells its unit.
    static func figure(_ value: Value, _ name: String) -> String {
        switch value {
        case .int(let number) where name.hasSuffix("bytes") || name.hasSuffix("loaded") || name == "free":
            Amounts.bytes(number)
        case .int(let number) where name.hasSuffix("speed") || name.hasSuffix("_down") || name.hasSuffix("_up"):
            Amounts.bytes(number) + "/s"
        case .int(let number) where name.hasSuffix("seconds_active"): Amounts.duration(number)
        case .string(let text): visible(text, atMost: 500)
        default: visible(MachineText.json(value), atMost: 500)
        }
    }

    private static func text(_ value: Value?) -> String { visible(value?.string ?? "", atMost: 1000) }

    private static func count(_ value: Value?) -> String { value?.int.flatMap { $0 < 0 ? nil : String($0) } ?? "" }

    private static func priority(_ number: Int64?) -> String {
        switch number ?? 0 {
        case ..<0: "low"
        case 0: "normal"
        default: "high"
        }
    }
}
