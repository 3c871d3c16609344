import Calls
import Foundation
import Logging
import Notation
import Seedbox
import Testing
import Transmission

@testable import Agent

@Suite(.serialized, .timeLimit(.minutes(1))) struct DiskReserveTests {
    private let hashes = (0..<4).map { InfoHash(String(repeating: "\($0)a", count: 20))! }

    private func torrent(
        _ number: Int,
        _ priority: Int64 = 0,
        status: TorrentStatus = .downloading,
        directory: String = "/a",
        left: Int64 = 9
    ) -> Torrent {
        Torrent(
            hash: hashes[number],
            [
                .status: .string(status.rawValue), .priority: .int(priority), .directory: .string(directory),
                .left: .int(left),
            ]
        )
    }

    private func table(_ torrents: Torrent...) -> [InfoHash: Torrent] {
        Dictionary(uniqueKeysWithValues: torrents.map { ($0.hash, $0) })
    }

    private func disk(_ free: Int64, _ directory: String = "/a") -> Disk {
        Disk(directories: [directory], total: 1000, free: free)
    }

    private func machine(pauses: Bool = true, paused: Set<InfoHash> = []) -> DiskReserve {
        DiskReserve(AgentConfiguration.DiskGuard(reserve: 100, pauses: pauses), paused: paused)
    }

    @Test func `the lowest priority is paused first, one step a look, on the disk that is low only`() {
        var reserve = machine()
        let disks = [disk(99), disk(500, "/b")]
        let all = table(torrent(0, -1), torrent(1, 0), torrent(2, -1, directory: "/b"), torrent(3, -1, left: 0))
        #expect(reserve.looked(at: disks, all) == DiskReserve.Action(pause: [hashes[0]]))
        #expect(reserve.isLow)
        reserve.didPause([hashes[0]])
        // The table may be older than the pause: it is not done twice.
        #expect(reserve.looked(at: disks, all) == DiskReserve.Action(pause: [hashes[1]]))
        reserve.didPause([hashes[1]])
        let stopped = table(torrent(0, -1, status: .stopped), torrent(1, status: .stopped))
        #expect(reserve.looked(at: disks, stopped) == DiskReserve.Action())
        #expect(reserve.paused == [hashes[0], hashes[1]])
    }

    @Test func `it is resumed with some room beyond the reserve, and only what was paused here`() {
        var reserve = machine(paused: [hashes[0], hashes[1]])
        let stopped = table(
            torrent(0, status: .stopped),
            torrent(1, status: .stopped, directory: "/b"),
            torrent(2, status: .stopped)
        )
        #expect(reserve.looked(at: [disk(125), disk(99, "/b")], stopped) == DiskReserve.Action())
        let action = reserve.looked(at: [disk(126), disk(99, "/b")], stopped)
        #expect(action == DiskReserve.Action(resume: [hashes[0]]))
        reserve.didResume(action.resume)
        #expect(reserve.paused == [hashes[1]])
    }

    @Test func `a download counts where it is and where it goes`() {
        let disks = [disk(99, "/incomplete"), disk(500)]
        var reserve = machine()
        #expect(reserve.looked(at: disks, table(torrent(0))) == DiskReserve.Action())
        let action = reserve.looked(at: disks, table(torrent(0)), incomplete: "/incomplete")
        #expect(action == DiskReserve.Action(pause: [hashes[0]]))
        reserve.didPause(action.pause)
        let stopped = table(torrent(0, status: .stopped))
        for (there, here, resumes) in [(99, 500, false), (500, 99, false), (500, 500, true)] as [(Int64, Int64, Bool)] {
            let both = [disk(there, "/incomplete"), disk(here)]
            #expect(!reserve.looked(at: both, stopped, incomplete: "/incomplete").resume.isEmpty == resumes)
        }
        // Low on both, it is told once.
        let low = [disk(99, "/incomplete"), disk(99)]
        var other = machine()
        #expect(other.looked(at: low, table(torrent(0)), incomplete: "/incomplete").pause == [hashes[0]])
    }

    @Test func `each file system that torrents are on is told, and the one for incomplete data`() async throws {
        let (place, incomplete) = (try Mounted(megabytes: 64), try Mounted(megabytes: 80))
        let daemon = try await TransmissionDaemon(
            .installed,
            ["incomplete-dir-enabled": true, "incomplete-dir": .string(incomplete.path)]
        )
        for directory in [place.path, place.path + "/within", daemon.directory.path] {
            _ = try await daemon.client.call(
                "torrent-add",
                [
                    "metainfo": .string(Base64.encode(TransmissionDaemon.metainfo(directory))), "paused": true,
                    "download-dir": .string(directory),
                ]
            )
        }
        try FileManager.default.createDirectory(atPath: place.path + "/within", withIntermediateDirectories: true)
        let agent = try ServedAgent(watching: daemon)
        let disks = try await agent.withConnection { connection in
            let call = try await connection.open("watch", ["topics": ["host"]])
            var disks: [Value] = []
            for await case .event(let value) in call.events {
                disks = value["figures"]?["disks"]?.array ?? []
                if disks.contains(where: { $0["directory"]?.string == place.path }) { break }
                // At the first look the table may not have been in.
                agent.core.host.audienceChanged()
            }
            return disks
        }
        func total(_ directory: String) -> Value? { disks.first { $0["directory"]?.string == directory }?["total"] }
        #expect(total(place.path) == .int(64 << 20))
        #expect(total(incomplete.path) == .int(80 << 20))
        #expect(disks.count == 3, "\(disks)")
        daemon.stop()
    }

    @Test func `what somebody else starts or removes is no longer its own`() {
        var reserve = machine(paused: [hashes[0], hashes[1]])
        #expect(reserve.looked(at: [disk(500)], table(torrent(0))) == DiskReserve.Action())
        #expect(reserve.paused.isEmpty)
    }

    @Test func `what did not stop is tried again, and what stopped all the same is resumed`() {
        var reserve = machine()
        let action = reserve.looked(at: [disk(99)], table(torrent(0), torrent(1)))
        reserve.didPause(action.pause)
        reserve.didNotPause(action.pause)
        let half = table(torrent(0, status: .stopped), torrent(1))
        #expect(reserve.looked(at: [disk(99)], half) == DiskReserve.Action(pause: [hashes[1]]))
        #expect(reserve.looked(at: [disk(500)], half) == DiskReserve.Action(resume: [hashes[0]]))
    }

    @Test func `what an earlier run paused is resumed also without leave to pause`() {
        var reserve = machine(pauses: false, paused: [hashes[0]])
        let stopped = table(torrent(0, status: .stopped), torrent(1))
        #expect(reserve.looked(at: [disk(99)], stopped) == DiskReserve.Action())
        #expect(reserve.looked(at: [disk(500)], stopped) == DiskReserve.Action(resume: [hashes[0]]))
    }

    @Test func `without leave it only warns`() {
        var reserve = machine(pauses: false)
        #expect(reserve.looked(at: [disk(99)], table(torrent(0))) == DiskReserve.Action())
        #expect(reserve.isLow)
        #expect(disk(99).value(reserve: 100)["low"] == true)
        #expect(reserve.looked(at: [disk(100)], [:]) == DiskReserve.Action())
        #expect(!reserve.isLow)
    }

    @Test func `a real disk that fills pauses real downloads, and a later agent resumes them`() async throws {
        let place = try Mounted(megabytes: 64)
        let temporary = try TemporaryDirectory()
        let daemon = try await TransmissionDaemon(
            .installed,
            ["start-added-torrents": true, "download-queue-enabled": false]
        )
        func add(_ name: String, _ priority: Int64, _ directory: String) async throws -> InfoHash {
            let metainfo = Base64.encode(TransmissionDaemon.metainfo(name))
            let answer = try await daemon.client.call(
                "torrent-add",
                [
                    "metainfo": .string(metainfo), "bandwidthPriority": .int(priority),
                    "download-dir": .string(directory), "paused": false,
                ]
            )
            return InfoHash(answer.named("torrent-added")?.named("hashString")?.string ?? "")!
        }
        let low = try await add("low", -1, place.path)
        let normal = try await add("normal", 0, place.path)
        let elsewhere = try await add("elsewhere", -1, daemon.directory.path)
        let core = try ServedAgent(watching: daemon).core
        func keeper() -> DiskKeeper {
            DiskKeeper(
                source: core.source,
                configuration: AgentConfiguration.DiskGuard(reserve: 32 << 20, pauses: true),
                verbs: core.verbs,
                state: temporary.state,
                logger: Logger(label: "test")
            )
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { await core.source.run() }
            let bell = Wakeup()
            let listener = core.source.subscribe(bell)
            defer { core.source.unsubscribe(listener) }
            /// Looks again and again until the three torrents are as given; within twenty seconds.
            func look(_ keeper: DiskKeeper, until states: [Bool]) async throws {
                let deadline = ContinuousClock.now + .seconds(20)
                while ContinuousClock.now < deadline {
                    await keeper.look(at: Disk.all(holding: [place.path, daemon.directory.path]))
                    await bell.wait(upTo: .milliseconds(100))
                    let running = [low, normal, elsewhere].map { core.source.torrent($0)?.status == .downloading }
                    if running == states { return }
                }
                Issue.record("the downloads are not as they should be: \(states)")
            }
            let first = keeper()
            try await look(first, until: [true, true, true])
            #expect(first.word == "ok")
            try place.fill(megabytes: 48)
            try await look(first, until: [false, false, true])
            #expect(first.word == "paused")
            let second = keeper()
            #expect(second.word == "paused")
            try place.clear()
            try await look(second, until: [true, true, true])
            #expect(second.word == "ok")
        }
        daemon.stop()
    }
}

/// A small file system of its own, in memory.
private final class Mounted: Sendable {
    private let directory: TemporaryDirectory
    var path: String { directory.path }

    struct Refused: Error, CustomStringConvertible {
        var description = "A file system could not be mounted for this test: run the tests as root."
    }

    init(megabytes: Int) throws {
        directory = try TemporaryDirectory()
        let options = "size=\(megabytes)m,mode=0777"
        guard try Self.run("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path]) == 0 else { throw Refused() }
    }

    deinit { _ = try? Self.run("umount", ["--lazy", path]) }

    private static func run(_ program: String, _ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/\(program)")
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    func fill(megabytes: Int) throws {
        try Data(count: megabytes << 20).write(to: URL(fileURLWithPath: path + "/fill"))
    }
    func clear() throws { try FileManager.default.removeItem(atPath: path + "/fill") }
}
