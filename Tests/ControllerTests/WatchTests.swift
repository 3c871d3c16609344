/// `farseed watch`: keys, the full-screen view, and the lines of JSON.
import Calls
import Foundation
import Notation
import Seedbox
import Synchronization
import Testing

@testable import Controller

private let terminal = Terminal(isTerminal: true, width: 80, height: 10, colours: false)

private func torrents(_ count: Int) -> [InfoHash: Torrent] {
    var all: [InfoHash: Torrent] = [:]
    for index in 0..<count {
        var torrent = Torrent(hash: InfoHash(String(format: "%040d", index + 1))!)
        torrent[.name] = .string("Torrent \(index)")
        torrent[.status] = index % 2 == 0 ? "seeding" : "stopped"
        torrent[.added] = .int(Int64(index))
        torrent[.size] = .int(Int64(1000 - index))
        if index == 3 { torrent[.labels] = ["three"] }
        all[torrent.hash] = torrent
    }
    return all
}

private func screen(_ count: Int) -> WatchScreen {
    var screen = WatchScreen(box: "vps")
    screen.received(torrents(count), daemon: DaemonStatus(.up))
    return screen
}

@Suite struct WatchTests {
    @Test(
        arguments: [
            ("q", [.character("q")]), ("\u{1B}[A\u{1B}[B", [.up, .down]), ("\u{1B}OA", [.up]), ("\u{1B}", [.escape]),
            ("\u{1B}[5~\u{1B}[6~", [.pageUp, .pageDown]), ("\u{1B}[1;5A", [.up]), ("\r", [.enter]),
            ("\u{7F}", [.backspace]),
            ("é🧅", [.character("é"), .character("🧅")]), ("\u{3}", [.interrupt]), ("\u{1B}[200~x", [.character("x")]),
            ("\u{1B}[", []),
        ] as [(String, [Key])]
    )
    func `keys are decoded`(text: String, keys: [Key]) {
        var decoder = KeyDecoder()
        #expect(decoder.received(Array(text.utf8)) == keys)
    }

    @Test func `a letter that comes in two pieces is one key`() {
        var decoder = KeyDecoder()
        let bytes = Array("🧅".utf8)
        #expect(decoder.received(Array(bytes[..<2])) == [])
        #expect(decoder.received(Array(bytes[2...])) == [.character("🧅")])
    }

