/// What of a torrent's details is told over WAMP.
import Notation
import Testing

@testable import Controller

@Suite struct DetailDeskTests {
    @Test(arguments: [
        ("https://tracker.example:8443/0123456789abcdef/announce?key=1", "https://tracker.example:8443"),
        ("udp://tracker.example:6969", "udp://tracker.example:6969"),
        ("http://user:word@tracker.example/announce", "http://tracker.example"),
        ("http://[2001:db8::1]:80/x#y", "http://[2001:db8::1]:80"), ("http:///announce", "http://"),
        ("0123456789abcdef", ""), ("", ""),
    ])
    func `of an announce address only the server is told`(announce: String, server: String) {
        let answer: Value = ["hash": "x", "trackers": [["announce": .string(announce), "tier": 1]]]
        let shown = DetailDesk.shown(answer)
        #expect(shown == ["hash": "x", "trackers": [["announce": .string(server), "tier": 1]]])
    }

    @Test func `everything else stays as it is, and nonsense is not passed on`() {
        let files: Value = ["files": [["name": "a"]], "peers": []]
        #expect(DetailDesk.shown(files) == files)
        #expect(DetailDesk.shown(["trackers": ["http://host/secret"]]) == ["trackers": [.null]])
    }
}
