/// `--format`: which records it takes, and that its fields are those of `--json`.
import Calls
import Foundation
import Notation
import Seedbox
import Testing

@testable import Controller

private let hash = String(repeating: "a", count: 40)

@Suite struct FormatTests {
    /// Each kind, and where the schema of `--json` has its records.
    private static let kinds: [(any RecordKind.Type, [String])] = [
        (TorrentRecord.self, ["$defs", "torrent"]), (FileRecord.self, ["$defs", "file"]),
        (PeerRecord.self, ["$defs", "peer"]), (TrackerRecord.self, ["$defs", "tracker"]),
        (JobRecord.self, ["$defs", "summary"]),
        (LinkRecord.self, ["properties", "status", "properties", "boxes", "items"]),
        (BoxRecord.self, ["properties", "boxes", "properties", "boxes", "items"]),
        (HopRecord.self, ["$defs", "hops", "items"]),
        (FaultRecord.self, ["properties", "config check", "properties", "faults", "items"]),
        (UserRecord.self, ["properties", "user list", "properties", "users", "items"]),
        (AuditRecord.self, ["properties", "user audit", "properties", "entries", "items"]),
    ]
    /// Of no use in a line, as they are records themselves; and what a format has besides.
    private static let nested = ["link.hops", "link.warnings", "disks"]
    private static let own = ["index"]

    @Test func `the fields of a format are those of --json`() throws {
        let root = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let schema = try JSON.decode(Array(Data(contentsOf: root.appending(path: "Docs/output.schema.json"))))
        func leaves(_ part: Value?, _ name: String) -> [String] {
            var part = part
            if let reference = part?["$ref"]?.string?.split(separator: "/").last {
                part = schema["$defs"]?[String(reference)]
            }
            guard let properties = part?["properties"]?.map else { return [name] }
            return properties.flatMap { leaves($1, name.isEmpty ? $0 : "\(name).\($0)") }
        }
        for (kind, path) in Self.kinds {
            let part = path.reduce(schema as Value?) { $0?[$1] }
            let known = Set(leaves(part, "")).subtracting(Self.nested)
            #expect(Set(kind.fields.map(\.key)).subtracting(Self.own) == known, "\(kind)")
        }
    }

    @Test func `each kind's example is a format, with a word for one of them`() throws {
        for (kind, _) in Self.kinds {
            _ = try LineTemplate(kind.example, of: kind)
            #expect(!kind.noun.isEmpty)
        }
        _ = try LineTemplate(ChangeRecord.example, of: ChangeRecord.self)
    }

