import Calls
import Foundation
import NIOCore
import Notation
import Seedbox
import Testing
import Transmission
import Wire

@testable import Agent

/// The whole agent against real daemons: Debian's own and newer ones.
@Suite(.serialized, .timeLimit(.minutes(3))) struct TransmissionDaemonTests {
    private static let hostile = [
        "plain", "🧅 onion", "<img src=x onerror=alert(1)>", "$(touch pwned)", "two\nlines\tand\u{1B}[31mred",
        "abc\u{202E}gnp.exe", "中5文", String(repeating: "long ", count: 40), "'\"`\\", "e\u{301}",
    ]

    @Test(arguments: TransmissionDaemon.Release.allCases)
    func `hostile names arrive whole, and what others change is told`(_ release: TransmissionDaemon.Release)
        async throws
    {
        let daemon = try await TransmissionDaemon(release)
        for name in Self.hostile { try await daemon.add(name) }
        try await ServedAgent(watching: daemon).withConnection { connection in
            var mirror = Mirror(try await connection.open("watch", ["topics": ["torrents", "daemon"]]))
            try await mirror.until { $0.table?.torrents.count == Self.hostile.count }
            #expect(Set(mirror.names) == Set(Self.hostile))

            let added = try await daemon.add("new 🧅")
            try await mirror.until { $0.names.contains("new 🧅") }
            // Labels are what `recently-active` does not tell.
            let ids: Value = [.string(added.hex)]
            _ = try await daemon.client.call("torrent-set", ["ids": ids, "labels": ["x"]])
            try await mirror.until { $0.table?.torrents[added]?[.labels] == ["x"] }
            _ = try await daemon.client.call("torrent-remove", ["ids": ids])
            try await mirror.until { $0.table?.torrents[added] == nil }
        }
        daemon.stop()
    }

    /// Labels, limits, priorities and trackers are what `recently-active` does not tell.
    @Test(arguments: TransmissionDaemon.Release.allCases)
    func `what others change with transmission-remote is found`(_ release: TransmissionDaemon.Release) async throws {
        let daemon = try await TransmissionDaemon(release)
        let hash = try await daemon.add("one")
        try await daemon.add("two")
        let announce = "http://127.0.0.1:1/announce"
        let changes: [(words: [String], field: Field, value: Value)] = [
            (["-L", "film"], .labels, ["film"]), (["-d", "70"], .downLimit, 70_000), (["-u", "30"], .upLimit, 30_000),
            (["-Bl"], .priority, -1), (["-td", announce], .trackers, ["127.0.0.1"]), (["-hl"], .sessionLimits, true),
            (["-sr", "1.5"], .ratioLimit, 1.5),
        ]
        try await ServedAgent(watching: daemon).withConnection { connection in
            var mirror = Mirror(try await connection.open("watch", ["topics": ["torrents"]]))
            try await mirror.until { $0.names.count == 2 }
            for (words, field, value) in changes {
                try daemon.remote(["-t", hash.hex] + words)
                try await mirror.until { $0.table?.torrents[hash]?[field] == value }
            }
            _ = try await daemon.client.call("queue-move-bottom", ["ids": [.string(hash.hex)]])
            try await mirror.until { $0.table?.torrents[hash]?[.queue] == 1 }
        }
        daemon.stop()
    }

    @Test func `what is changed by a program of ours is seen at once`() async throws {
        let daemon = try await TransmissionDaemon()
        let hash = try await daemon.add("one")
        // On its own the agent would not look at labels within this test.
        try await ServedAgent(watching: daemon, cold: 600_000).withConnection { connection in
            var mirror = Mirror(try await connection.open("watch", ["topics": ["torrents"]]))
            try await mirror.until { $0.names == ["one"] }
            _ = try await Execution(connection, ["transmission-remote", "-t", hash.hex, "-L", "film"])
            try await mirror.until { $0.table?.torrents[hash]?[.labels] == ["film"] }
        }
        daemon.stop()
    }

    /// 3.00 tells for a minute of every torrent behind the one that was removed.
    @Test(arguments: TransmissionDaemon.Release.allCases)
    func `a removal at the head of the queue is told once`(_ release: TransmissionDaemon.Release) async throws {
        let daemon = try await TransmissionDaemon(release)
        var added: [InfoHash] = []
        for number in 0..<30 { added.append(try await daemon.add("t\(number)")) }
        let hashes = added
        let agent = try ServedAgent(watching: daemon)
        try await agent.withConnection { connection in
            var mirror = Mirror(try await connection.open("watch", ["topics": ["torrents"]]))
            try await mirror.until { mirror in
                mirror.table?.torrents.values.filter { $0.status == .stopped }.count == 30
            }
            let first = hashes[0]
            _ = try await daemon.client.call("torrent-remove", ["ids": [.string(first.hex)]])
            try await mirror.until { $0.table?.torrents[first] == nil && $0.table?.torrents[hashes[29]]?[.queue] == 28 }
            mirror.deltas = []
            // Ten looks later a label is the only news.
            let look = agent.core.source.freshLook + 10
            while !agent.core.source.isOver(look: look) { try await Task.sleep(for: .milliseconds(20)) }
            _ = try await daemon.client.call("torrent-set", ["ids": [.string(hashes[1].hex)], "labels": ["x"]])
            try await mirror.until { $0.table?.torrents[hashes[1]]?[.labels] == ["x"] }
            #expect(mirror.deltas.filter { !$0.isEmpty } == [Delta(set: [hashes[1]: [.labels: ["x"]]])])
        }
        daemon.stop()
    }

    @Test func `while nobody looks the daemon is asked seldom, and events are found all the same`() async throws {
        let daemon = try await TransmissionDaemon()
        try await daemon.add("one")
        let agent = try ServedAgent(watching: daemon)
        try await agent.withConnection { connection in
            #expect(try await connection.peerHello().capabilities.contains("pace"))
            var mirror = Mirror(try await connection.open("watch", ["topics": ["torrents"]]))
            try await mirror.until { $0.names == ["one"] }
            #expect(agent.core.source.isLookedAt)
            #expect(try await connection.call("pace", ["watched": false]) == [:])
            #expect(!agent.core.source.isLookedAt)
            try await daemon.add("two")
            try await mirror.until { Set($0.names) == ["one", "two"] }
            #expect(try await connection.call("pace", ["watched": true]) == [:])
            #expect(agent.core.source.isLookedAt)
            let problem = await #expect(throws: Problem.self) { try await connection.call("pace", ["watched": 1]) }
            #expect(problem?.code == .badRequest)
        }
        daemon.stop()
    }

    /// The settings are asked for more often than the torrents while nobody watches; that says nothing of the torrents.
    @Test func `whoever comes after a while is told what there is, and not what there was`() async throws {
        let daemon = try await TransmissionDaemon()
        try await daemon.add("one")
        let agent = try ServedAgent(watching: daemon, cold: 600_000, unwatched: 600_000, session: 50)
        try await agent.withConnection { connection in
            let call = try await connection.open("watch", ["topics": ["torrents"]])
            var mirror = Mirror(call)
            try await mirror.until { $0.names == ["one"] }
            call.cancel()
            while agent.core.source.isLookedAt { try await Task.sleep(for: .milliseconds(5)) }
            try await daemon.add("two")
            // What is known is no longer fresh once as much time has passed.
            try await Task.sleep(for: .milliseconds(400))
            var second = Mirror(try await connection.open("watch", ["topics": ["torrents"]]))
            try await second.until { $0.table != nil }
            #expect(Set(second.names) == ["one", "two"])
        }
        daemon.stop()
    }

    @Test func `whoever comes after a command or a failure waits for another look`() async throws {
        let daemon = try await TransmissionDaemon()
        var timing = WatcherTiming()
        timing.fresh = 600_000
        func looked(_ source: TorrentSource) async throws {
            let running = Task { await source.run() }
            while !source.isOver(look: 1) { try await Task.sleep(for: .milliseconds(5)) }
            running.cancel()
            await running.value
        }
        let source = TorrentSource(client: daemon.client, epoch: 1, timing: timing)
        try await looked(source)
        #expect(source.isOver(look: source.freshLook))
        source.mutated()
        #expect(!source.isOver(look: source.freshLook))
        daemon.stop()
        let broken = TorrentSource(client: daemon.client, epoch: 1, timing: timing)
        try await looked(broken)
        #expect(!broken.isOver(look: broken.freshLook))
    }

    @Test func `a key that reads watches, and can neither change nor look closer`() async throws {
        let daemon = try await TransmissionDaemon()
        let hash = try await daemon.add("one")
        try await ServedAgent(watching: daemon).withConnection(.read) { connection in
            var mirror = Mirror(try await connection.open("watch", ["topics": ["torrents", "daemon"]]))
            try await mirror.until { $0.names == ["one"] }
            for verb in Verb.allCases {
                let problem = await #expect(throws: Problem.self) {
                    try await connection.call(
                        verb.rawValue,
                        ["hashes": [.string(hash.hex)], "hash": .string(hash.hex)]
                    )
                }
                #expect(problem?.code == .notPermitted)
            }
            try await daemon.add("two")
            try await mirror.until { Set($0.names) == ["one", "two"] }
        }
        try await ServedAgent(watching: daemon).withConnection(.bulk) { connection in
            let role = try await connection.call("status")["role"]
            #expect(role == "bulk")
            for procedure in ["watch", "exec"] + Verb.allCases.map(\.rawValue) {
                let problem = await #expect(throws: Problem.self) { try await connection.call(procedure) }
                #expect(problem?.code == .notPermitted)
            }
        }
        daemon.stop()
    }

    @Test(arguments: TransmissionDaemon.Release.allCases)
    func `a daemon that freezes is busy, one that is killed is down, and both come back`(
        _ release: TransmissionDaemon.Release
    ) async throws {
        let daemon = try await TransmissionDaemon(release)
        try await daemon.add("one")
        try await ServedAgent(watching: daemon).withConnection { connection in
            var mirror = Mirror(try await connection.open("watch", ["topics": ["torrents", "daemon"]]))
            try await mirror.until { $0.daemon?.state == .up && $0.names == ["one"] }
            daemon.freeze()
            try await mirror.until { $0.daemon?.state == .busy }
            #expect(mirror.names == ["one"])
            daemon.thaw()
            try await mirror.until { $0.daemon?.state == .up }
            daemon.stop()
            try await mirror.until { $0.daemon?.state == .down }
            #expect(mirror.names == ["one"])
            try await daemon.restart()
            try await mirror.until { $0.daemon?.state == .up }
            // Its numbers began anew; what is told still fits.
            try await daemon.add("two")
            try await mirror.until { Set($0.names) == ["one", "two"] }
        }
        daemon.stop()
    }

    @Test(arguments: TransmissionDaemon.Release.allCases)
    func `a password is asked for, used, and never told`(_ release: TransmissionDaemon.Release) async throws {
        let account = Account(user: "me", password: "pass-word-1234")
        let daemon = try await TransmissionDaemon(release, account: account)
        try await daemon.add("secret torrent")
        let refused = try await ServedAgent(watching: daemon).withConnection { try await $0.call("status") }
        #expect(refused["transmission"]?["state"] == "unauthorized")
        #expect(refused["transmission"]?["message"]?.string?.contains("rpc-auth-file") == true)
        try await ServedAgent(watching: daemon, account: account).withConnection { connection in
            let status = try await connection.call("status")
            #expect(status["transmission"]?["state"] == "up")
            let list = try await Execution(connection, ["transmission-remote", "-l"])
            #expect(list.output.contains("secret torrent"))
            #expect(list.reply == ["status": 0])
            let debug = try await Execution(connection, ["transmission-remote", "--debug", "-l"])
            #expect(debug.errors.contains("torrent-get"))
            for text in [debug.output, debug.errors] {
                #expect(!text.contains("pass-word-1234"))
                #expect(!text.contains(Base64.encode(Array("me:pass-word-1234".utf8))))
            }
        }
        daemon.stop()
    }

    @Test(arguments: TransmissionDaemon.Release.allCases)
    func `a watcher that comes back gets only what it missed, a slow one fewer events`(
        _ release: TransmissionDaemon.Release
    ) async throws {
        let daemon = try await TransmissionDaemon(release)
        let hash = try await daemon.add("one")
        let agent = try ServedAgent(watching: daemon)
        try await agent.withConnection { connection in
            let watch: Value = ["topics": ["torrents"]]
            var mirror = Mirror(try await connection.open("watch", watch))
            try await mirror.until { $0.table != nil }
            let position = try #require(mirror.table?.position)
            func label(_ text: String) async throws {
                _ = try await connection.call(
                    "torrent.set",
                    ["hashes": [.string(hash.hex)], "labels": [.string(text)]]
                )
                try await mirror.until { $0.table?.torrents[hash]?[.labels] == [.string(text)] }
            }
            // Meanwhile this one takes nothing.
            let slow = try await connection.open("watch", watch)
            for number in 0..<5 { try await label("l\(number)") }
            let after: Value = ["epoch": .int(position.epoch), "seq": .int(position.seq)]
            var late = Mirror(try await connection.open("watch", ["topics": ["torrents"], "after": after]))
            late.table = TorrentTable(position: position)
            try await late.until { $0.table?.position == mirror.table?.position }
            #expect(late.snapshots == 0)
            #expect(late.table?.torrents[hash]?[.labels] == ["l4"])
            var reader = Mirror(slow)
            try await reader.until { $0.table?.position == mirror.table?.position }
            #expect(reader.table == mirror.table)
            let strange: Value = ["topics": ["torrents"], "after": ["epoch": 1, "seq": 1]]
            var anew = Mirror(try await connection.open("watch", strange))
            try await anew.until { $0.table == mirror.table }
            #expect(anew.snapshots == 1)
        }
        daemon.stop()
    }
}

