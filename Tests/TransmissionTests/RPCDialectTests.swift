import Notation
import Testing

@testable import Transmission

@Suite struct RPCDialectTests {
    @Test(arguments: [
        (nil, RPCDialect.old), ("", .old), ("5.3.0", .old), ("6.0.0", .jsonRPC), ("6.1.0", .jsonRPC), ("x", .old),
        ("17.0", .jsonRPC),
    ])
    func `the semantic version chooses the notation`(_ version: String?, _ dialect: RPCDialect) {
        #expect(RPCDialect(semanticVersion: version) == dialect)
    }

    @Test(arguments: [
        ("percentDone", "percent_done"), ("peer-limit", "peer_limit"), ("torrent-get", "torrent_get"), ("id", "id"),
        ("isUTP", "is_utp"), ("seedRatioLimited", "seed_ratio_limited"), ("alt-speed-time-day", "alt_speed_time_day"),
    ])
    func `old names have one spelling in snake case`(_ old: String, _ snake: String) {
        #expect(RPCDialect.snake(old) == snake)
    }

    @Test func `a request is translated with its fields and its ids`() {
        let arguments: [String: Value] = [
            "ids": "recently-active", "fields": ["hashString", "peer-limit"], "format": "table",
        ]
        #expect(
            RPCDialect.old.request("torrent-get", arguments)
                == ["method": "torrent-get", "arguments": .map(arguments)]
        )
        #expect(
            RPCDialect.jsonRPC.request("torrent-get", arguments) == [
                "jsonrpc": "2.0", "method": "torrent_get", "id": 1,
                "params": ["ids": "recently_active", "fields": ["hash_string", "peer_limit"], "format": "table"],
            ]
        )
    }

    @Test func `a refusal carries the daemon's reason`() throws {
        let error = try #require(throws: TransmissionError.self) {
            try RPCDialect.jsonRPC.arguments(of: try Recorded.value(Recorded.refusal41))
        }
        #expect(error.code == .refused)
        #expect(error.message.contains("download directory path is not absolute"))
        let old = try #require(throws: TransmissionError.self) {
            try RPCDialect.old.arguments(of: ["result": "no such torrent"])
        }
        #expect(old.message.contains("no such torrent"))
        let recorded = try #require(throws: TransmissionError.self) {
            try RPCDialect.old.arguments(of: try Recorded.value(Recorded.refusal406))
        }
        #expect(recorded.message.contains("No such file or directory"))
    }

    @Test func `session figures are alike and keep secrets back`() throws {
        let old = try SessionFigures(
            session: try RPCDialect.old.arguments(of: try Recorded.value(Recorded.session300)),
            statistics: ["torrentCount": 2, "downloadSpeed": 5, "cumulative-stats": ["downloadedBytes": 9]]
        )
        #expect(old.rpcVersion == 16)
        #expect(old.version == "3.00 (bb6b5a062e)")
        #expect(old.values["speed_limit_down"] == 500_000)
        #expect(old.values["download_dir"] == "/srv/dl")
        #expect(old.values["torrent_count"] == 2)
        #expect(old.values["total_downloaded"] == 9)
        #expect(
            !old.values.keys.contains {
                $0.contains("blocklist_url") || $0.contains("script") || $0.contains("session")
            }
        )
        let middle = try SessionFigures(
            session: try RPCDialect.old.arguments(of: try Recorded.value(Recorded.session406)),
            statistics: try RPCDialect.old.arguments(of: try Recorded.value(Recorded.statistics406))
        )
        #expect([middle.rpcVersion, middle.values["torrent_count"]?.int] == [17, 2])
        #expect(middle.version == "4.0.6 (0)")
        #expect(middle.values["speed_limit_down"] == 500_000)
        #expect(middle.values["incomplete_dir"] == "/srv/incomplete")
        let text = JSON.text(.map(middle.values))
        #expect(!text.contains("@") && !text.contains("script"))
        let new = try SessionFigures(
            session: try RPCDialect.jsonRPC.arguments(of: try Recorded.value(Recorded.session41)),
            statistics: nil
        )
        #expect(new.rpcVersion == 18)
        #expect(new.values["speed_limit_down"] == 500_000)
        #expect(new.values["peer_port"] == 51_413)
    }
}
