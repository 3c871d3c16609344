/// What `farseed status` prints of the daemon and its links.
import Notation
import Seedbox

/// The reply of the control socket's `status`, or what a command without a daemon knows.
struct DaemonReport: Sendable {
    struct Box: Sendable {
        var name: String
        /// `LinkStatus.value`.
        var link: Value
        /// Of the host's figures those that tell of the disks; empty where none are known.
        var disk: [String: Value] = [:]

        static let diskFigures = ["disk_guard", "disk_paused", "disks"]

        var value: Value { .map(disk.merging(["name": .string(name), "link": link]) { _, own in own }) }
    }

    /// Nil where no daemon runs.
    var software: String?
    var boxes: [Box]

    init(software: String?, boxes: [Box]) {
        self.software = software
        self.boxes = boxes
    }

    init(_ value: Value) {
        software = value["software"]?.string ?? "farseed"
        boxes = (value["boxes"]?.array ?? []).compactMap { box in
            box["name"]?.string.map { name in
                let disk = (box.map ?? [:]).filter { Box.diskFigures.contains($0.key) }
                return Box(name: name, link: box["link"] ?? .null, disk: disk)
            }
        }
    }

    /// The documented schema of `status --json` (`Docs/Operations.md`).
    var value: Value {
        [
            "software": software.map { .string($0) } ?? .null,
            "running": .bool(software != nil),
            "boxes": .array(boxes.map(\.value)),
        ]
    }
}

enum StatusText {
    static func lines(_ report: DaemonReport, now: Int64, on terminal: Terminal) -> [String] {
        guard let software = report.software else {
            return ["No daemon runs; `farseed serve` starts it. Commands open their own session."]
        }
        var lines = [Tint.bold.paint(visible(software, atMost: 80), terminal.colours)]
        for box in report.boxes {
            lines.append("")
            lines.append(header(box, now: now, on: terminal))
            var table = TextTable(columns: [.init(title: ""), .init(title: ""), .init(title: "", flexible: true)])
            for hop in box.link["hops"]?.array ?? [] {
                let state = visible(hop["state"]?.string ?? "unknown", atMost: 20)
                table.rows.append([
                    .init("  " + visible(hop["hop"]?.string ?? "?", atMost: 20)), .init(state, tint(state)),
                    .init(visible(hop["detail"]?.string ?? "", atMost: 300)),
                ])
            }
            lines += table.lines(on: terminal, titles: false).map { line in
                String(line.reversed().drop { $0 == " " }.reversed())
            }
            if let problem = box.link["problem"].flatMap(Problem.init) {
                lines.append("  " + Tint.red.paint(visible(problem.message), terminal.colours))
            }
            for warning in box.link["warnings"]?.array ?? [] {
                let text = visible(warning["message"]?.string ?? "", atMost: 500)
                lines.append("  " + Tint.yellow.paint("! " + text, terminal.colours))
            }
            if let want = wantOfDisk(box) { lines.append("  " + Tint.red.paint(want, terminal.colours)) }
        }
        return lines
    }

    private static func header(_ box: DaemonReport.Box, now: Int64, on terminal: Terminal) -> String {
        let state = visible(box.link["state"]?.string ?? "unknown", atMost: 30)
        var parts = [Tint.bold.paint(visible(box.name, atMost: 40), terminal.colours) + ": " + state]
        if let roundTrip = box.link["rtt_ms"]?.int { parts.append("round trip \(roundTrip) ms") }
        if let age = age(box.link, now: now) { parts.append("data \(age) old") }
        return parts.joined(separator: ", ")
    }

    /// What the disk guard does and which disks are the reason; nil while there is room.
    private static func wantOfDisk(_ box: DaemonReport.Box) -> String? {
        let what: String
        switch box.disk["disk_guard"]?.string {
        case "paused":
            what = "The disk guard has paused \(downloads(box.disk)), and resumes them when there is room"
        case "low": what = "A disk has less room than its reserve"
        default: return nil
        }
        let disks = box.disk["disks"]?.array ?? []
        let low = disks.filter { $0["low"] == true }
        // Downloads are held back until there is some more than the reserve.
        let rooms = (low.isEmpty ? disks : low).compactMap { disk -> String? in
            guard let directory = disk["directory"]?.string, let free = disk["free"]?.int else { return nil }
            return "\(Amounts.bytes(free)) free in \(visible(directory, atMost: 200))"
        }
        return what + (rooms.isEmpty ? "" : ": " + rooms.joined(separator: ", ")) + "."
    }

    /// The same in a few words, for a status bar.
    static func wantOfDiskInShort(_ figures: [String: Value]) -> String? {
        switch figures["disk_guard"]?.string {
        case "paused": return "\(downloads(figures)) paused for want of space"
        case "low":
            let free = (figures["disks"]?.array ?? []).filter { $0["low"] == true }.compactMap { $0["free"]?.int }.min()
            return "disk low" + (free.map { ", \(Amounts.bytes($0)) free" } ?? "")
        default: return nil
        }
    }

    /// What the disk guard holds back; agents before this figure do not say how many.
    private static func downloads(_ figures: [String: Value]) -> String {
        switch figures["disk_paused"]?.int {
        case nil: "downloads"
        case 1: "1 download"
        case let count?: "\(count) downloads"
        }
    }

    /// For status bars: each box with its state, the hop that is down where one is, and a disk that is short of space.
    static func oneline(_ report: DaemonReport, now: Int64) -> String {
        guard report.software != nil else { return "farseed: not running" }
        if report.boxes.isEmpty { return "farseed: no boxes" }
        return report.boxes.map { box in
            var text = visible(box.name, atMost: 40) + " " + visible(box.link["state"]?.string ?? "unknown", atMost: 30)
            if let hop = brokenHop(box.link) { text += " (\(hop))" }
            if isLive(box.link), let roundTrip = box.link["rtt_ms"]?.int { text += " \(roundTrip) ms" }
            if !isLive(box.link), let age = age(box.link, now: now) { text += ", data \(age) old" }
            if let want = wantOfDiskInShort(box.disk) { text += ", " + want }
            return text
        }.joined(separator: " · ")
    }

    static func isLive(_ link: Value) -> Bool { link["state"]?.string == "live" }

    private static func brokenHop(_ link: Value) -> String? {
        let hops = link["hops"]?.array ?? []
        let broken = hops.first { $0["state"]?.string == "down" } ?? hops.first { $0["state"]?.string == "waiting" }
        return broken?["hop"]?.string.map { visible($0, atMost: 20) }
    }

    private static func age(_ link: Value, now: Int64) -> String? {
        guard let at = link["data_at"]?.int, at <= now else { return nil }
        return Amounts.duration((now - at) / 1000)
    }

    private static func tint(_ state: String) -> Tint? {
        switch state {
        case "up": .green
        case "down": .red
        case "waiting": .yellow
        default: .faint
        }
    }
}