    @Test func `any bytes are survived`() {
        var generator = SeededGenerator(state: 7)
        for _ in 0..<2000 {
            var decoder = KeyDecoder()
            for _ in 0..<4 {
                let bytes = (0..<Int.random(in: 0..<12, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                _ = decoder.received(bytes)
            }
        }
    }

    @Test func `the screen fits the terminal, and the cursor is on it`() {
        var screen = screen(50)
        for _ in 0..<30 { _ = screen.pressed(.down) }
        let lines = screen.lines(on: terminal, now: 0)
        #expect(lines.count == 10)
        let marked = lines.filter { $0.hasPrefix("\u{1B}[7m") }
        #expect(marked.count == 1)
        #expect(marked.first?.contains("Torrent 30") == true)
        _ = screen.pressed(.home)
        #expect(screen.lines(on: terminal, now: 0)[2].contains("Torrent 0"))
        _ = screen.pressed(.end)
        #expect(screen.lines(on: terminal, now: 0)[8].contains("Torrent 49"))
    }

    @Test func `keys sort, filter and act on the torrent chosen`() {
        var screen = screen(5)
        _ = screen.pressed(.down)
        let second = screen.visibleTorrents[1].hash
        #expect(
            screen.pressed(.character("s")) == .change(verb: "torrent.start", second, arguments: [:], told: "started")
        )
        // The cursor stays with the torrent when the order changes.
        _ = screen.pressed(.character("r"))
        #expect(screen.visibleTorrents.map(\.name).first == "Torrent 4")
        #expect(
            screen.pressed(.character("p")) == .change(verb: "torrent.stop", second, arguments: [:], told: "stopped")
        )
        for key in "/three" { _ = screen.pressed(.character(key)) }
        #expect(screen.visibleTorrents.map(\.name) == ["Torrent 3"])
        _ = screen.pressed(.enter)
        #expect(screen.pressed(.character("x")) == nil)
        #expect(screen.pressed(.character("n")) == nil)
        #expect(screen.pressed(.character("x")) == nil)
        let third = screen.visibleTorrents[0].hash
        #expect(
            screen.pressed(.character("y"))
                == .change(verb: "torrent.remove", third, arguments: ["delete_data": false], told: "removed")
        )
        _ = screen.pressed(.escape)
        #expect(screen.visibleTorrents.count == 5)
        #expect(screen.pressed(.character("q")) == .quit)
    }

    @Test(arguments: hostileNames)
    func `no name leaves its place on the screen`(name: String) {
        var screen = WatchScreen(box: "vps")
        let hash = InfoHash(String(repeating: "a", count: 40))!
        screen.received([hash: Torrent(hash: hash, [.name: .string(name), .status: "seeding"])], daemon: nil)
        _ = screen.pressed(.character("x"))
        for line in screen.lines(on: terminal, now: 0) {
            let text = line.replacing("\u{1B}[7m", with: "").replacing("\u{1B}[0m", with: "")
            #expect(!text.unicodeScalars.contains(where: isTreacherous))
            #expect(DisplayWidth.of(text) <= 80)
        }
    }

    @Test func `an empty seedbox has a screen too`() {
        var screen = screen(0)
        #expect(screen.lines(on: terminal, now: 0).count == 10)
        for key: Key in [.down, .end, .character("s"), .character("x")] { #expect(screen.pressed(key) == nil) }
    }

    @Test func `on a terminal keys act, and the terminal is given back as it was`() async throws {
        let all = torrents(3)
        let verbs = Mutex<[Value]>([])
        let answers: [String: FakeDaemon.Answer] = [
            "watch": { call in
                for event in WatchFeed.snapshot(all, at: Position(epoch: 4, seq: 7)) {
                    try await call.emit(event.value)
                }
                try await call.emit(["kind": "link", "link": ["state": "live", "rtt_ms": 712]])
                try await Task.sleep(for: .seconds(60))
                return .null
            },
            "submit": { call in
                verbs.withLock { $0.append(call.arguments["verb"] ?? .null) }
                return ["id": 1, "state": "done", "ended": true]
            },
        ]
        try await FakeDaemon.with(answers) { daemon in
            let run = try TerminalRun(["watch", "-b", "vps"], in: daemon.directory)
            #expect(try await run.shows("Torrent 2"), "\(run.text)")
            #expect(try await run.shows("vps live 712 ms"))
            try run.type("s")
            #expect(try await run.shows("started"), "\(run.text)")
            try run.type("q")
            #expect(try await run.status() == 0)
            #expect(run.text.contains("\u{1B}[?1049h"))
            #expect(try await run.shows("\u{1B}[?1049l"))
        }
        #expect(verbs.withLock { $0 } == ["torrent.start"])
    }

    @Test func `piped, each change is a line`() async throws {
        let all = torrents(3)
        let first = all.keys.sorted()[0]
        let watch: FakeDaemon.Answer = { call in
            try await call.emit(Event.daemon(DaemonStatus(.up)).value)
            for event in WatchFeed.snapshot(all, at: Position(epoch: 4, seq: 7)) { try await call.emit(event.value) }
            try await call.emit(["kind": "link", "link": ["state": "live"]])
            let delta = Delta(set: [first: [.status: "stopped"]])
            try await call.emit(Event.delta(position: Position(epoch: 4, seq: 8), delta).value)
            throw Problem(.connectionLost, "The daemon ends.")
        }
        try await FakeDaemon.with(["watch": watch]) { daemon in
            let run = try await CommandRun.farseed(["watch", "-b", "vps"], in: daemon.directory)
            #expect(run.status == Problem.Code.connectionLost.exitCode)
            let lines = try run.text.split(separator: "\n").map { try JSON.decode(String($0)) }
            try #require(lines.count == 4, "\(run.text) \(run.errors)")
            #expect(lines[0]["kind"] == "daemon")
            #expect(lines[1]["full"]?.map?.count == 3)
            #expect(lines[1]["seq"] == 7)
            #expect(lines[2]["link"]?["state"] == "live")
            #expect(lines[3]["set"]?[first.hex] == ["status": "stopped"])
            #expect(lines[3]["seq"] == 8)
        }
    }
}
