/// `list`, `status`, `boxes` and `config` as programs, against a daemon's socket.
import Calls
import Foundation
import Notation
import Seedbox
import Testing

@testable import Controller

@Suite struct ReadingTests {
    private static func torrents(link: LinkStatus) -> FakeDaemon.Answer {
        { call in
            let torrents = hostileNames.enumerated().map { index, name in
                let digits = String(index + 10)
                return Torrent(
                    hash: InfoHash(digits + String(repeating: "0", count: 40 - digits.count))!,
                    [
                        .name: .string(name), .status: "seeding", .size: 5000, .progress: 0.25,
                        .added: .int(Int64(index)),
                    ]
                )
            }
            let position = Position(epoch: 5, seq: 9)
            try await call.emit(Event.daemon(DaemonStatus(.up)).value)
            try await call.emit(
                Event.snapshot(position: position, part: 0, parts: 2, torrents: Array(torrents[..<10])).value
            )
            try await call.emit(
                Event.snapshot(position: position, part: 1, parts: 2, torrents: Array(torrents[10...])).value
            )
            return ["link": link.value]
        }
    }

    @Test func `list prints a table, JSON, YAML and formats`() async throws {
        let answers = ["torrents": Self.torrents(link: LinkStatus(state: "live"))]
        try await FakeDaemon.with(answers) { daemon in
            let table = try await CommandRun.farseed(["list", "-b", "vps"], in: daemon.directory)
            #expect(table.status == 0)
            #expect(table.text.split(separator: "\n").count == hostileNames.count + 2)
            #expect(table.errors == "")

            let json = try await CommandRun.farseed(["list", "-b", "vps", "--json"], in: daemon.directory)
            let value = try JSON.decode(json.text.trimmingCharacters(in: .newlines))
            #expect(value["torrents"]?.array?.map { $0["name"]?.string } == hostileNames)
            #expect(value["epoch"]?.int == 5)
            #expect(value["link"]?["state"] == "live")

            let format = try await CommandRun.farseed(
                ["list", "-b", "vps", "--format", "{hash} {size:h}", "1000"],
                in: daemon.directory
            )
            #expect(format.text == "10" + String(repeating: "0", count: 38) + " 5.0 kB\n")
        }
    }

    private static let terminals: [([String: String], Bool)] = [
        ([:], true), (["NO_COLOR": "1"], false), (["TERM": "dumb"], false),
    ]

    @Test(arguments: terminals)
    func `a terminal gets bars, and colours where it may`(
        environment: [String: String],
        hasColours: Bool
    ) async throws {
        try await FakeDaemon.with(["torrents": Self.torrents(link: LinkStatus(state: "live"))]) { daemon in
            let run = try TerminalRun(["list", "-b", "vps"], in: daemon.directory, environment: environment)
            #expect(try await run.shows("\(hostileNames.count) torrents"))
            #expect(try await run.status() == 0)
            #expect(run.text.contains(Amounts.bar(0.25, width: 10)))
            #expect(run.text.contains("\u{1B}[36mseeding\u{1B}[0m") == hasColours)
            #expect(run.text.contains("\u{1B}") == hasColours)
            // Whatever is wanted: what no terminal reads has none.
            let piped = try await CommandRun.farseed(
                ["list", "-b", "vps"],
                in: daemon.directory,
                environment: environment
            )
            #expect(!piped.text.contains("\u{1B}") && piped.text.contains("seeding"))
        }
    }

    @Test func `old data are shown, and said to be old`() async throws {
        var link = LinkStatus(state: "backing-off", dataAt: 1000)
        link.problem = Problem(.socksUnreachable, "Nothing listens on the SOCKS port.")
        try await FakeDaemon.with(["torrents": Self.torrents(link: link)]) { daemon in
            let run = try await CommandRun.farseed(["list", "-b", "vps"], in: daemon.directory)
            #expect(run.status == 0)
            #expect(run.errors.hasPrefix("farseed: these data are "))
            #expect(run.errors.hasSuffix("Nothing listens on the SOCKS port.\n"))
        }
    }

    @Test func `a link that was never up has its own code, as JSON too`() async throws {
        var link = LinkStatus(state: "backing-off")
        link.problem = Problem(.hostKeyMismatch, "The host key is another one.")
        let value = link.value
        try await FakeDaemon.with(["torrents": { _ in ["link": value] }]) { daemon in
            let run = try await CommandRun.farseed(["list", "-b", "vps", "--json"], in: daemon.directory)
            #expect(run.status == Problem.Code.hostKeyMismatch.exitCode)
            #expect(run.errors == "farseed: The host key is another one.\n")
            #expect(
                try JSON.decode(run.text.trimmingCharacters(in: .newlines))["error"]?["code"] == "host-key-mismatch"
            )
        }
    }

    @Test func `the only seedbox of the daemon needs no choosing`() async throws {
        let answers: [String: FakeDaemon.Answer] = [
            "status": { _ in
                ["software": "farseed t", "boxes": [["name": "vps", "link": LinkStatus(state: "live").value]]]
            },
            "torrents": Self.torrents(link: LinkStatus(state: "live")),
        ]
        try await FakeDaemon.with(answers) { daemon in
            let list = try await CommandRun.farseed(["list", "--format", "{hash}"], in: daemon.directory)
            #expect(list.status == 0)
            let status = try await CommandRun.farseed(["status", "--oneline"], in: daemon.directory)
            #expect(status.text == "vps live\n")
            #expect(status.status == 0)
        }
    }

    @Test func `without daemon and configuration one sentence says what to do`() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "farseed-none-\(UUID().uuidString)")
        let list = try await CommandRun.farseed(["list"], in: directory)
        #expect(list.status == Problem.Code.configurationInvalid.exitCode)
        #expect(list.errors.contains("farseed init"))
        let status = try await CommandRun.farseed(["status", "--oneline"], in: directory)
        #expect(status.status == Problem.Code.controllerAbsent.exitCode)
        #expect(status.text == "farseed: not running\n")
    }
}
