/// Which torrents a word on the command line means.
import Notation
import Seedbox
import Testing

@testable import Controller

private let torrents: [Torrent] = [
    ("abcd1111", "Debian", ["linux"], "seeding"), ("abcd2222", "Ubuntu", ["linux", "old"], "stopped"),
    ("ef001111", "abcd", [], "stopped"), ("12345678", "twice", [], "downloading"), ("87654321", "twice", [], "stopped"),
    ("99990000", "e\u{301}", [], "stopped"),
].map { hash, name, labels, status in
    Torrent(
        hash: InfoHash(hash + String(repeating: "0", count: 32))!,
        [
            .name: .string(name), .status: .string(status), .labels: .array((labels as [String]).map { .string($0) }),
        ]
    )
}

private func names(_ texts: String...) throws -> [String] {
    try TorrentSelection.torrents(texts.map { try TorrentSelection($0) }, in: torrents).map(\.name)
}

@Suite struct SelectionTests {
    @Test func `a selection is a hash, its beginning, a name, a label, a status or all`() throws {
        #expect(try names("abcd1") == ["Debian"])
        #expect(try names("ABCD1111" + String(repeating: "0", count: 32)) == ["Debian"])
        #expect(try names("Ubuntu") == ["Ubuntu"])
        #expect(try names("label:linux") == ["Debian", "Ubuntu"])
        #expect(try names("status:stopped") == ["Ubuntu", "abcd", "twice", "e\u{301}"])
        #expect(try names("all").count == 6)
        #expect(try names("label:none") == [])
        #expect(try names("label:old", "abcd2", "Debian") == ["Debian", "Ubuntu"])
    }

    @Test func `a whole name is meant before the beginning of a hash`() throws {
        #expect(try names("abcd") == ["abcd"])
    }

    @Test func `names are compared by code point, as the seedbox does`() throws {
        #expect(try names("e\u{301}").count == 1)
        #expect(throws: Problem.self) { try names("\u{E9}") }
    }

    @Test(arguments: [
        ("abcd11zz", Problem.Code.notFound), ("abc", .notFound), ("twice", .ambiguous), ("", .badRequest),
        ("status:sleeping", .badRequest), ("label:", .badRequest), ("debian", .notFound), ("--all", .notFound),
    ])
    func `what means nothing, or several, is refused`(text: String, code: Problem.Code) {
        #expect { try names(text) } throws: { ($0 as? Problem)?.code == code }
    }

    @Test func `candidates are named`() {
        #expect { try names("twice") } throws: { error in
            let message = (error as? Problem)?.message ?? ""
            return message.contains("1234567800000000 twice") && message.contains("8765432100000000 twice")
        }
    }
}
