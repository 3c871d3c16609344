/// The commands that change something, against a daemon's socket: what they send, and how each outcome ends.
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

@Suite struct ChangeTests {
    @Test(arguments: [["--no-wait"], ["--timeout", "30"], []])
    func `what a daemon did not answer before its end is told to the next, under the same key`(
        options: [String]
    ) async throws {
        let submissions = Submissions()
        var answers = TwoTorrents.answers(submissions)
        let submit = try #require(answers["submit"])
        answers["submit"] = { call in
            guard submissions.all.isEmpty else { return try await submit(call) }
            _ = try await submit(call)
            throw FakeDaemon.Death()
        }
        try await FakeDaemon.with(answers) { daemon in
            let run = try await CommandRun.farseed(["stop", "One", "-b", "vps"] + options, in: daemon.directory)
            #expect(run.status == 0, "\(run.errors)")
        }
        let keys = submissions.all.map { $0["key"]?.string }
        #expect(keys.count == 2 && keys[0] == keys[1])
    }

    @Test func `who wants no queue is told at once that the daemon has ended`() async throws {
        var answers = TwoTorrents.answers(Submissions())
        answers["submit"] = { _ in throw FakeDaemon.Death() }
        answers["job.undo"] = answers["submit"]
        try await FakeDaemon.with(answers) { daemon in
            for command in [["stop", "One", "-b", "vps"], ["undo"]] {
                let run = try await CommandRun.farseed(command + ["--no-queue"], in: daemon.directory)
                #expect(run.status == Problem.Code.connectionLost.exitCode && run.errors.contains("farseed jobs"))
            }
        }
    }

    @Test(arguments: [["--no-queue"], []])
    func `a lost connection that a living daemon tells of is its answer`(options: [String]) async throws {
        let submissions = Submissions()
        var answers = TwoTorrents.answers(submissions)
        answers["submit"] = { call in
            submissions.note(call.arguments)
            throw Problem(.connectionLost, "The circuit has died.")
        }
        answers["job.undo"] = answers["submit"]
        try await FakeDaemon.with(answers) { daemon in
            for command in [["stop", "One", "-b", "vps"], ["undo"]] {
                let run = try await CommandRun.farseed(command + options, in: daemon.directory)
                #expect(run.status == Problem.Code.connectionLost.exitCode)
                #expect(run.errors.contains("The circuit has died.") && !run.errors.contains("farseed jobs"))
            }
        }
        #expect(submissions.all.count == 2)
    }

    @Test(
        arguments: [
            (["start", "aaaa"], "torrent.start", ["hashes": [.string(hash)]]),
            (["start", "--now", "One"], "torrent.start_now", ["hashes": [.string(hash)]]),
            (["stop", "label:x"], "torrent.stop", ["hashes": [.string(hash), .string(other)]]),
            (["verify", "all"], "torrent.verify", ["hashes": [.string(hash), .string(other)]]),
            (["reannounce", "bbbb"], "torrent.reannounce", ["hashes": [.string(other)]]),
            (["queue", "top", "Two"], "torrent.queue", ["hashes": [.string(other)], "to": "top"]),
            (
                ["move", "One", "--to", "/srv/x", "--no-data"], "torrent.move",
                ["hashes": [.string(hash)], "directory": "/srv/x", "move_data": false]
            ),
            (
                ["remove", "One", "--delete-data"], "torrent.remove", ["hashes": [.string(hash)], "delete_data": true]
            ),
            (["rename", "One", "Other"], "torrent.rename", ["hash": .string(hash), "path": "One", "name": "Other"]),
            (
                ["set", "One", "-l", "a", "--label", "b", "--ratio", "2.5", "--idle", "none", "--down-limit", "2M"],
                "torrent.set",
                [
                    "hashes": [.string(hash)], "labels": ["a", "b"], "ratio_mode": 1, "ratio_limit": 2.5,
                    "idle_mode": 2,
                    "down_limit": 2_000_000,
                ]
            ),
            (
                ["set", "One", "--no-labels", "--up-limit", "none", "--wanted", "0,2,5-7"], "torrent.set",
                ["hashes": [.string(hash)], "labels": [], "up_limit": nil, "wanted": [0, 2, 5, 6, 7]]
            ),
            (
                ["session", "set", "alt_speed_enabled=on", "speed-limit-down=1.5M"], "session.set",
                ["alt_speed_enabled": true, "speed_limit_down": 1_500_000]
            ),
        ] as [([String], String, Value)]
    )
    func `a command becomes one verb on the torrents meant`(
        arguments: [String],
        verb: String,
        expected: Value
    ) async throws {
        let submissions = Submissions()
        try await FakeDaemon.with(TwoTorrents.answers(submissions)) { daemon in
            let run = try await CommandRun.farseed(arguments + ["-b", "vps"], in: daemon.directory)
            #expect(run.status == 0, "\(run.errors)")
        }
        #expect(submissions.all.count == 1)
        let sent = submissions.all.first
        #expect(sent?["verb"]?.string == verb)
        #expect(sent?["arguments"] == expected)
        #expect(sent?["box"] == "vps")
        #expect(sent?["key"]?.string?.count == 32)
        #expect(sent?["wait"] == true)
        #expect(sent?["queue"] == true)
    }

