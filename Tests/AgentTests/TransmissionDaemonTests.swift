import Calls
import Foundation
import NIOCore
import Notation
import Seedbox
import Testing
import Transmission
import Wire

@testable import Agent

/// The whole agent against the real daemon that Debian installs.
@Suite(.serialized, .timeLimit(.minutes(3))) struct TransmissionDaemonTests {
    private static let hostile = [
        "plain", "🧅 onion", "<img src=x onerror=alert(1)>", "$(touch pwned)", "two\nlines\tand\u{1B}[31mred",
        "abc\u{202E}gnp.exe", "中5文", String(repeating: "long ", count: 40), "'\"`\\", "e\u{301}",
    ]

    /// A tenth of a second instead of two, and so on.
    private var quick: WatcherTiming {
        var timing = WatcherTiming()
        timing.watched = 100
        timing.cold = 300
        timing.session = 500
        timing.retry = 100
        timing.retryUnauthorized = 100
        timing.busy = 500
        return timing
    }

    private func agent(
        _ daemon: TransmissionDaemon,
        account: Account? = nil,
        state: StateDirectory? = nil
    ) -> ServedAgent {
        var configuration = AgentConfiguration()
        configuration.rpc = daemon.configuration
        configuration.rpc.replyDeadline = .seconds(5)
        return ServedAgent(configuration, account: account, state: state, timing: quick)
    }

    @Test func `hostile names arrive whole, and what others change is told`() async throws {
        let daemon = try await TransmissionDaemon()
        for name in Self.hostile { try await daemon.add(name) }
        try await agent(daemon).withConnection { connection in
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

    @Test func `a daemon that freezes is busy, one that is killed is down, and both come back`() async throws {
        let daemon = try await TransmissionDaemon()
        try await daemon.add("one")
        try await agent(daemon).withConnection { connection in
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

    @Test func `a password is asked for, used, and never told`() async throws {
        let account = Account(user: "me", password: "pass-word-1234")
        let daemon = try await TransmissionDaemon(account: account)
        try await daemon.add("secret torrent")
        let refused = try await agent(daemon).withConnection { try await $0.call("status") }
        #expect(refused["transmission"]?["state"] == "unauthorized")
        #expect(refused["transmission"]?["message"]?.string?.contains("rpc-auth-file") == true)
        try await agent(daemon, account: account).withConnection { connection in
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

    @Test func `every verb does what it says`() async throws {
        let daemon = try await TransmissionDaemon()
        let temporary = try TemporaryDirectory()
        let bystander = try await daemon.add("bystander")
        let other = temporary.path + "/other"
        try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
        try await agent(daemon, state: temporary.state).withConnection { connection in
            let metainfo = TransmissionDaemon.metainfo("🧅 verb")
            let added = try await connection.call(
                "torrent.add",
                [
                    "metainfo": .bytes(metainfo), "paused": true, "labels": ["a", "b"], "up_limit": 5000, "priority": 1,
                    "key": "add-1",
                ]
            )
            let hash = try #require(added["hash"])
            let hashes: Value = [hash]
            #expect(added["name"] == "🧅 verb")
            #expect(added["duplicate"] == false)
            #expect(added["fields"]?["labels"] == ["a", "b"])
            #expect(added["fields"]?["up_limit"] == 5000)
            let again = try await connection.call("torrent.add", ["metainfo": .bytes(metainfo)])
            #expect(again["duplicate"] == true)

            let call = try await connection.open("torrent.add", ["upload": true, "paused": true])
            try await call.send(ByteBuffer(bytes: metainfo), lane: 0)
            try await call.end(lane: 0)
            #expect(try await call.result()["duplicate"] == true)

            func status(_ verb: String) async throws -> Value? {
                let reply = try await connection.call(verb, ["hashes": hashes])
                return reply["torrents"]?[hash.string ?? ""]?["status"]
            }
            #expect(try await status("torrent.start") != "stopped")
            #expect(try await status("torrent.stop") == "stopped")
            #expect(try await status("torrent.start_now") != "stopped")
            _ = try await status("torrent.verify")
            _ = try await status("torrent.reannounce")
            _ = try await connection.call("torrent.queue", ["hashes": hashes, "to": "top"])

            let announce = "http://127.0.0.1:1/announce?passkey=x"
            let set = try await connection.call(
                "torrent.set",
                [
                    "hashes": hashes, "labels": [], "down_limit": 7000, "up_limit": .null, "ratio_mode": 1,
                    "ratio_limit": 1.5, "idle_mode": 2, "peer_limit": 9, "session_limits": false, "wanted": [0],
                    "trackers_add": [.string(announce)],
                ]
            )
            let fields = set["torrents"]?[hash.string ?? ""]
            #expect(fields?["labels"] == [])
            #expect(fields?["down_limit"] == 7000)
            #expect(fields?["up_limited"] == false)
            #expect(fields?["trackers"] == ["127.0.0.1"])
            let details = try await connection.call("torrent.get", ["hash": hash])
            #expect(details["files"]?.array?.count == 1)
            #expect(details["files"]?.array?.first?["name"]?.string?.hasSuffix("verb") == true)
            #expect(details["trackers"]?.array?.first?["announce"] == .string(announce))
            #expect(details["piece_count"] == 3)
            _ = try await connection.call(
                "torrent.set",
                ["hashes": hashes, "trackers_remove": [.string(announce)]]
            )

            let moved = try await connection.call("torrent.move", ["hashes": hashes, "directory": .string(other)])
            #expect(moved["torrents"]?[hash.string ?? ""]?["directory"] == .string(other))
            _ = try await connection.call(
                "torrent.set",
                ["hashes": hashes, "priority": -1, "key": "prio"]
            )
            let removed = try await connection.call("torrent.remove", ["hashes": hashes, "key": "rm"])
            #expect(removed == ["removed": hashes])
            #expect(try await connection.call("torrent.remove", ["hashes": hashes, "key": "rm"])["repeated"] == true)
            let missing = await #expect(throws: Problem.self) {
                try await connection.call("torrent.remove", ["hashes": hashes])
            }
            #expect(missing?.code == .notFound)

            let session = try await connection.call("session.set", ["speed_limit_down": 123_000, "peer_port": 51_999])
            #expect(session["speed_limit_down"] == 123_000)
            #expect(try await connection.call("session.get")["peer_port"] == 51_999)
            #expect(try await connection.call("session.free_space", ["path": "/"])["free"]?.int ?? 0 > 0)
            let nowhere = await #expect(throws: Problem.self) {
                try await connection.call("session.free_space", ["path": "/no/where"])
            }
            #expect(nowhere?.code == .notFound)
            #expect(try await connection.call("session.stats")["torrent_count"] == 1)
            // Nothing ever touched the torrent that was not named.
            let rest = try await connection.call("torrent.get", ["hash": .string(bystander.hex), "details": []])
            #expect(rest["fields"]?["labels"] == [])
            #expect(rest["fields"]?["status"] == "stopped")
        }
        daemon.stop()
    }

    @Test func `a watcher that comes back gets only what it missed, a slow one fewer events`() async throws {
        let daemon = try await TransmissionDaemon()
        let hash = try await daemon.add("one")
        let agent = agent(daemon)
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
            case .delta(let position, let delta):
                #expect(table?.apply(delta, for: position) == true)
            case .daemon(let status, _): daemon = status
            case .session, .host: break
            }
        }
    }
}
