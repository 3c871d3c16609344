/// A program's output on a terminal: the same whatever pieces it comes in, and without anything that acts.
import NIOCore
import Testing

@testable import Controller

@Suite struct VisibleStreamTests {
    private func shown(_ pieces: [ArraySlice<UInt8>]) -> String {
        var stream = VisibleStream()
        var shown = ByteBuffer()
        for piece in pieces { shown.writeImmutableBuffer(stream.received(ByteBuffer(bytes: piece))) }
        shown.writeImmutableBuffer(stream.ended())
        return String(buffer: shown)
    }

    @Test(
        arguments: [
            ("plain\ttext\n", "plain\ttext\n"), ("\r\n", "\n"), ("a\rb\r\r\n\r", "a␍b␍\n␍"), ("\u{1B}[31m", "␛[31m"),
            ("\u{9B}31m\u{85}", "⟨9B⟩31m⟨85⟩"), ("\u{202E}gpj\u{2028}", "⟨202E⟩gpj⟨2028⟩"), ("🧅日é\u{7F}", "🧅日é␡"),
            ("👨‍👩‍👧", "👨‍👩‍👧"), ("e\u{301}", "e\u{301}"),
        ]
    )
    func `what acts becomes a sign, however it is cut`(text: String, expected: String) {
        let bytes = Array(text.utf8)
        #expect(shown([bytes[...]]).unicodeScalars.elementsEqual(expected.unicodeScalars))
        #expect(shown(bytes.indices.map { bytes[$0...$0] }).unicodeScalars.elementsEqual(expected.unicodeScalars))
        for cut in bytes.indices {
            #expect(shown([bytes[..<cut], bytes[cut...]]).unicodeScalars.elementsEqual(expected.unicodeScalars))
        }
    }

    @Test func `bytes that are no text show as such, and none is kept for ever`() {
        #expect(shown([[0x9B, 0x33], [0xF0, 0x9F], [0x41]]) == "\u{FFFD}3\u{FFFD}A")
        #expect(shown([[0xE2, 0x80]]) == "\u{FFFD}")
        var stream = VisibleStream()
        var count = 0
        for _ in 0..<1000 { count += stream.received(ByteBuffer(bytes: [0x80, 0xFF])).readableBytes }
        #expect(count > 1990)
    }

    @Test func `random bytes never act`() {
        var seed: UInt64 = 7
        for _ in 0..<2_000 {
            let bytes = (0..<40).map { _ in
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: seed >> 56)
            }
            let text = shown([bytes[..<17], bytes[17...]])
            let acting = text.unicodeScalars.filter { isTreacherous($0) && $0 != "\n" && $0 != "\t" }
            #expect(acting.isEmpty)
        }
    }
}