    @Test func `a magnet link, an address and a small file are added, a duplicate with its own code`() async throws {
        let submissions = Submissions()
        let result: Value = ["hash": .string(hash), "name": "New\u{1B}", "duplicate": true]
        try await FakeDaemon.with(TwoTorrents.answers(submissions, result: result)) { daemon in
            let file = daemon.directory.appending(path: "x.torrent")
            try Data("d4:infode".utf8).write(to: file)
            let run = try await CommandRun.farseed(
                [
                    "add", "-b", "vps", "--paused", "-l", "new", "-d", "/srv", "--priority", "high", "--no-queue",
                    "magnet:?xt=urn:btih:\(hash)", "https://x.example/a.torrent", file.path,
                ],
                in: daemon.directory
            )
            #expect(run.status == Problem.Code.duplicate.exitCode)
            #expect(run.text == String(repeating: "present aaaaaaaa New␛\n", count: 3))
        }
        let sent = submissions.all
        try #require(sent.count == 3)
        #expect(
            sent[0]["arguments"] == [
                "magnet": .string("magnet:?xt=urn:btih:\(hash)"), "paused": true, "labels": ["new"],
                "directory": "/srv",
                "priority": 1,
            ]
        )
        #expect(sent[0]["queue"] == false)
        #expect(sent[1]["arguments"]?["url"] == "https://x.example/a.torrent")
        #expect(sent[2]["arguments"]?["metainfo"] == .bytes(Array("d4:infode".utf8)))
        #expect(Set(sent.map { $0["key"] }).count == 3)
    }

    @Test func `a large file travels on a lane`() async throws {
        let submissions = Submissions()
        try await FakeDaemon.with(TwoTorrents.answers(submissions, result: ["hash": .string(hash), "name": "x"])) {
            daemon in
            let file = daemon.directory.appending(path: "x.torrent")
            try (Data("d4:info".utf8) + Data(repeating: 0x61, count: 1_000_000)).write(to: file)
            let run = try await CommandRun.farseed(["add", "-b", "vps", file.path], in: daemon.directory)
            #expect(run.status == 0)
        }
        #expect(submissions.all.first?["uploaded"] == 1_000_007)
    }

    @Test func `what is no torrent is refused before anything is sent`() async throws {
        let submissions = Submissions()
        try await FakeDaemon.with(TwoTorrents.answers(submissions)) { daemon in
            let file = daemon.directory.appending(path: "x.torrent")
            try Data("<html>".utf8).write(to: file)
            let html = try await CommandRun.farseed(["add", "-b", "vps", file.path], in: daemon.directory)
            #expect(html.status == Problem.Code.badRequest.exitCode)
            let missing = try await CommandRun.farseed(["add", "-b", "vps", "/none.torrent"], in: daemon.directory)
            #expect(missing.status == Problem.Code.notFound.exitCode)
            let nobody = try await CommandRun.farseed(["stop", "-b", "vps", "cccc"], in: daemon.directory)
            #expect(nobody.status == Problem.Code.notFound.exitCode)
            let nothing = try await CommandRun.farseed(["stop", "-b", "vps", "status:seeding"], in: daemon.directory)
            #expect(nothing.status == 0)
            #expect(nothing.errors == "farseed: no torrent is selected; nothing was done.\n")
        }
        #expect(submissions.all.isEmpty)
    }

    @Test func `a job that failed has its problem's code`() async throws {
        let failed: Value = [
            "state": "failed", "ended": true, "problem": Problem(.transmissionRefused, "No.").value,
        ]
        try await FakeDaemon.with(TwoTorrents.answers(Submissions(), state: failed)) { daemon in
            let run = try await CommandRun.farseed(["stop", "-b", "vps", "all", "--json"], in: daemon.directory)
            #expect(run.status == Problem.Code.transmissionRefused.exitCode)
            #expect(run.errors == "farseed: No.\n")
            #expect(run.text.contains(#""code":"transmission-refused""#))
        }
    }

    @Test func `a job that waits is told by its number`() async throws {
        let waiting: Value = ["state": "waiting", "ended": false]
        try await FakeDaemon.with(TwoTorrents.answers(Submissions(), state: waiting)) { daemon in
            let run = try await CommandRun.farseed(["stop", "-b", "vps", "all", "--no-wait"], in: daemon.directory)
            #expect(run.status == 0)
            #expect(run.text.hasPrefix("accepted as job 7;"))
        }
    }

    @Test func `a time limit ends the waiting, not the job`() async throws {
        var answers = TwoTorrents.answers(Submissions())
        answers["submit"] = { call in
            try await call.emit(["id": 7, "state": "waiting", "ended": false])
            try await Task.sleep(for: .seconds(60))
            return .null
        }
        try await FakeDaemon.with(answers) { daemon in
            let run = try await CommandRun.farseed(
                ["stop", "-b", "vps", "all", "--timeout", "3"],
                in: daemon.directory
            )
            #expect(run.status == Problem.Code.timedOut.exitCode)
            #expect(run.errors.contains("job 7"))
        }
    }

    @Test(arguments: [(true, "done"), (false, "pending")])
    func `who waits for what comes of it has more patience than others`(untilEnd: Bool, state: String) async throws {
        let answers: [String: FakeDaemon.Answer] = [
            "submit": { call in
                try await call.emit(["id": 7, "state": "accepted", "ended": false])
                try await Task.sleep(for: untilEnd ? .milliseconds(500) : .seconds(60))
                return ["id": 7, "state": "done", "ended": true]
            }
        ]
        try await FakeDaemon.with(answers) { daemon in
            let configuration = Configuration(stateDirectory: daemon.directory.path)
            let connection = try #require(try await ControlSocket.connect(configuration.controlSocket))
            // The second is long enough to hear that the job is accepted.
            let patience = Patience(untilEnd: untilEnd, grace: untilEnd ? .milliseconds(50) : .seconds(3))
            let outcome = try await Backend.greeting(connection) {
                try await DaemonErrand("submit", [:], key: Backend.newKey(), patience, configuration)
                    .carriedOut(over: connection)
            }
            #expect(ChangeOptions.value(outcome, [])["state"]?.string == state)
        }
    }

    @Test func `who wants no queue takes back what the daemon could not send in time`() async throws {
        let submit: FakeDaemon.Answer = { call in
            try await call.emit(["id": 7, "state": "accepted", "ended": false])
            try await Task.sleep(for: .seconds(60))
            return .null
        }
        let waiting: Value = [
            "id": 7, "state": "waiting", "ended": false, "problem": Problem(.hostUnreachable, "No way.").value,
        ]
        let done: Value = ["id": 7, "state": "done", "ended": true]
        for (state, code) in [(waiting, Problem.Code.hostUnreachable.exitCode), (done, 0)] {
            var answers = TwoTorrents.answers(Submissions())
            answers["submit"] = submit
            answers["job"] = { _ in state }
            answers["job.cancel"] = { _ in ["id": 7, "state": "cancelled", "ended": true] }
            try await FakeDaemon.with(answers) { daemon in
                let run = try await CommandRun.farseed(
                    ["stop", "-b", "vps", "all", "--no-queue", "--timeout", "3"],
                    in: daemon.directory
                )
                #expect(run.status == code, "\(run)")
            }
        }
    }

    @Test(
        arguments: [
            ["stop", "all", "--no-wait", "--no-queue"], ["undo", "--no-wait", "--wait", "done"],
            ["jobs", "--watch", "--open"],
            ["jobs", "--watch", "--limit", "5"],
        ]
    )
    func `what contradicts itself is refused`(line: [String]) async throws {
        let run = try await CommandRun.farseed(line, in: FileManager.default.temporaryDirectory)
        #expect(run.status == 64 && run.errors.contains("--"), "\(run)")
    }

    @Test func `jobs are listed, cancelled and taken back`() async throws {
        let job: Value = [
            "id": 7, "state": "waiting", "box": "vps", "verb": "torrent.stop", "targets": 2, "who": "me\u{1B}",
            "accepted_at": 1, "problem": ["code": "link-down", "message": "The link\nis down."],
        ]
        let answers: [String: FakeDaemon.Answer] = [
            "jobs": { _ in ["jobs": [job]] }, "job": { _ in job },
            "job.cancel": { call in
                guard call.arguments["id"] == 7 else { throw Problem(.notFound, "No such job.") }
                return job
            },
            "job.undo": { call in
                #expect(call.arguments["key"]?.string?.count == 32)
                #expect(call.arguments["queue"] == .bool(call.arguments["id"] != 6))
                guard call.arguments["wait"] == true else { return ["id": 9, "state": "accepted", "ended": false] }
                return [
                    "id": 8, "undoes": 7, "state": "done", "ended": true, "box": "vps",
                    "arguments": ["hashes": [.string(hash)]],
                ]
            },
            "watch": { call in
                try await TwoTorrents.snapshot(call)
                try await Task.sleep(for: .seconds(60))
                return .null
            },
        ]
        try await FakeDaemon.with(answers) { daemon in
            let list = try await CommandRun.farseed(["jobs"], in: daemon.directory)
            #expect(list.text.contains("The link␊is down."))
            #expect(list.text.contains("me␛"))
            #expect(try await CommandRun.farseed(["jobs", "cancel", "7"], in: daemon.directory).status == 0)
            #expect(try await CommandRun.farseed(["jobs", "cancel", "9"], in: daemon.directory).status == 13)
            let undo = try await CommandRun.farseed(["undo"], in: daemon.directory)
            #expect(undo.text == "job 7 was taken back by job 8\n")
            let kept = try await CommandRun.farseed(["undo", "7", "--no-wait"], in: daemon.directory)
            #expect(kept.text.hasPrefix("accepted as job 9;"), "\(kept)")
            let stopped = try await CommandRun.farseed(
                ["undo", "6", "--no-queue", "--wait", "stopped"],
                in: daemon.directory
            )
            #expect(stopped.status == 0, "\(stopped)")
            let never = try await CommandRun.farseed(
                ["undo", "--wait", "seeding", "--timeout", "2"],
                in: daemon.directory
            )
            #expect(never.status == Problem.Code.timedOut.exitCode, "\(never)")
        }
    }

    @Test func `details are read in pages and shown safely`() async throws {
        var answers = TwoTorrents.answers(Submissions())
        answers["torrent.get"] = { call in
            let from = call.arguments["files_from"]?.int ?? 0
            let files: [Value] = (from..<min(from + 2, 3)).map {
                ["name": .string("f\($0)\u{202E}"), "size": 10, "done": 5, "wanted": .bool($0 != 1), "priority": 1]
            }
            return [
                "hash": .string(hash), "fields": ["name": "One", "size": 1500], "files": .array(files),
                "files_from": .int(from), "files_count": 3,
                "peers": [["address": "::1", "port": 5, "client": "c\u{1B}", "progress": 0.5, "down": 1000]],
                "trackers": [["announce": "https://t.example", "tier": 0, "message": "ok\n", "succeeded": true]],
            ]
        }
        try await FakeDaemon.with(answers) { daemon in
            let files = try await CommandRun.farseed(["files", "-b", "vps", "One"], in: daemon.directory)
            #expect(files.text.split(separator: "\n").count == 4)
            #expect(files.text.contains("f2⟨202E⟩"))
            let show = try await CommandRun.farseed(["show", "-b", "vps", "One"], in: daemon.directory)
            #expect(show.text.contains("1.5 kB"))
            let peers = try await CommandRun.farseed(["peers", "-b", "vps", "One"], in: daemon.directory)
            #expect(peers.text.contains("[::1]:5"))
            let trackers = try await CommandRun.farseed(
                ["trackers", "-b", "vps", "One", "--json"],
                in: daemon.directory
            )
            #expect(try JSON.decode(trackers.text.trimmingCharacters(in: .newlines))["hash"]?.string == hash)
        }
    }
}