    @Test(arguments: [
        ("{nam}", "Did you mean `{name}`?"), ("{name", "is not closed"), ("name}", "has no `{`"), (#"\x"#, "After"),
    ])
    func `a bad format is explained`(text: String, words: String) {
        #expect { try LineTemplate(text, of: TorrentRecord.self) } throws: { "\($0)".contains(words) }
    }

    @Test func `a format gives raw numbers, and people's on demand`() throws {
        let one: Value = ["name": "x", "size": 1500, "labels": ["a", "b"], "progress": 0.5]
        let template = try LineTemplate("{size} {size:h} {labels} {progress:h} {{{eta}}}", of: TorrentRecord.self)
        #expect(try template.line(one) == "1500 1.5 kB a,b 50 % {}")
        let job = try LineTemplate("{id} {problem.code} {problem.message}", of: JobRecord.self)
        #expect(try job.line(["id": 7, "problem": ["code": "link-down", "message": "a\nb"]]) == "7 link-down a␊b")
        #expect(try job.line(["id": 8]) == "8  ")
        let figures: Value = ["current_stats": ["uploaded_bytes": 2000]]
        let stats = try LineTemplate("{current_stats.uploaded_bytes:h}", of: FigureRecord.self)
        #expect(try stats.line(figures) == "2.0 kB")
        #expect { try stats.line(["torrent_count": 1]) } throws: { "\($0)".contains("Known: torrent_count.") }
    }

    /// What the daemon says, whatever is asked.
    private static let answers: [String: FakeDaemon.Answer] = [
        "torrents": { call in
            try await snapshot(call, "One\tof\nmany")
            return ["link": LinkStatus(state: "live").value]
        },
        "torrent.get": { _ in
            [
                "hash": .string(hash), "fields": ["name": "One\tof\nmany", "size": 5000],
                "files": [
                    ["name": "a\nb", "size": 1500, "done": 0, "wanted": true, "priority": 0],
                    ["name": "c", "size": 1, "done": 1, "wanted": false, "priority": 1],
                ],
                "files_count": 2,
                "peers": [["address": "::1", "port": 5, "client": "x", "down": 2000]],
                "trackers": [["announce": "http://t.example/a", "tier": 3, "announced_at": 0]],
            ]
        },
        "status": { _ in ["software": "x", "boxes": [["name": "vps", "link": ["state": "live", "rtt_ms": 9]]]] },
        "jobs": { _ in ["jobs": [["id": 8, "state": "done"], ["id": 7, "state": "waiting"]]] },
        "job": { _ in ["id": 7, "state": "waiting", "hashes": [.string(hash)]] },
        "jobs.watch": { call in
            for id in 1...2 { try await call.emit(["id": .int(Int64(id)), "state": "sent"]) }
            return [:]
        },
        "job.undo": { _ in ["id": 9, "undoes": 8, "state": "done", "ended": true] },
        "session.get": { _ in ["version": "4.0", "download_dir": "/srv"] },
        "session.stats": { _ in ["cumulative_stats": ["uploaded_bytes": 5000]] },
        "session.free_space": { _ in ["path": "/srv", "free": 3000] },
        "submit": { call in
            let isAdding = call.arguments["verb"] == "torrent.add"
            let result: Value = isAdding ? ["hash": .string(hash), "name": "New", "duplicate": true] : [:]
            if call.arguments["wait"] == false { return ["id": 6, "state": "accepted", "ended": false] }
            return ["id": 5, "state": "done", "ended": true, "result": result]
        },
    ]

    @Test(
        arguments: [
            ("list", "{hash}|{name}", "\(hash)|One␉of␊many\n"),
            ("show aaaa", "{name}|{size:h}", "One␉of␊many|5.0 kB\n"),
            ("files aaaa", #"{index}\t{wanted}\t{name}"#, "0\ttrue\ta␊b\n1\tfalse\tc\n"),
            ("peers aaaa", "{address} {down:h}", "::1 2.0 kB/s\n"),
            ("trackers aaaa", "{tier} {announce}{announced_at:h}", "3 http://t.example/a\n"),
            ("status", "{name} {link.state} {link.rtt_ms}", "vps live 9\n"),
            ("jobs", "{id} {state}", "8 done\n7 waiting\n"),
            ("jobs --watch", "{id}", "1\n2\n"), ("jobs show 7", "{id} {hashes}", "7 \(hash)\n"),
            ("undo", "{undoes}", "8\n"),
            ("session", "{download_dir}", "/srv\n"), ("stats", "{cumulative_stats.uploaded_bytes:h}", "5.0 kB\n"),
            ("free", "{path} {free:h}", "/srv 3.0 kB\n"),
            ("stop all", "{hash} {name} {state} {job}", "\(hash) One␉of␊many done 5\n"),
            ("start all --no-wait", "{hash} {state} {job}", "\(hash) pending 6\n"),
            ("add magnet:?xt=urn:btih:x", "{hash} {duplicate} {name}", "\(hash) true New\n"),
            ("add magnet:?xt=urn:btih:x --no-wait", "{hash}:{state}:{job}", ":pending:6\n"),
            ("stop label:none", "{hash}", ""),
            ("session set alt_speed_down=5", "{state}", "done\n"),
        ] as [(String, String, String)]
    )
    func `every command that prints records prints a line of its own for each`(
        line: String,
        format: String,
        expected: String
    ) async throws {
        try await FakeDaemon.with(Self.answers) { daemon in
            let words = line.split(separator: " ").map(String.init) + ["-b", "vps", "--format", format]
            let run = try await CommandRun.farseed(words, in: daemon.directory)
            let isDuplicate = format.contains("duplicate")
            #expect(run.status == (isDuplicate ? Problem.Code.duplicate.exitCode : 0), "\(run)")
            #expect(run.text == expected)
        }
    }

    @Test(
        arguments: [
            ("stop all", "{nam}", 64, "Did you mean `{name}`?"), ("files all", "{hash}", 64, "There is no field"),
            ("boxes", "{name", 64, "is not closed"), ("jobs --json", "{id}", 64, "does not go with"),
            ("status --oneline", "{name}", 64, "--oneline"),
            ("session", "{download-dir}", 10, "Did you mean `{download_dir}`?"),
        ] as [(String, String, Int32, String)]
    )
    func `a format that makes no sense is refused, and before anything is changed`(
        line: String,
        format: String,
        code: Int32,
        words: String
    ) async throws {
        try await FakeDaemon.with(["session.get": Self.answers["session.get"]!]) { daemon in
            let arguments = line.split(separator: " ").map(String.init) + ["-b", "vps", "--format", format]
            let run = try await CommandRun.farseed(arguments, in: daemon.directory)
            #expect(run.status == code && run.errors.contains(words), "\(run)")
            #expect(run.output.isEmpty)
        }
    }
}

private func snapshot(_ call: IncomingCall, _ name: String) async throws {
    let torrent = Torrent(hash: InfoHash(hash)!, [.name: .string(name), .status: "stopped"])
    let position = Position(epoch: 1, seq: 0)
    try await call.emit(Event.snapshot(position: position, part: 0, parts: 1, torrents: [torrent]).value)
}