/// What a controller makes of a watch.
struct Mirror {
    var table: TorrentTable?
    var daemon: DaemonStatus?
    var snapshots = 0
    /// Every change that was told.
    var deltas: [Delta] = []
    private var parts: [Torrent] = []
    private var events: CallInputs.AsyncIterator
    private let call: OutgoingCall

    init(_ call: OutgoingCall) {
        self.call = call
        events = call.events.makeAsyncIterator()
    }

    var names: [String] { table.map { $0.torrents.values.map(\.name) } ?? [] }

    struct TimedOut: Error {}

    /// Takes events until it is so; within twenty seconds.
    mutating func until(_ isDone: (Mirror) -> Bool) async throws {
        let call = call
        let alarm = Task {
            try await Task.sleep(for: .seconds(20))
            call.cancel()
        }
        defer { alarm.cancel() }
        while !isDone(self) {
            guard case .event(let value) = await events.next(), let event = Event(value) else { throw TimedOut() }
            switch event {
            case .snapshot(let position, let part, let count, let torrents):
                parts = (part == 0 ? [] : parts) + torrents
                guard part == count - 1 else { break }
                snapshots += 1
                let keyed = parts.map { ($0.hash, $0) }
                table = TorrentTable(position: position, torrents: Dictionary(uniqueKeysWithValues: keyed))
            case .delta(let position, let delta, _):
                #expect(table?.apply(delta, for: position) == true)
                deltas.append(delta)
            case .daemon(let status, _): daemon = status
            case .session, .host: break
            }
        }
    }
}
