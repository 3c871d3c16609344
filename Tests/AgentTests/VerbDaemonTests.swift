import Calls
import Foundation
import NIOCore
import NIOPosix
import Notation
import Seedbox
import Testing
import Transmission

@testable import Agent

/// Every verb against real daemons, old and new.
@Suite(.serialized, .timeLimit(.minutes(3))) struct VerbDaemonTests {
    typealias Release = TransmissionDaemon.Release

    /// What most tests do: one torrent of the agent's, and one that nobody names and that must stay as it is.
    private func withTorrent(
        _ release: Release,
        settings: [String: Value] = [:],
        _ body: @escaping @Sendable (TransmissionDaemon, CallConnection, _ hash: Value) async throws -> Void
    ) async throws {
        let daemon = try await TransmissionDaemon(release, settings)
        let temporary = try TemporaryDirectory()
        let bystander = try await daemon.add("bystander")
        try await ServedAgent(watching: daemon, state: temporary.state).withConnection { connection in
            let metainfo = TransmissionDaemon.metainfo("torrent", files: ["a", "b", "c"])
            let added = try await connection.call("torrent.add", ["metainfo": .bytes(metainfo), "paused": true])
            try await body(daemon, connection, try #require(added["hash"]))
            // 3.00 looks, one after the other, for data of what was added.
            var rest: Value
            let deadline = ContinuousClock.now + .seconds(20)
            repeat {
                rest = try await connection.call("torrent.get", ["hash": .string(bystander.hex), "details": []])
            } while ["check-wait", "checking"].contains(rest["fields"]?["status"]) && ContinuousClock.now < deadline
            #expect(rest["fields"]?["labels"] == [])
            #expect(rest["fields"]?["status"] == "stopped")
            #expect(rest["fields"]?["down_limited"] == false)
            #expect(rest["fields"]?["priority"] == 0)
        }
        daemon.stop()
    }

    @Test(arguments: Release.allCases)
    func `a torrent is added as it is told`(_ release: Release) async throws {
        try await withTorrent(release) { daemon, connection, _ in
            let metainfo = TransmissionDaemon.metainfo("added", files: ["a", "b", "c"])
            let directory = daemon.directory.path + "/elsewhere"
            let added = try await connection.call(
                "torrent.add",
                [
                    "metainfo": .bytes(metainfo), "paused": true, "labels": ["a", "b"], "up_limit": 5000,
                    "down_limit": 7000, "priority": 1, "peer_limit": 9, "directory": .string(directory),
                    "unwanted": [0],
                    "high": [1], "low": [2], "key": "add-1",
                ]
            )
            let fields = added["fields"]
            #expect(added["name"] == "added")
            #expect(added["duplicate"] == false)
            #expect(Set(fields?["labels"]?.array ?? []) == ["a", "b"])
            #expect(fields?["up_limit"] == 5000)
            #expect(fields?["down_limit"] == 7000)
            #expect(fields?["priority"] == 1)
            #expect(fields?["peer_limit"] == 9)
            #expect(fields?["directory"] == .string(directory))
            // 3.00 looks first whether its data are there.
            #expect(["stopped", "check-wait", "checking"].contains(fields?["status"]))
            let details = try await connection.call("torrent.get", ["hash": added["hash"] ?? .null])
            let files = details["files"]?.array ?? []
            #expect(files.map { $0["wanted"] } == [false, true, true])
            #expect(files.map { $0["priority"] }.suffix(2) == [1, -1])

            let again = try await connection.call("torrent.add", ["metainfo": .bytes(metainfo)])
            #expect(again["duplicate"] == true)
            let call = try await connection.open("torrent.add", ["upload": true, "paused": true])
            try await call.send(ByteBuffer(bytes: TransmissionDaemon.metainfo("🧅 sent")), lane: 0)
            try await call.end(lane: 0)
            #expect(try await call.result()["name"] == "🧅 sent")
            let hash = String(repeating: "ab", count: 20)
            let magnet = try await connection.call(
                "torrent.add",
                ["magnet": .string("magnet:?xt=urn:btih:\(hash)&dn=link"), "paused": true]
            )
            #expect(magnet["hash"] == .string(hash))
            let problem = await #expect(throws: Problem.self) {
                try await connection.call("torrent.add", ["url": "http://127.0.0.1:1/x.torrent"])
            }
            #expect(problem?.code == .transmissionRefused)
        }
    }

    @Test(arguments: Release.allCases)
    func `a torrent is started, stopped, checked and queued`(_ release: Release) async throws {
        try await withTorrent(release) { daemon, connection, hash in
            func fields(_ verb: String, _ more: [String: Value] = [:]) async throws -> Value? {
                let reply = try await connection.call(verb, .map(more.merging(["hashes": [hash]]) { old, _ in old }))
                return reply["torrents"]?[hash.string ?? ""]
            }
            #expect(try await fields("torrent.start")?["status"] != "stopped")
            #expect(try await fields("torrent.stop")?["status"] == "stopped")
            #expect(try await fields("torrent.start_now")?["status"] != "stopped")
            #expect(try await fields("torrent.verify") != nil)
            #expect(try await fields("torrent.reannounce") != nil)
            #expect(try await fields("torrent.stop")?["status"] == "stopped")
            try await daemon.add("third")
            for (place, position) in [("top", 0), ("down", 1), ("bottom", 2), ("up", 1)] as [(Value, Value)] {
                #expect(try await fields("torrent.queue", ["to": place])?["queue"] == position)
            }
        }
    }

    @Test(arguments: Release.allCases)
    func `each setting of a torrent is taken`(_ release: Release) async throws {
        try await withTorrent(release) { _, connection, hash in
            func set(_ name: String, _ value: Value) async throws -> Value? {
                let reply = try await connection.call("torrent.set", .map(["hashes": [hash], name: value]))
                return reply["torrents"]?[hash.string ?? ""]
            }
            let settings: [(String, Value)] = [
                ("labels", ["x y"]), ("labels", []), ("priority", 1), ("down_limit", 7000), ("up_limit", 9000),
                ("session_limits", false), ("ratio_mode", 1), ("ratio_limit", 1.5), ("idle_mode", 2),
                ("idle_limit", 12),
                ("peer_limit", 9),
            ]
            for (name, value) in settings { #expect(try await set(name, value)?[name] == value) }
            #expect(try await set("down_limit", .null)?["down_limited"] == false)
            for (name, files) in [("unwanted", [0, 1]), ("wanted", [1]), ("high", [0]), ("low", [1]), ("normal", [2])]
                as [(String, Value)]
            {
                _ = try await set(name, files)
            }
            let files = try await connection.call("torrent.get", ["hash": hash])["files"]?.array ?? []
            #expect(files.map { $0["wanted"] } == [false, true, true])
            #expect(files.map { $0["priority"] } == [1, -1, 0])

            let announces: Value = ["http://127.0.0.1:1/announce?passkey=x", "udp://localhost:1/announce"]
            #expect(try await set("trackers_add", announces)?["trackers"] == ["127.0.0.1", "localhost"])
            let trackers = try await connection.call("torrent.get", ["hash": hash])["trackers"]?.array
            #expect(trackers?.map { $0["announce"] ?? .null } == announces.array)
            let left = try await set("trackers_remove", [announces.array?[0] ?? .null])
            #expect(left?["trackers"] == ["localhost"])
        }
    }

    @Test(arguments: Release.allCases)
    func `a torrent is renamed, moved and removed, with its data`(_ release: Release) async throws {
        try await withTorrent(release) { daemon, connection, hash in
            let root = daemon.directory.path
            let data = root + "/downloads/torrent"
            try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
            for name in ["a", "b", "c"] { try Data(count: 40_000).write(to: URL(fileURLWithPath: "\(data)/\(name)")) }
            // Until it has looked, it does not know that the data are there.
            _ = try await connection.call("torrent.verify", ["hashes": [hash]])
            let file = try await connection.call("torrent.rename", ["hash": hash, "path": "torrent/a", "name": "🧅"])
            #expect(file["name"] == "🧅")
            _ = try await connection.call("torrent.rename", ["hash": hash, "path": "torrent", "name": "other name"])
            let details = try await connection.call("torrent.get", ["hash": hash])
            #expect(details["fields"]?["name"] == "other name")
            #expect(details["files"]?.array?.map { $0["name"] } == ["other name/🧅", "other name/b", "other name/c"])
            #expect(access(root + "/downloads/other name/🧅", F_OK) == 0)

            let moved = try await connection.call(
                "torrent.move",
                ["hashes": [hash], "directory": .string(root + "/moved")]
            )
            #expect(moved["torrents"]?[hash.string ?? ""]?["directory"] == .string(root + "/moved"))
            #expect(access(root + "/moved/other name/b", F_OK) == 0)

            let remove: Value = ["hashes": [hash], "delete_data": true, "key": "rm"]
            #expect(try await connection.call("torrent.remove", remove) == ["removed": [hash]])
            #expect(try await connection.call("torrent.remove", remove)["repeated"] == true)
            let missing = await #expect(throws: Problem.self) {
                try await connection.call("torrent.remove", ["hashes": [hash]])
            }
            #expect(missing?.code == .notFound)
            let deadline = ContinuousClock.now + .seconds(20)
            while access(root + "/moved/other name/b", F_OK) == 0, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(access(root + "/moved/other name/b", F_OK) != 0)
        }
    }

    @Test(arguments: Release.allCases)
    func `a torrent that somebody looks at is told with its pieces, files, peers and trackers`(_ release: Release)
        async throws
    {
        try await withTorrent(release) { _, connection, hash in
            let pieces = try await connection.call("torrent.get", ["hash": hash, "details": ["pieces"]])
            #expect(pieces["piece_count"] == 8)
            #expect(pieces["piece_size"] == 16_384)
            // A bit each, none of which is here.
            #expect(pieces["pieces"] == "AA==")
            #expect(pieces["files"] == nil && pieces["peers"] == nil && pieces["trackers"] == nil)
            let all = try await connection.call("torrent.get", ["hash": hash])
            #expect(all["files"]?.array?.map { $0["name"] } == ["torrent/a", "torrent/b", "torrent/c"])
            #expect(all["peers"] == [] && all["trackers"] == [])
        }
    }

    @Test(arguments: Release.allCases)
    func `a torrent is added from an address`(_ release: Release) async throws {
        let server = try await FileServer(TransmissionDaemon.metainfo("from afar", files: ["a", "b"]))
        try await withTorrent(release) { _, connection, _ in
            let add: Value = ["url": .string(server.url), "paused": true, "unwanted": [1], "labels": ["x"]]
            let added = try await connection.call("torrent.add", add)
            #expect(added["name"] == "from afar")
            #expect(added["duplicate"] == false)
            #expect(added["fields"]?["labels"] == ["x"])
            let details = try await connection.call("torrent.get", ["hash": added["hash"] ?? .null])
            #expect(details["files"]?.array?.map { $0["wanted"] } == [true, false])
            // What is there already keeps its settings.
            let again = try await connection.call("torrent.add", ["url": .string(server.url), "labels": ["y"]])
            #expect(again["duplicate"] == true)
            #expect(again["hash"] == added["hash"])
            #expect(again["fields"]?["labels"] == ["x"])
        }
        try await server.stop()
    }

    /// Wherever Transmission puts such a torrent, nothing outside of its directory is written, renamed or removed.
    @Test(arguments: Release.allCases)
    func `a name that climbs builds no path`(_ release: Release) async throws {
        try await withTorrent(release) { daemon, connection, _ in
            let root = daemon.directory.path
            let names = ["../../pwned", "../pwned", "/pwned", "..", "a/../../pwned"]
            let victims = [root + "/pwned", root + "/../\(URL(fileURLWithPath: root).lastPathComponent)-pwned"]
            for victim in victims { try Data("mine".utf8).write(to: URL(fileURLWithPath: victim)) }
            for (number, name) in names.enumerated() {
                let files = number % 2 == 0 ? ["a", name] : ["a", "b"]
                let metainfo = TransmissionDaemon.metainfo(name, files: files)
                // 4.1 refuses some of them.
                guard let added = try? await connection.call("torrent.add", ["metainfo": .bytes(metainfo)]) else {
                    continue
                }
                let hash = added["hash"] ?? .null
                _ = try await connection.call("torrent.start", ["hashes": [hash]])
                for path in ["../a", "/a", "a/../../b"] {
                    let problem = await #expect(throws: Problem.self) {
                        try await connection.call("torrent.rename", ["hash": hash, "path": .string(path), "name": "x"])
                    }
                    #expect(problem?.code == .badRequest)
                }
                for new in ["../x", "..", "/x", "a/b"] {
                    let problem = await #expect(throws: Problem.self) {
                        try await connection.call("torrent.rename", ["hash": hash, "path": "a", "name": .string(new)])
                    }
                    #expect(problem?.code == .badRequest)
                }
                let removed = try await connection.call("torrent.remove", ["hashes": [hash], "delete_data": true])
                #expect(removed == ["removed": [hash]])
            }
            for victim in victims {
                #expect(SmallFile.text(victim) == "mine")
                try FileManager.default.removeItem(atPath: victim)
            }
        }
    }

    @Test(arguments: Release.allCases)
    func `each setting of the session is taken, and each question answered`(_ release: Release) async throws {
        let list = try await FileServer(Array("a range:1.2.3.0-1.2.3.255\n".utf8))
        let settings: [String: Value] = ["blocklist-url": .string(list.url), "blocklist-enabled": true]
        try await withTorrent(release, settings: settings) { daemon, connection, _ in
            let figures: [(String, Value)] = [
                ("speed_limit_down", 123_000), ("speed_limit_down_enabled", true), ("speed_limit_up", 45_000),
                ("speed_limit_up_enabled", true), ("alt_speed_down", 11_000), ("alt_speed_up", 12_000),
                ("alt_speed_enabled", true), ("alt_speed_time_enabled", true), ("alt_speed_time_begin", 60),
                ("alt_speed_time_end", 120), ("alt_speed_time_day", 65), ("download_queue_enabled", false),
                ("download_queue_size", 7), ("seed_queue_enabled", true), ("seed_queue_size", 8),
                ("queue_stalled_enabled", false), ("queue_stalled_minutes", 9), ("seed_ratio_limit", 2.5),
                ("seed_ratio_limited", true), ("idle_seeding_limit", 14), ("idle_seeding_limit_enabled", true),
                ("peer_limit_global", 100), ("peer_limit_per_torrent", 30), ("peer_port", 51_999),
                ("start_added_torrents", false), ("rename_partial_files", false), ("encryption", "required"),
                ("cache_size_mb", 8), ("download_dir", .string(daemon.directory.path + "/here")),
                ("incomplete_dir", .string(daemon.directory.path + "/there")), ("incomplete_dir_enabled", true),
                ("pex_enabled", true), ("blocklist_enabled", true),
            ]
            for (name, value) in figures {
                #expect(try await connection.call("session.set", .map([name: value]))[name] == value)
            }
            let session = try await connection.call("session.get")
            for (name, value) in figures { #expect(session[name] == value || name == "alt_speed_enabled") }

            #expect(try await connection.call("session.free_space", ["path": "/"])["free"]?.int ?? 0 > 0)
            let nowhere = await #expect(throws: Problem.self) {
                try await connection.call("session.free_space", ["path": "/no/where"])
            }
            #expect(nowhere?.code == .notFound)
            #expect(try await connection.call("session.stats")["torrent_count"] == 2)
            #expect(try await connection.call("session.blocklist_update")["size"] == 1)
            // Whom it asks cannot be reached from here.
            let port = await #expect(throws: Problem.self) { try await connection.call("session.port_test") }
            #expect(port?.code == .transmissionRefused)
        }
        try await list.stop()
    }
}

/// Answers every request with one file.
private final class FileServer: Sendable {
    let url: String
    private let channel: any Channel

    init(_ file: [UInt8]) async throws {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: \(file.count)\r\nConnection: close\r\n\r\n"
        let reply = ByteBuffer(bytes: Array(head.utf8) + file)
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Answering(reply))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        url = "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/list"
    }

    func stop() async throws { try await channel.close() }

    private final class Answering: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let reply: ByteBuffer

        init(_ reply: ByteBuffer) { self.reply = reply }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let channel = context.channel
            channel.writeAndFlush(reply).whenComplete { _ in channel.close(promise: nil) }
        }
    }
}
