// Replies of tor's control port, as they come line by line, and what they tell.
import Testing

@testable import Tunnel

@Suite struct ControlReplyTests {
    private func replies(_ lines: [String]) throws -> [ControlReply] {
        var parser = ControlReplyParser()
        return try lines.compactMap { try parser.received($0) }
    }

    @Test("One line, several lines and data become replies")
    func kinds() throws {
        let found = try replies([
            "250 OK", "250-version=0.4.9.11", "250+circuit-status=", "1 BUILT $A~a", "..dotted", ".", "250 OK",
            "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=5",
        ])
        #expect(
            found == [
                ControlReply(code: 250, lines: ["OK"]),
                ControlReply(
                    code: 250,
                    lines: ["version=0.4.9.11", "circuit-status=\n1 BUILT $A~a\n.dotted", "OK"]
                ),
                ControlReply(code: 650, lines: ["STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=5"]),
            ]
        )
        #expect(found[2].isEvent && found[0].isSuccess)
    }

    @Test("What is no reply is refused", arguments: [[""], ["OK"], ["25 OK"], ["250?OK"], ["250-a", "550 b"]])
    func malformed(lines: [String]) {
        #expect(throws: ControlReplyParser.Failure.malformed) { try replies(lines) }
    }

    @Test("A reply that does not end is refused before it fills the memory")
    func endless() {
        #expect(throws: ControlReplyParser.Failure.tooLong) {
            var parser = ControlReplyParser()
            _ = try parser.received("250+data=")
            let line = String(repeating: "x", count: 60_000)
            for _ in 0..<20 { _ = try parser.received(line) }
        }
    }

    @Test("Words and pairs, quoted or not")
    func words() {
        let words = ControlWords(#"NOTICE BOOTSTRAP PROGRESS=45 SUMMARY="Asking \"all\" for it" $A~a,$B~b"#)
        #expect(words.words == ["NOTICE", "BOOTSTRAP", "$A~a,$B~b"])
        #expect(words.pairs == ["PROGRESS": "45", "SUMMARY": "Asking \"all\" for it"])
    }

    @Test("The bootstrap, its warning and the clock are news")
    func news() {
        var news = TorNews()
        news.received("status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=30 TAG=x SUMMARY=\"Loading\"")
        #expect(news.bootstrap == 30 && news.phase == "Loading" && news.warning == nil)
        news.received("STATUS_CLIENT WARN BOOTSTRAP PROGRESS=30 TAG=x SUMMARY=\"Loading\" WARNING=\"No route\"")
        news.received("STATUS_CLIENT WARN CLOCK_SKEW SKEW=-7200 SOURCE=DIRSERV:1.2.3.4:80")
        #expect(news.warning == "No route" && news.clockSkew == -7200)
        news.received("STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\"")
        #expect(news.bootstrap == 100 && news.warning == nil)
        news.received("version=0.4.9.11 (git-x)")
        #expect(news.version == "0.4.9.11")
    }

    @Test("The newest circuit of a password is known, and forgotten when it closes")
    func circuits() {
        var news = TorNews()
        news.received(
            "circuit-status=\n3 BUILT $AA~guard,$BB~mid PURPOSE=HS_CLIENT_REND SOCKS_USERNAME=\"me\" SOCKS_PASSWORD=\"once\""
        )
        #expect(news.paths == ["once": ["guard", "mid"]])
        for purpose in ["HS_CLIENT_INTRO", "HS_CLIENT_HSDIR", "CIRCUIT_PADDING"] {
            news.received("CIRC 9 BUILT $AA~guard,$DD~away PURPOSE=\(purpose) SOCKS_PASSWORD=\"once\"")
        }
        #expect(news.paths == ["once": ["guard", "mid"]])
        news.received("CIRC 4 BUILT $AA~guard,$CC~other SOCKS_USERNAME=\"me\" SOCKS_PASSWORD=\"once\"")
        news.received("CIRC 3 CLOSED $AA~guard,$BB~mid REASON=FINISHED")
        #expect(news.paths == ["once": ["guard", "other"]])
        news.received("CIRC 4 CLOSED $AA~guard,$CC~other")
        #expect(news.paths.isEmpty)
    }

    @Test("A circuit from tor's stock is known once it is ours")
    func stock() {
        var news = TorNews()
        let circuit = "$AA~guard,$BB~mid,$CC~last"
        news.received("CIRC 41 BUILT \(circuit) PURPOSE=HS_VANGUARDS")
        news.received("CIRC_MINOR 41 PURPOSE_CHANGED \(circuit) PURPOSE=HS_CLIENT_REND OLD_PURPOSE=HS_VANGUARDS")
        news.received("CIRC_MINOR 41 CANNIBALIZED \(circuit) PURPOSE=HS_CLIENT_REND OLD_PURPOSE=HS_VANGUARDS")
        news.received("CIRC 41 BUILT \(circuit) PURPOSE=HS_CLIENT_REND HS_STATE=HSCR_CONNECTING")
        #expect(news.paths.isEmpty)
        for state in ["HSCR_ESTABLISHED_IDLE", "HSCR_JOINED"] {
            let purpose = "PURPOSE=HS_CLIENT_REND HS_STATE=\(state)"
            news.received("CIRC_MINOR 41 PURPOSE_CHANGED \(circuit) \(purpose) SOCKS_PASSWORD=\"once\"")
        }
        let padding = "$AA~guard,$DD~other PURPOSE=CIRCUIT_PADDING"
        news.received("CIRC_MINOR 38 PURPOSE_CHANGED \(padding) SOCKS_PASSWORD=\"once\"")
        #expect(news.paths == ["once": ["guard", "mid", "last"]])
        news.received("CIRC 41 CLOSED \(circuit) REASON=FINISHED")
        #expect(news.paths.isEmpty)
    }

    @Test(
        "Versions older than the minimum are told apart",
        arguments: [
            ("0.4.9.11", true), ("0.4.9.12", true), ("0.5.0.1-alpha", true), ("0.4.9.10", false), ("0.4.8.99", false),
            ("unknown", true),
        ]
    )
    func versions(version: String, isRecent: Bool) {
        #expect(TorChild.isRecent(version) == isRecent)
    }
}
