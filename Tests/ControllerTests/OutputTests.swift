/// What people and programs read: nothing from outside acts on a terminal, and columns stay in line.
import Foundation
import Notation
import Seedbox
import Testing

@testable import Controller

/// Names that a stranger may give a torrent.
let hostileNames: [String] = [
    "<img src=x onerror=alert(1)>", "$(touch pwned)", "two\nlines", "tab\there", "\u{1B}[2J\u{1B}[31mred",
    "\u{202E}gnp.exe", "🧅 onion beyond the BMP", String(repeating: "n", count: 4000), "\u{9B}31mC1", "nul\u{0}byte",
    "bell\u{7}", "back\u{8}space", "del\u{7F}", "line\u{2028}separator", "\u{FEFF}bom", "日本語の名前", "한국어",
    "e" + String(repeating: "\u{301}", count: 500), "👨‍👩‍👧‍👦", "🇩🇪", "\u{2066}isolate\u{2069}", "\r\nCRLF", "",
    "no", "~", "- x: y", "\"quoted\"", "\u{E0041}tag",
]

private func torrent(_ digit: String, _ fields: [Field: Value] = [:]) -> Torrent {
    Torrent(hash: InfoHash(String(repeating: digit, count: 40))!, fields)
}

@Suite struct OutputTests {
    @Test(arguments: hostileNames)
    func `no name acts on a terminal`(name: String) {
        let shown = visible(name)
        #expect(!shown.unicodeScalars.contains(where: isTreacherous))
        let lines = TorrentList.lines(
            [torrent("a", [.name: .string(name), .status: "seeding"])],
            on: Terminal(isTerminal: true, width: 100, height: 24, colours: false)
        )
        #expect(lines.count == 3)
        #expect(lines.allSatisfy { DisplayWidth.of($0) <= 100 })
        #expect(lines.allSatisfy { !$0.unicodeScalars.contains(where: isTreacherous) })
    }

    @Test(arguments: hostileNames)
    func `a name comes through JSON and YAML whole, and harmless to look at`(name: String) throws {
        let value: Value = ["name": .string(name), "list": [1, 2.5, true, nil]]
        let json = MachineText.json(value)
        #expect(try JSON.decode(json) == value)
        #expect(!json.contains("\n"))
        #expect(!json.unicodeScalars.contains { isTreacherous($0) && $0.value <= 0xFFFF })
        let yaml = try MachineText.yaml(value)
        #expect(!yaml.unicodeScalars.contains { isTreacherous($0) && $0 != "\n" && $0.value <= 0xFFFF })
        // Yams, when reading, loses a byte order mark that YAML keeps.
        #expect(try YAMLReading.string(yaml, "name") == name.replacing("\u{FEFF}", with: ""))
    }

    @Test(arguments: [
        (5e-05, "5.0e-05"), (-1e+16, "-1.0e+16"), (1.5e-07, "1.5e-07"), (0.25, "0.25"), (2.0, "2.0"),
        (-Double.infinity, "-.inf"),
    ])
    func `a number in YAML is none but a number`(number: Double, text: String) throws {
        #expect(try MachineText.yaml(["ratio": .double(number)]) == "ratio: \(text)\n")
    }

    @Test func `a person is told of a change that could not be seen`() {
        let told = [nil, true, false].map { (confirmed: Value?) in
            var result: [String: Value] = ["torrents": [:]]
            result["confirmed"] = confirmed
            return ChangeOptions.doubt(.done(result: .map(result), job: [:]))
        }
        #expect(told[0] == nil && told[1] == nil)
        #expect(told[2]?.contains("could not be seen") == true)
        #expect(ChangeOptions.doubt(.pending(job: [:], told: "accepted")) == nil)
    }

