/// `--wait` of the commands that change something, against a daemon's socket: what it follows, and what it outlives.
import Calls
import Foundation
import NIOCore
import Notation
import Seedbox
import Synchronization
import Testing

@testable import Controller

private let hash = TwoTorrents.hash
private let other = TwoTorrents.other

@Suite struct WaitTests {
    @Test func `--wait is not over while the job itself has not ended`() async throws {
        let waiting: Value = ["state": "waiting", "ended": false]
        try await FakeDaemon.with(TwoTorrents.answers(Submissions(), state: waiting)) { daemon in
            for line in [["stop", "all"], ["add", "magnet:?xt=urn:btih:\(hash)"]] {
                let run = try await CommandRun.farseed(line + ["-b", "vps", "--wait", "stopped"], in: daemon.directory)
                #expect(run.status == Problem.Code.timedOut.exitCode && run.errors.contains("job 7"), "\(run)")
                #expect(run.output.isEmpty)
            }
        }
    }

    @Test func `--wait does not believe what was so before the link went away`() async throws {
        var answers = TwoTorrents.answers(Submissions())
        answers["watch"] = { call in
            try await call.emit(["kind": "link", "link": LinkStatus(state: "connecting").value])
            // All are stopped here; they were, as turns out when the link is back.
            try await TwoTorrents.snapshot(call)
            let broken: [Field: Value] = [.status: "downloading", .error: 3]
            let delta = Delta(set: [InfoHash(hash)!: broken, InfoHash(other)!: broken])
            try await call.emit(Event.delta(position: Position(epoch: 1, seq: 1), delta).value)
            try await call.emit(["kind": "link", "link": LinkStatus(state: "live").value])
            try await Task.sleep(for: .seconds(60))
            return .null
        }
        try await FakeDaemon.with(answers) { daemon in
            let run = try await CommandRun.farseed(
                ["stop", "-b", "vps", "all", "--wait", "stopped"],
                in: daemon.directory
            )
            #expect(run.status == Problem.Code.transmissionRefused.exitCode, "\(run)")
        }
    }

    @Test func `--wait follows the torrents to their goal`() async throws {
        var answers = TwoTorrents.answers(Submissions())
        answers["watch"] = { call in
            try await TwoTorrents.snapshot(call)
            try await call.emit(
                Event.delta(
                    position: Position(epoch: 1, seq: 1),
                    Delta(set: [InfoHash(hash)!: [.status: "seeding"], InfoHash(other)!: [.status: "seeding"]])
                ).value
            )
            try await Task.sleep(for: .seconds(60))
            return .null
        }
        try await FakeDaemon.with(answers) { daemon in
            let run = try await CommandRun.farseed(
                ["start", "-b", "vps", "all", "--wait", "seeding"],
                in: daemon.directory
            )
            #expect(run.status == 0, "\(run.errors)")
            let never = try await CommandRun.farseed(
                ["start", "-b", "vps", "all", "--wait", "done", "--timeout", "1"],
                in: daemon.directory
            )
            #expect(never.status == Problem.Code.timedOut.exitCode)
        }
    }

    @Test func `--wait goes on with the daemon that comes after one that has ended`() async throws {
        let watches = Mutex(0)
        var answers = TwoTorrents.answers(Submissions())
        answers["watch"] = { call in
            let number = watches.withLock { count in
                count += 1
                return count
            }
            // One of the two is seen to be so before the end, and need not be so any more.
            let seeding = InfoHash(number == 1 ? hash : other)!
            try await TwoTorrents.snapshot(call)
            let delta = Delta(set: [seeding: [.status: "seeding"]])
            try await call.emit(Event.delta(position: Position(epoch: 1, seq: 1), delta).value)
            try await call.emit(["kind": "link", "link": LinkStatus(state: "live").value])
            if number == 1 { throw Problem(.connectionLost, "The daemon has ended.") }
            try await Task.sleep(for: .seconds(60))
            return .null
        }
        try await FakeDaemon.with(answers) { daemon in
            let line = ["start", "-b", "vps", "all", "--wait", "seeding"]
            let run = try await CommandRun.farseed(line, in: daemon.directory)
            #expect(run.status == 0, "\(run)")
            #expect(watches.withLock(\.self) == 2)
        }
    }

    @Test func `--wait has its time also where no daemon comes after one that has ended`() async throws {
        let directory = Mutex("")
        var answers = TwoTorrents.answers(Submissions())
        answers["watch"] = { _ in
            unlink(directory.withLock(\.self) + "/control.sock")
            throw Problem(.connectionLost, "The daemon has ended.")
        }
        try await FakeDaemon.with(answers) { daemon in
            directory.withLock { $0 = daemon.directory.path }
            let line = ["start", "-b", "vps", "all", "--wait", "seeding", "--timeout", "4"]
            let run = try await CommandRun.farseed(line, in: daemon.directory)
            #expect(run.status == Problem.Code.timedOut.exitCode, "\(run)")
        }
    }

    @Test func `another daemon is waited for as long as one may take, and no longer`() async throws {
        let nowhere = Configuration(stateDirectory: "/nowhere")
        var next = NextDaemon(nowhere, within: .milliseconds(300))
        let began = ContinuousClock.now
        #expect(try await next.connection(until: nil) == nil)
        #expect(ContinuousClock.now - began >= .milliseconds(300))
        #expect(try await next.connection(until: nil) == nil)
        var short = NextDaemon(nowhere, within: .seconds(600))
        #expect(try await short.connection(until: .now) == nil)
    }

    @Test func `a wait ends with a torrent that is gone or broken`() throws {
        let one = InfoHash(hash)!
        var wait = TorrentWait(.done, [one])
        #expect(try !wait.isOver([one: Torrent(hash: one, [.progress: 1])]))
        #expect(throws: Problem.self) { try wait.isOver([one: Torrent(hash: one, [.error: 3])]) }
        #expect(throws: Problem.self) { try wait.isOver([:]) }
        #expect(try wait.isOver([one: Torrent(hash: one, [.progress: 1, .size: 9])]))
    }
}
