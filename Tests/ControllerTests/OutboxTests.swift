/// From the command line through the real outbox to an agent and back: kept while the link is down, carried out once.
import Calls
import Foundation
import Jobs
import Logging
import NIOCore
import Notation
import Seedbox
import ServiceLifecycle
import Store
import Synchronization
import Testing

@testable import Controller

/// A seedbox whose link the test breaks and mends.
private final class FakeReach: AgentReach {
    let name = "vps"
    let torrents: [InfoHash: Torrent]
    private let socket: String
    private let isLive: Mutex<Bool>

    init(socket: String, isLive: Bool, torrents: [Torrent]) {
        self.socket = socket
        self.isLive = Mutex(isLive)
        self.torrents = Dictionary(torrents.map { ($0.hash, $0) }) { first, _ in first }
    }

    func mend() { isLive.withLock { $0 = true } }

    func known(_ hashes: [InfoHash]) -> [Torrent] { hashes.compactMap { torrents[$0] } }

    func wait(within patience: Duration, until isSo: @escaping @Sendable ([InfoHash: Torrent]) -> Bool) async {}

    func connection(within patience: Duration) async throws -> CallConnection {
        let deadline = ContinuousClock.now + min(patience, .seconds(20))
        while !isLive.withLock({ $0 }) {
            guard ContinuousClock.now < deadline else { throw Problem(.linkDown, "The link is down.") }
            try await Task.sleep(for: .milliseconds(10))
        }
        guard let connection = try await ControlSocket.connect(socket) else { throw Problem(.linkDown, "No agent.") }
        // It ends with the agent at the end of the test.
        Task { try? await connection.run() }
        return connection
    }
}

private let one = InfoHash(String(repeating: "a", count: 40))!

private func torrent(_ status: TorrentStatus = .seeding) -> Torrent {
    Torrent(
        hash: one,
        [
            .name: "One & two", .status: .string(status.rawValue), .directory: "/srv/data", .labels: ["x"],
            .priority: 1, .downLimited: false, .downLimit: 5000,
        ]
    )
}

/// What reached the agent.
private final class Received: Sendable {
    private let state = Mutex<[(String, Value)]>([])

    var all: [(String, Value)] { state.withLock { $0 } }

    func note(_ verb: String, _ arguments: Value) { state.withLock { $0.append((verb, arguments)) } }
}

private func withOutbox(
    isLive: Bool = true,
    _ body: @escaping @Sendable (FakeDaemon, FakeReach, Received) async throws -> Void
) async throws {
    let received = Received()
    let agent: FakeDaemon.Answer = { call in
        if call.arguments["upload"]?.bool == true {
            var count = 0
            receiving: for await input in call.inputs {
                switch input {
                case .data(_, let bytes): count += bytes.readableBytes
                case .end: break receiving
                case .event: break
                }
            }
            received.note(call.procedure, ["uploaded": .int(Int64(count))])
        } else {
            received.note(call.procedure, call.arguments)
        }
        if call.procedure == "torrent.get" { return ["trackers": [["announce": "https://t.example/a?b"]]] }
        return call.procedure == "torrent.add" ? ["hash": .string(one.hex), "name": "One"] : [:]
    }
    let verbs = Array(JobDesk.verbs) + ["torrent.get"]
    try await FakeDaemon.with(Dictionary(verbs.map { ($0, agent) }) { first, _ in first }) { far in
        let ledger = try await Ledger.open(LedgerConfiguration(path: far.directory.appending(path: "farseed.db").path))
        let reach = FakeReach(
            socket: far.directory.appending(path: "control.sock").path,
            isLive: isLive,
            torrents: [torrent()]
        )
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let desk = JobDesk(ledger, boxes: [reach], audit: AuditLog(ledger: ledger, logger: logger), logger: logger)
        let answer: FakeDaemon.Answer = { call in
            if let answer = try await desk.handle(call, who: "owner", origin: "control socket") { return answer }
            for event in WatchFeed.snapshot(reach.torrents, at: Position(epoch: 1, seq: 0)) {
                try await call.emit(event.value)
            }
            return ["link": ["state": "live"]]
        }
        let near = ["submit", "jobs", "job", "job.cancel", "job.undo", "torrent.get", "torrents"]
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await desk.outbox.run() }
            defer { group.cancelAll() }
            try await FakeDaemon.with(Dictionary(near.map { ($0, answer) }) { first, _ in first }) { daemon in
                try await body(daemon, reach, received)
            }
        }
        try ledger.close()
    }
}

