import NIOHTTP1
import NIOPosix
import Notation
import TestSupport
import Testing

@testable import Transmission

@Suite(.timeLimit(.minutes(1))) struct RPCClientTests {
    private func client(_ configuration: RPCConfiguration) -> RPCClient {
        RPCClient(configuration, group: MultiThreadedEventLoopGroup.singleton)
    }

    private func conflict(_ id: String, version: String? = nil) -> FakeDaemon.Answer {
        .http(
            409,
            [("X-Transmission-Session-Id", id)] + (version.map { [("X-Transmission-Rpc-Version", $0)] } ?? []),
            ""
        )
    }

    private let success = FakeDaemon.Answer.ok(#"{"result":"success","arguments":{"a":1}}"#)

    @Test func `the session id of a 409 is taken and the request sent once more`() async throws {
        let daemon = try await FakeDaemon { [conflict, success] number, _ in number == 0 ? conflict("x1", nil) : success
        }
        let client = client(daemon.configuration)
        #expect(try await client.call("session-get") == ["a": 1])
        #expect(try await client.call("session-get") == ["a": 1])
        #expect(daemon.seen.map { $0.headers.first(name: "X-Transmission-Session-Id") } == ["", "x1", "x1"])
        #expect(daemon.seen.allSatisfy { $0.headers.first(name: "Connection") == "close" })
        try await daemon.stop()
    }

    @Test func `a daemon that answers 409 for ever is asked twice`() async throws {
        let daemon = try await FakeDaemon { [conflict] number, _ in conflict("x\(number)", nil) }
        let error = await #expect(throws: TransmissionError.self) {
            try await self.client(daemon.configuration).call("session-get")
        }
        #expect(error?.code == .unintelligible)
        #expect(daemon.seen.count == 2)
        try await daemon.stop()
    }

    @Test func `the header of 4_1 turns to JSON-RPC, and a restart of an older daemon back`() async throws {
        let daemon = try await FakeDaemon { [conflict, success] number, request in
            switch number {
            case 0: return conflict("new", "6.0.0")
            case 1: return .ok(#"{"jsonrpc":"2.0","id":1,"result":{"torrents":[]}}"#)
            case 2: return conflict("old", nil)
            default: return success
            }
        }
        let client = client(daemon.configuration)
        _ = try await client.call("torrent-get", ["ids": "recently-active", "fields": ["hashString"]])
        #expect(daemon.seen[1].body["method"] == "torrent_get")
        #expect(daemon.seen[1].body["params"]?["ids"] == "recently_active")
        _ = try await client.call("session-stats")
        #expect(daemon.seen[2].body["method"] == "session_stats")
        #expect(daemon.seen[3].body["method"] == "session-stats")
        try await daemon.stop()
    }

    @Test(arguments: [
        (401, TransmissionError.Code.unauthorized, "rpc-auth-file"), (403, .unauthorized, "whitelist"),
        (421, .unauthorized, "rpc-host-whitelist"), (404, .unintelligible, "404"), (500, .unintelligible, "500"),
    ])
    func `each status has its sentence`(_ status: Int, _ code: TransmissionError.Code, _ words: String) async throws {
        let daemon = try await FakeDaemon { _, _ in .http(status, [], "") }
        let error = await #expect(throws: TransmissionError.self) {
            try await self.client(daemon.configuration).call("session-get")
        }
        #expect(error?.code == code)
        #expect(error?.message.contains(words) == true)
        try await daemon.stop()
    }

    @Test func `the account goes along, and its refusal names the file`() async throws {
        let daemon = try await FakeDaemon { _, _ in .http(401, [], "") }
        var configuration = daemon.configuration
        configuration.user = "me"
        configuration.password = "pässword"
        let error = await #expect(throws: TransmissionError.self) { try await self.client(configuration).call("x") }
        #expect(error?.message.contains("refused the user name or password") == true)
        #expect(error?.message.contains("pässword") == false)
        #expect(daemon.seen[0].headers.first(name: "Authorization") == "Basic bWU6cMOkc3N3b3Jk")
        try await daemon.stop()
    }

    @Test func `silence is busy, a closed door is down`() async throws {
        let daemon = try await FakeDaemon { _, _ in .silence }
        var configuration = daemon.configuration
        configuration.replyDeadline = .milliseconds(100)
        let busy = await #expect(throws: TransmissionError.self) { try await self.client(configuration).call("x") }
        #expect(busy?.code == .busy)
        try await daemon.stop()
        let down = await #expect(throws: TransmissionError.self) { try await self.client(configuration).call("x") }
        #expect(down?.code == .down)
        #expect(down?.message.contains("127.0.0.1:\(configuration.port)") == true)
    }

    @Test func `an end without an answer is down`() async throws {
        let daemon = try await FakeDaemon { _, _ in .close }
        let error = await #expect(throws: TransmissionError.self) {
            try await self.client(daemon.configuration).call("x")
        }
        #expect(error?.code == .down)
        try await daemon.stop()
    }

    @Test(arguments: [
        "", "{", "[]", #"{"result":1}"#, #"{"arguments":{}}"#, "<h1>hello</h1>", "\u{0}", #"{"result":"success"}x"#,
    ])
    func `what is no answer is refused`(_ body: String) async throws {
        let daemon = try await FakeDaemon { _, _ in .ok(body) }
        let error = await #expect(throws: TransmissionError.self) {
            try await self.client(daemon.configuration).call("x")
        }
        #expect(error?.code == .unintelligible)
        try await daemon.stop()
    }

    @Test func `an answer beyond the limit is not kept`() async throws {
        let daemon = try await FakeDaemon { _, _ in .ok(String(repeating: " ", count: 100_000)) }
        var configuration = daemon.configuration
        configuration.largestReply = 50_000
        let error = await #expect(throws: TransmissionError.self) { try await self.client(configuration).call("x") }
        #expect(error?.code == .tooLarge)
        try await daemon.stop()
    }

    @Test func `lone surrogates of 3_00 do not lose an answer`() async throws {
        let daemon = try await FakeDaemon { _, _ in .ok(#"{"result":"success","arguments":{"name":"a\ud83e b"}}"#) }
        #expect(try await client(daemon.configuration).call("x")["name"] == "a\u{FFFD} b")
        try await daemon.stop()
    }

    @Test func `a cancelled call ends at once`() async throws {
        let daemon = try await FakeDaemon { _, _ in .silence }
        let client = client(daemon.configuration)
        let task = Task { try await client.call("x") }
        while daemon.seen.isEmpty { await Task.yield() }
        task.cancel()
        let error = await #expect(throws: TransmissionError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        try await daemon.stop()
    }

    @Test(arguments: [
        ("http://127.0.0.1:9091/transmission/rpc", "127.0.0.1:9091"), ("http://localhost", "127.0.0.1:9091"),
        ("http://[::1]:81/x/rpc", "[::1]:81"), ("https://127.0.0.1", nil), ("http://example.org", nil),
        ("http://127.0.0.1:0", nil), ("http://127.0.0.1:99999", nil), ("127.0.0.1:9091", nil), ("http://", nil),
        ("http://127.0.0.1/\r\nX: y", nil),
    ])
    func `an address is numeric`(_ url: String, _ authority: String?) {
        #expect(RPCConfiguration(url: url)?.authority == authority)
    }
}
