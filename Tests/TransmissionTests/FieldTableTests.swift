import Notation
import Seedbox
import Testing

@testable import Transmission

@Suite struct FieldTableTests {
    @Test(arguments: [(Recorded.table300, RPCDialect.old), (Recorded.table41, .jsonRPC)])
    func `every version's table becomes the same fields`(_ text: String, _ dialect: RPCDialect) throws {
        let rows = try FieldTable.rows(try dialect.arguments(of: try Recorded.value(text)))
        #expect(rows.count == 2)
        let onion = rows[0]
        #expect(onion.hash.hex == Recorded.onion)
        #expect(onion.id == 2)
        #expect(onion.fields[.status] == "downloading")
        #expect(onion.fields[.progress] == 0.25)
        #expect(onion.fields[.left] == 30_000)
        #expect(onion.fields[.down] == 1234)
        #expect(onion.fields[.ratio] == .double(-1))
        #expect(onion.fields[.labels] == ["a"])
        #expect(onion.fields[.downLimit] == 100_000)
        #expect(onion.fields[.isPrivate] == false)
        #expect(onion.fields[.trackers] == ["tracker.example", "[2001:db8::1]"])
        #expect(onion.fields[.files] == (text == Recorded.table300 ? nil : 3))
        #expect(rows[1].fields[.status] == "stopped")
        #expect(rows[1].fields[.progress] == .double(1))
        #expect(rows[1].fields[.ratio] == 1.999)
    }

    @Test func `every field of 4_0 is read`() throws {
        let rows = try FieldTable.rows(try RPCDialect.old.arguments(of: try Recorded.value(Recorded.table406)))
        try #require(rows.count == 2)
        #expect(Set(rows[0].fields.keys) == Set(Field.allCases))
        let told: [Field: Value] = [
            .name: "🧅 onion", .status: "stopped", .progress: 0.0, .checked: 0.0, .metadata: 1.0, .size: 120_000,
            .left: 120_000, .ratio: 0.0, .eta: -1, .labels: ["a"], .directory: "/srv/dl", .added: 1_796_006_810,
            .done: 0,
            .isPrivate: false, .priority: 0, .downLimit: 500_000, .upLimit: 100_000, .sessionLimits: true,
            .ratioLimit: 2.0, .idleLimit: 30, .peerLimit: 50, .trackers: ["tracker.example", "[2001:db8::1]"],
            .files: 3, .queue: 0, .finished: false, .stalled: true, .error: 0, .message: "", .comment: "",
        ]
        for (field, value) in told { #expect(rows[0].fields[field] == value, "\(field)") }
        #expect(rows[1].fields[.isPrivate] == true)
        #expect(rows[1].fields[.files] == 1)
        let recent = try RPCDialect.old.arguments(of: try Recorded.value(Recorded.recent406))
        #expect(recent["removed"] == [1])
        #expect(try FieldTable.rows(recent).map(\.id) == [2])
    }

    @Test func `a value of another type leaves its field out and keeps the row`() throws {
        let rows = try FieldTable.rows([
            "torrents": [
                ["hashString", "id", "name", "status", "isPrivate", "labels", "eta"],
                [.string(Recorded.plain), 1, 0, 99, "x", 0, "soon"],
            ]
        ])
        #expect(rows == [TorrentRow(hash: InfoHash(Recorded.plain)!, id: 1)])
    }

    @Test(
        arguments: [
            [:], ["torrents": 3], ["torrents": [3]], ["torrents": [["id"]]],
            ["torrents": [["hashString", "id"], ["short"]]], ["torrents": [["hashString", "id"], 7]],
        ] as [Value]
    )
    func `a table without its shape is refused`(_ answer: Value) {
        #expect(throws: TransmissionError.self) { try FieldTable.rows(answer) }
    }

    @Test func `a row without an info hash is passed over`() throws {
        let rows = try FieldTable.rows([
            "torrents": [["hashString", "id"], ["../../etc", 1], [.string(Recorded.plain), 2]]
        ])
        #expect(rows.map(\.id) == [2])
    }

    @Test(arguments: [
        ("http://tracker.example/announce", "tracker.example"), ("udp://T.Example:80", "t.example"),
        ("https://a:b@host:1/x?y", "host"), ("nothing", nil), ("http://", nil), ("wss://[::1]:9/", "[::1]"),
    ])
    func `of an announce address only the host is told`(_ address: String, _ host: String?) {
        #expect(FieldTable.host(ofAnnounce: address) == host)
    }

    @Test func `no row is larger than a frame, whatever a torrent's author wrote`() throws {
        let long = String(repeating: "🧅", count: 100_000)
        let many = (0..<100_000).map { "\"label \($0)\"" }.joined(separator: ",")
        let table = """
            {"result":"success","arguments":{"torrents":[["hashString","id","comment","labels"],
            ["\(Recorded.onion)",2,"\(long)",[\(many)]]]}}
            """
        let rows = try FieldTable.rows(try RPCDialect.old.arguments(of: try Recorded.value(table)))
        let comment = try #require(rows[0].fields[.comment]?.string)
        #expect(comment.utf8.count == 16_384 && long.hasPrefix(comment))
        #expect(JSON.encode(.map(["labels": rows[0].fields[.labels] ?? .null])).count < 60_000)
    }
}