@Suite struct OutboxTests {
    @Test func `a command goes through the outbox to the agent, and can be taken back`() async throws {
        try await withOutbox { daemon, _, received in
            let stop = try await CommandRun.farseed(["stop", "-b", "vps", "all"], in: daemon.directory)
            #expect(stop.status == 0, "\(stop.errors)")
            #expect(stop.text == "stopped aaaaaaaa One & two\n")
            let sent = try #require(received.all.first)
            #expect(sent.0 == "torrent.stop")
            #expect(sent.1["hashes"] == [.string(one.hex)])
            #expect(sent.1["key"]?.string?.count == 32)
            let undo = try await CommandRun.farseed(["undo"], in: daemon.directory)
            #expect(undo.status == 0, "\(undo.errors)")
            let jobs = try await CommandRun.farseed(["jobs", "--json"], in: daemon.directory)
            let listed = try JSON.decode(jobs.text.trimmingCharacters(in: .newlines))["jobs"]?.array ?? []
            #expect(listed.map { $0["verb"] } == ["torrent.start", "torrent.stop"])
        }
    }

    @Test func `a key takes a command back once, and is no other command's`() async throws {
        try await withOutbox { daemon, _, received in
            let stop = try await CommandRun.farseed(["stop", "-b", "vps", "all"], in: daemon.directory)
            #expect(stop.status == 0, "\(stop.errors)")
            let socket = daemon.directory.appending(path: "control.sock").path
            let connection = try #require(try await ControlSocket.connect(socket))
            let key = String(repeating: "6", count: 32)
            try await Backend.greeting(connection) {
                for _ in 0..<2 {
                    let undo = try await connection.call("job.undo", ["key": .string(key), "wait": true])
                    #expect(undo["id"] == 2 && undo["undoes"] == 1)
                }
                let other: Value = ["key": .string(key), "id": 2]
                let problem = await #expect(throws: Problem.self) { try await connection.call("job.undo", other) }
                #expect(problem?.code == .conflict)
            }
            #expect(received.all.map(\.0) == ["torrent.stop", "torrent.start"])
        }
    }

    @Test
    func `what is kept already is not refused for a link that is down, and taken back where it is not wanted later`()
        async throws
    {
        try await withOutbox(isLive: false) { daemon, _, received in
            let key = ["--key", String(repeating: "4", count: 32)]
            let kept = try await CommandRun.farseed(
                ["stop", "-b", "vps", "all", "--no-wait"] + key,
                in: daemon.directory
            )
            #expect(kept.text.hasPrefix("accepted as job 1;"), "\(kept)")
            let refused = try await CommandRun.farseed(
                ["stop", "-b", "vps", "all", "--no-queue", "--timeout", "3"] + key,
                in: daemon.directory
            )
            #expect(refused.status != 0)
            let job = try await CommandRun.farseed(["jobs", "show", "1", "--json"], in: daemon.directory)
            #expect(job.text.contains(#""state":"cancelled""#), "\(refused) \(job)")
            #expect(received.all.isEmpty)
        }
    }

    @Test func `while the link is down it is kept, and carried out once the link is up`() async throws {
        try await withOutbox(isLive: false) { daemon, reach, received in
            let refused = try await CommandRun.farseed(
                ["stop", "-b", "vps", "all", "--no-queue"],
                in: daemon.directory
            )
            #expect(refused.status == Problem.Code.linkDown.exitCode)
            let key = String(repeating: "5", count: 32)
            let arguments = ["stop", "-b", "vps", "all", "--no-wait", "--key", key]
            for _ in 0..<2 {
                let kept = try await CommandRun.farseed(arguments, in: daemon.directory)
                #expect(kept.text.hasPrefix("accepted as job 1;"), "\(kept.text) \(kept.errors)")
            }
            #expect(received.all.isEmpty)
            reach.mend()
            let done = try await CommandRun.farseed(
                ["stop", "-b", "vps", "all", "--key", key, "--timeout", "30"],
                in: daemon.directory
            )
            #expect(done.status == 0, "\(done.errors)")
            #expect(received.all.count == 1)
        }
    }