    @Test(arguments: hostileNames)
    func `a name forges no line of a format`(name: String) throws {
        let one = TorrentList.value(torrent("a", [.name: .string(name)]))
        let line = try LineTemplate(#"{hash}\t{name}"#, of: TorrentRecord.self).line(one)
        #expect(line.split(separator: "\t", omittingEmptySubsequences: false).count == 2)
        #expect(!line.contains("\n"))
    }

    @Test(arguments: [
        ("abc", 3), ("日本", 4), ("한", 2), ("🧅", 2), ("é", 1), ("e\u{301}", 1), ("ｱ", 1), ("Ａ", 2), ("🇩🇪", 2), ("", 0),
    ])
    func `widths are those of wcwidth`(text: String, width: Int) {
        #expect(DisplayWidth.of(text) == width)
    }

    @Test(arguments: [("abcdef", 4, "abc…"), ("日本語", 4, "日…"), ("abc", 3, "abc"), ("abc", 0, ""), ("日本", 1, "…")])
    func `a cut keeps within its width`(text: String, width: Int, cut: String) {
        #expect(DisplayWidth.cut(text, to: width) == cut)
    }

    @Test(
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1500, "1.5 kB"), (99_949, "99.9 kB"), (999_499, "999 kB"),
            (999_500, "1.0 MB"), (12_345_678_901, "12.3 GB"), (Int64.max, "9.2 EB"), (-1, "0 B"),
        ] as [(Int64, String)]
    )
    func `bytes have three digits`(count: Int64, text: String) {
        #expect(Amounts.bytes(count) == text)
    }

    @Test(
        arguments: [
            (0, "0s"), (45, "45s"), (200, "3m 20s"), (3600, "1h"), (7500, "2h 5m"), (356_400, "4d 3h"),
            (33_264_000, "1y 20d"),
        ] as [(Int64, String)]
    )
    func `durations have two units`(seconds: Int64, text: String) {
        #expect(Amounts.duration(seconds) == text)
    }

    @Test func `progress is never shown as more than it is`() {
        #expect(Amounts.percent(0.9999) == "99 %")
        #expect(Amounts.percent(1) == "100 %")
        #expect(Amounts.percent(.nan) == "")
        #expect(Amounts.bar(0.5, width: 4) == "██░░")
        #expect(Amounts.bar(1, width: 4) == "████")
        #expect(Amounts.bar(7, width: 4) == "████")
        #expect(Amounts.bar(.nan, width: 4) == "░░░░")
        #expect(Amounts.bar(0.3, width: 4) == "█▏░░")
    }

    @Test func `columns are in line whatever the names are made of`() {
        let torrents = hostileNames.map { torrent("a", [.name: .string($0), .status: "stopped", .size: 1000]) }
        let terminal = Terminal(isTerminal: true, width: 90, height: 24, colours: false)
        let lines = TorrentList.lines(torrents, on: terminal).dropLast()
        #expect(lines.count == torrents.count + 1)
        let places = lines.dropFirst().map { line in
            DisplayWidth.of(String(line[..<line.range(of: "stopped")!.lowerBound]))
        }
        #expect(Set(places).count == 1)
    }

    @Test func `colours are only where they are wanted`() {
        let one = [torrent("a", [.name: "x", .status: "seeding"])]
        let plain = TorrentList.lines(one, on: .none).joined()
        #expect(!plain.contains("\u{1B}"))
        let coloured = TorrentList.lines(one, on: Terminal(isTerminal: true, width: 80, height: 24, colours: true))
        #expect(coloured.joined().contains("\u{1B}[36mseeding"))
        #expect(Terminal.of(-1) == .none)
    }

    @Test func `hashes are shown as long as it takes to tell them apart`() {
        let hashes = ["aaaaaaaaaa0", "aaaaaaaaaa1", "b"].map { text in
            InfoHash(text + String(repeating: "0", count: 40 - text.count))!
        }
        #expect(TorrentList.hashDigits(hashes) == 11)
        #expect(TorrentList.hashDigits([hashes[2]]) == 8)
    }

    @Test func `a link's state is told hop by hop, and in one line`() {
        var status = LinkStatus(state: "backing-off", dataAt: 1_000_000)
        status[.tor] = .init(.up, "bootstrapped 100 %")
        status[.circuit] = .init(.down, "descriptor \u{1B}[2J missing")
        status.problem = Problem(.onionNotFound, "The onion service has no descriptor.")
        status.warnings = [.init(.clockSkew, "The clock is \u{1B}[2J off.")]
        var report = DaemonReport(["software": "farseed 0.1.0", "boxes": [["name": "vps", "link": status.value]]])
        #expect(StatusText.oneline(report, now: 1_060_000) == "vps backing-off (circuit), data 1m old")
        let lines = StatusText.lines(report, now: 1_060_000, on: .none)
        #expect(lines.contains("vps: backing-off, data 1m old"))
        #expect(lines.contains("  circuit       down     descriptor ␛[2J missing"))
        #expect(lines.contains("  The onion service has no descriptor."))
        #expect(lines.contains("  ! The clock is ␛[2J off."))
        #expect(StatusCommand.exitCode(report, box: nil) == Problem.Code.onionNotFound.exitCode)
        report.software = nil
        #expect(StatusText.oneline(report, now: 0) == "farseed: not running")
        #expect(StatusCommand.exitCode(report, box: nil) == Problem.Code.controllerAbsent.exitCode)
    }

    @Test(
        arguments: [
            ("ok", 0, nil, nil),
            ("low", 0, "  A disk has less room than its reserve: 1.5 GB free in /small.", "disk low, 1.5 GB free"),
            (
                "paused", 1,
                "  The disk guard has paused 1 download, and resumes them when there is room: 1.5 GB free in /small.",
                "1 download paused for want of space"
            ),
            (
                "paused", 3,
                "  The disk guard has paused 3 downloads, and resumes them when there is room: 1.5 GB free in /small.",
                "3 downloads paused for want of space"
            ),
            (
                "paused", nil,
                "  The disk guard has paused downloads, and resumes them when there is room: 1.5 GB free in /small.",
                "downloads paused for want of space"
            ),
        ] as [(String, Int64?, String?, String?)]
    )
    func `what the disk guard does is told in words, with the reason`(
        word: String,
        paused: Int64?,
        told: String?,
        short: String?
    ) {
        let status = LinkStatus(state: "live", dataAt: 0).value
        let disks: Value = [
            ["directory": "/large", "total": 9_000_000_000, "free": 8_000_000_000, "low": false],
            ["directory": "/small", "total": 2_000_000_000, "free": 1_500_000_000, "low": .bool(word != "ok")],
        ]
        var box: [String: Value] = ["name": "vps", "link": status, "disk_guard": .string(word), "disks": disks]
        if let paused { box["disk_paused"] = .int(paused) }
        let report = DaemonReport(["boxes": [.map(box)]])
        #expect(DaemonReport(report.value).value == report.value)
        let lines = StatusText.lines(report, now: 0, on: .none).filter { $0.contains("disk") || $0.contains("free") }
        #expect(lines == (told.map { [$0] } ?? []))
        #expect(StatusText.oneline(report, now: 0) == "vps live" + (short.map { ", " + $0 } ?? ""))
        #expect(report.value["boxes"]?.array?[0]["disk_guard"] == .string(word))
        // And in the headline of `watch`, with a controller's link or without.
        for link in [status, .null] {
            var screen = WatchScreen(box: "vps")
            screen.received(link: link)
            screen.received(host: box)
            let headline = screen.lines(on: .none, now: 0)[0]
            #expect(headline.contains(short ?? "vps") && (short != nil || !headline.contains("space")), "\(headline)")
        }
    }

    @Test func `a disk's directory cannot act on the terminal, and one with the reserve just back is named`() {
        let report = DaemonReport([
            "boxes": [
                [
                    "name": "vps", "disk_guard": "paused",
                    "disks": [["directory": "/a\u{1B}[2J", "free": 2_100_000_000, "low": false]],
                ]
            ]
        ])
        #expect(StatusText.lines(report, now: 0, on: .none).last?.hasSuffix(": 2.1 GB free in /a␛[2J.") == true)
    }

    @Test func `failures take one line whatever the other side says`() {
        #expect(Failure.line(Problem(.agentFailed, "a\nb\u{1B}")) == "farseed: a␊b␛")
    }
}
