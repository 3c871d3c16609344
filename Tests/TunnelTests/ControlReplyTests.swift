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
}