    @Test func `a large file is kept and sent on its lane`() async throws {
        try await withOutbox { daemon, _, received in
            let file = daemon.directory.appending(path: "x.torrent")
            try (Data("d4:info".utf8) + Data(repeating: 0x61, count: 700_000)).write(to: file)
            let run = try await CommandRun.farseed(["add", "-b", "vps", file.path], in: daemon.directory)
            #expect(run.status == 0, "\(run.errors)")
            #expect(received.all.last?.1["uploaded"] == 700_007)
        }
    }

    @Test func `a removed torrent comes back with its trackers, directory and labels`() async throws {
        try await withOutbox { daemon, _, received in
            let remove = try await CommandRun.farseed(["remove", "-b", "vps", "One & two"], in: daemon.directory)
            #expect(remove.status == 0, "\(remove.errors)")
            let undo = try await CommandRun.farseed(["undo", "--json"], in: daemon.directory)
            let id = try JSON.decode(undo.text.trimmingCharacters(in: .newlines))["id"]?.int ?? 0
            for _ in 0..<200 {
                let job = try await CommandRun.farseed(["jobs", "show", "\(id)", "--json"], in: daemon.directory)
                if job.text.contains(#""state":"done""#) { break }
            }
            let added = try #require(received.all.last { $0.0 == "torrent.add" }?.1)
            #expect(
                added["magnet"]?.string
                    == "magnet:?xt=urn:btih:\(one.hex)&dn=One%20%26%20two&tr=https%3A%2F%2Ft%2Eexample%2Fa%3Fb"
            )
            #expect(added["directory"] == "/srv/data")
            #expect(added["labels"] == ["x"])
            #expect(added["paused"] == false)
        }
    }

    @Test(
        arguments: [
            ("torrent.stop", ["hashes": []], "torrent.start", "hashes", [.string(one.hex)]),
            ("torrent.move", ["directory": "/new"], "torrent.move", "directory", "/srv/data"),
            ("torrent.rename", ["path": "a/b", "name": "c"], "torrent.rename", "path", "a/c"),
            ("torrent.set", ["labels": ["y"]], "torrent.set", "labels", ["x"]),
            ("torrent.set", ["down_limit": 1], "torrent.set", "down_limit", nil),
        ] as [(String, Value, String, String, Value)]
    )
    func `what undoes a command is worked out from what was`(
        verb: String,
        arguments: Value,
        inverse: String,
        name: String,
        value: Value
    ) {
        let recipe = Undoing.recipe(verb, arguments, [torrent()])
        #expect(recipe?.verb == inverse)
        #expect(recipe?.arguments[name] == value)
        #expect(recipe?.targets == [one])
    }

    @Test func `a removed torrent comes back by its file where that is kept, else by a link that others can follow`() {
        var removed = torrent()
        let link = Undoing.adding(removed, announces: ["https://t.example/a?b"], metainfo: nil)
        #expect(link?.arguments["magnet"]?.string?.hasSuffix("&tr=https%3A%2F%2Ft%2Eexample%2Fa%3Fb") == true)
        let file = Undoing.adding(removed, announces: [], metainfo: .bytes([1, 2]))
        #expect(file?.arguments["metainfo"] == .bytes([1, 2]) && file?.arguments["magnet"] == nil)
        #expect(file?.arguments["directory"] == link?.arguments["directory"] && file?.targets == [one])
        removed[.isPrivate] = true
        #expect(Undoing.adding(removed, announces: ["https://t.example/a?b"], metainfo: nil) == nil)
        #expect(Undoing.adding(removed, announces: [], metainfo: .bytes([1, 2])) != nil)
    }

    @Test(
        arguments: [
            ("torrent.start", ["hashes": []]), ("torrent.verify", [:]), ("torrent.set", ["labels": [], "wanted": [1]]),
            ("session.set", [:]),
        ] as [(String, Value)]
    )
    func `what changed nothing, or cannot be told, has no inverse`(verb: String, arguments: Value) {
        #expect(Undoing.recipe(verb, arguments, [torrent()]) == nil)
    }
}
