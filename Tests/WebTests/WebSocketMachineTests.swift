/// RFC 6455 as the Autobahn test-suite asks for it, group by group, on the pure machine.
import NIOCore
import Testing

@testable import Web

/// A frame as a client sends it.
private func frame(
    _ opcode: UInt8,
    _ payload: [UInt8] = [],
    final: Bool = true,
    reserved: UInt8 = 0,
    mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D]
) -> [UInt8] {
    var bytes: [UInt8] = [(final ? 0x80 : 0) | reserved << 4 | opcode]
    let flag: UInt8 = mask == nil ? 0 : 0x80
    switch payload.count {
    case ...125: bytes.append(flag | UInt8(payload.count))
    case ...0xFFFF: bytes += [flag | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default:
        bytes.append(flag | 127)
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(payload.count >> shift & 0xFF)) }
    }
    guard let mask else { return bytes + payload }
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
}

private func close(_ code: UInt16, _ reason: [UInt8] = []) -> [UInt8] {
    frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)] + reason)
}

/// What came of some bytes; messages and pings by length and sum where they are long.
private enum Seen: Equatable {
    case text(String)
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(UInt16?)
    case failure(WebSocketCloseCode)
}

/// Feeds the bytes in pieces of `step` bytes.
private func run(_ bytes: [UInt8], step: Int = .max, maximum: Int = 1 << 20) -> [Seen] {
    var machine = WebSocketMachine(maximumMessage: maximum)
    var seen: [Seen] = []
    var start = 0
    while start < bytes.count {
        let end = min(bytes.count, start + min(step, bytes.count))
        machine.received(ByteBuffer(bytes: bytes[start..<end]))
        start = end
        while let output = machine.next() {
            switch output {
            case .message(.text, let bytes): seen.append(.text(String(buffer: bytes)))
            case .message(_, let bytes): seen.append(.binary(Array(bytes.readableBytesView)))
            case .ping(let bytes): seen.append(.ping(Array(bytes.readableBytesView)))
            case .pong(let bytes): seen.append(.pong(Array(bytes.readableBytesView)))
            case .close(let code): seen.append(.close(code))
            case .failure(let code, _): seen.append(.failure(code))
            }
        }
    }
    return seen
}

private struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let bytes: [UInt8]
    fileprivate let seen: [Seen]

    fileprivate init(_ name: String, _ bytes: [UInt8], _ seen: [Seen]) {
        self.name = name
        self.bytes = bytes
        self.seen = seen
    }

    var testDescription: String { name }
}

extension Seen: Sendable {}

private let hello = Array("Hello".utf8)
private let star = [UInt8](repeating: 0x2A, count: 125)

/// Group 1: framing. Group 2: pings and pongs. Group 3: reserved bits. Group 4: opcodes.
private let framing: [Case] =
    [0, 125, 126, 127, 128, 65_535, 65_536].flatMap { size in
        let bytes = [UInt8](repeating: 0x2A, count: size)
        return [
            Case("1.1 text of \(size)", frame(1, bytes), [.text(String(decoding: bytes, as: UTF8.self))]),
            Case("1.2 binary of \(size)", frame(2, bytes.map { _ in 0xFE }), [.binary(bytes.map { _ in 0xFE })]),
        ]
    } + [
        Case("2.1 ping without payload", frame(9), [.ping([])]),
        Case("2.2 ping with text", frame(9, hello), [.ping(hello)]),
        Case(
            "2.3 ping with binary",
            frame(9, [0, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0, 0xFF]),
            [.ping([0, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0, 0xFF])]
        ),
        Case("2.4 ping of 125", frame(9, star), [.ping(star)]),
        Case("2.5 ping of 126", frame(9, star + [1]), [.failure(.protocolError)]),
        Case(
            "2.5 text, then ping of 126",
            frame(1, hello) + frame(9, star + [1]),
            [.text("Hello"), .failure(.protocolError)]
        ),
        Case("2.7 unsolicited pong", frame(10), [.pong([])]),
        Case("2.8 unsolicited pong with payload", frame(10, hello), [.pong(hello)]),
        Case("2.9 pong, then ping", frame(10, hello) + frame(9, star), [.pong(hello), .ping(star)]),
        Case("2.9 pings and pongs in turns", frame(9) + frame(10) + frame(9, [1]), [.ping([]), .pong([]), .ping([1])]),
        Case("2.10 ten pings", (0..<10).flatMap { frame(9, [UInt8($0)]) }, (0..<10).map { .ping([UInt8($0)]) }),
    ]
    + (1...7).map { bits in
        Case(
            "3 reserved bits \(bits)",
            frame(1, hello) + frame(1, hello, reserved: UInt8(bits)),
            [.text("Hello"), .failure(.protocolError)]
        )
    }
    + [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map { opcode in
        Case(
            "4 opcode \(opcode)",
            frame(1, hello) + frame(UInt8(opcode), opcode % 2 == 0 ? [] : hello) + frame(9),
            [.text("Hello"), .failure(.protocolError)]
        )
    }
    + [
        Case("unmasked", frame(1, hello, mask: nil), [.failure(.protocolError)]),
        Case("mask of zeros", frame(1, hello, mask: [0, 0, 0, 0]), [.text("Hello")]),
        Case("length 5 in two bytes", [0x81, 0xFE, 0, 5, 0, 0, 0, 0] + hello, [.failure(.protocolError)]),
        Case("length 126 in eight bytes", [0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0, 126], [.failure(.protocolError)]),
        Case("length with the highest bit", [0x82, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0], [.failure(.protocolError)]),
        Case("length of 2^62", [0x82, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0], [.failure(.messageTooBig)]),
    ]

private let pair = frame(1, [0x41], final: false) + frame(0, [0x42])

/// Group 5: fragments. Group 6.1: empty ones. Group 10: many.
private let fragments: [Case] = [
    Case("5.1 ping in two", frame(9, [1], final: false) + frame(0, [2]), [.failure(.protocolError)]),
    Case("5.2 pong in two", frame(10, [1], final: false) + frame(0, [2]), [.failure(.protocolError)]),
    Case("5.3 text in two", frame(1, Array("He".utf8), final: false) + frame(0, Array("llo".utf8)), [.text("Hello")]),
    Case(
        "5.6 ping between",
        frame(1, Array("He".utf8), final: false) + frame(9, [7]) + frame(0, Array("llo".utf8)),
        [.ping([7]), .text("Hello")]
    ),
    Case("5.9 continuation without beginning", frame(0, hello) + frame(1, hello), [.failure(.protocolError)]),
    Case("5.12 unfinished continuation without beginning", frame(0, hello, final: false), [.failure(.protocolError)]),
    Case(
        "5.13 unfinished continuation, then text",
        frame(0, hello, final: false) + frame(1, hello),
        [.failure(.protocolError)]
    ),
    Case(
        "5.16 a continuation without beginning before each of two",
        frame(0, hello, final: false) + pair + frame(0, hello, final: false) + pair,
        [.failure(.protocolError)]
    ),
    Case("5.17 finished continuation before a message", frame(0, hello) + pair, [.failure(.protocolError)]),
    Case("5.15 stray after a message", pair + frame(0, hello), [.text("AB"), .failure(.protocolError)]),
    Case("5.18 binary inside text", frame(1, [0x41], final: false) + frame(2, [0x42]), [.failure(.protocolError)]),
    Case(
        "5.3 pong between",
        frame(1, [0x41], final: false) + frame(10, [7]) + frame(0, [0x42]),
        [.pong([7]), .text("AB")]
    ),
    Case("one after the other", pair + pair, [.text("AB"), .text("AB")]),
    Case(
        "6.2 a character in three fragments",
        frame(1, [0xE2], final: false) + frame(0, [0x82], final: false) + frame(0, [0xAC]),
        [.text("€")]
    ),
    Case(
        "10.1 65,536 bytes in fragments of 1,300",
        (0..<51).flatMap { number in
            let rest = [UInt8](repeating: 0x2A, count: number == 50 ? 536 : 1_300)
            return frame(number == 0 ? 1 : 0, rest, final: number == 50)
        },
        [.text(String(repeating: "*", count: 65_536))]
    ),
    Case(
        "5.15 two messages and a stray",
        frame(1, [0x41], final: false) + frame(0, [0x42]) + frame(0, [0x43], final: false),
        [.text("AB"), .failure(.protocolError)]
    ),
    Case("5.18 text inside text", frame(1, [0x41], final: false) + frame(1, [0x42]), [.failure(.protocolError)]),
    Case(
        "5.19 pings between fragments",
        frame(1, [0x41], final: false) + frame(0, [0x42], final: false) + frame(9, [1]) + frame(0, [0x43], final: false)
            + frame(0, [0x44], final: false) + frame(9, [2]) + frame(0, [0x45]),
        [.ping([1]), .ping([2]), .text("ABCDE")]
    ),
    Case("6.1 empty fragments", frame(1, [], final: false) + frame(0, [], final: false) + frame(0, []), [.text("")]),
    Case(
        "6.1.3 one of three empty",
        frame(1, [], final: false) + frame(0, hello, final: false) + frame(0, []),
        [.text("Hello")]
    ),
    Case(
        "binary in many",
        frame(2, [0xFF], final: false) + frame(0, [0xFE], final: false) + frame(0, [0xFD]),
        [.binary([0xFF, 0xFE, 0xFD])]
    ),
]

/// Group 6: UTF-8; the names follow Markus Kuhn's test file.
private let goodText: [[UInt8]] = [
    Array("Hello-µ@ßöäüàá-UTF-8!!".utf8), Array("κόσμε".utf8), [0x00], [0xC2, 0x80], [0xE0, 0xA0, 0x80],
    [0xF0, 0x90, 0x80, 0x80], [0x7F], [0xDF, 0xBF], [0xEF, 0xBF, 0xBF], [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80],
    [0xEF, 0xBF, 0xBD], [0xF4, 0x8F, 0xBF, 0xBF], [0xEF, 0xBF, 0xBE], [0xF0, 0x9F, 0xBF, 0xBE],
    Array("🧅🧄".utf8),
    Array("\u{FFF9}\u{FFFA}\u{FFFB}\u{FFFC}\u{FFFD}".utf8),
]

/// 6.22: what no plane uses is still text.
private let noncharacters: [[UInt8]] = (UInt32(0)...16).flatMap { plane -> [[UInt8]] in
    let last: [UInt32] = [0xFFFE, 0xFFFF]
    return last.compactMap { Unicode.Scalar(plane << 16 | $0) }.map { Array(String($0).utf8) }
}

private let badText: [[UInt8]] = [
    [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5, 0xED, 0xA0, 0x80, 0x65],
    [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80], [0xF7, 0xBF, 0xBF, 0xBF],
    [0xF4, 0x90, 0x80, 0x80], [0x80], [0xBF], [0x80, 0xBF, 0x80], [0xC0, 0x20], [0xC1, 0x81], [0xC0, 0x80],
    [0xE0, 0x80, 0xAF], [0xE0, 0x9F, 0xBF], [0xF0, 0x80, 0x80, 0xAF], [0xF0, 0x8F, 0xBF, 0xBF], [0xFE], [0xFF],
    [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80], [0xC2], [0xE1, 0xBD],
    [0xF0, 0x9F, 0x92], [0xE1, 0xBD, 0x41],
    // 6.12, 6.13: continuations and beginnings alone.
    [0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF], [0xE0, 0x20], [0xF0, 0x20], [0xF8, 0x20], [0xFC, 0x20],
    // 6.14, 6.15: the last byte is missing, in one and in many.
    [0xE0, 0x80], [0xF0, 0x80, 0x80], [0xDF], [0xEF, 0xBF], [0xF7, 0xBF, 0xBF],
    [0xC0, 0xE0, 0x80, 0xF0, 0x80, 0x80],
    // 6.17 to 6.19: more bytes than needed, and the largest such.
    [0xF8, 0x80, 0x80, 0x80, 0xAF], [0xFC, 0x80, 0x80, 0x80, 0x80, 0xAF], [0xC1, 0xBF],
    [0xF8, 0x87, 0xBF, 0xBF, 0xBF],
    [0xFC, 0x83, 0xBF, 0xBF, 0xBF, 0xBF], [0xE0, 0x80, 0x80], [0xF0, 0x80, 0x80, 0x80],
    // 6.20, 6.21: halves of surrogate pairs, alone and together.
    [0xED, 0xAD, 0xBF], [0xED, 0xAE, 0x80], [0xED, 0xAF, 0xBF], [0xED, 0xB0, 0x80], [0xED, 0xBE, 0x80],
    [0xED, 0xAF, 0xBF, 0xED, 0xBF, 0xBF],
]

/// 6.13: each beginning of two bytes before a space.
private let lonely: [[UInt8]] = (UInt8(0xC0)...0xDF).map { [$0, 0x20] }

/// Group 7: closing.
private let closing: [Case] =
    [
        Case("7.1.1 text, then close", frame(1, hello) + close(1000), [.text("Hello"), .close(1000)]),
        Case("7.1.2 two closes", close(1000) + close(1000), [.close(1000)]),
        Case("7.1.3 ping after close", close(1000) + frame(9), [.close(1000)]),
        Case("7.1.4 text after close", close(1000) + frame(1, hello), [.close(1000)]),
        Case(
            "7.1.5 close inside a message",
            frame(1, hello, final: false) + close(1000) + frame(0, hello),
            [.close(1000)]
        ),
        Case(
            "7.1.6 a long message, close, ping",
            frame(1, [UInt8](repeating: 0x2A, count: 262_144)) + close(1000) + frame(9),
            [.text(String(repeating: "*", count: 262_144)), .close(1000)]
        ),
        Case("7.3.4 code and reason", close(1000, hello), [.close(1000)]),
        Case("7.3.1 empty", frame(8), [.close(nil)]),
        Case("7.3.2 one byte", frame(8, [3]), [.failure(.protocolError)]),
        Case("7.3.3 code alone", close(1000), [.close(1000)]),
        Case("7.3.5 longest reason", close(1000, Array(star[..<123])), [.close(1000)]),
        Case("7.3.6 too long", close(1000, Array(star[..<124])), [.failure(.protocolError)]),
        Case("7.5.1 reason no UTF-8", close(1000, [0xCE, 0xBA, 0xED, 0xA0, 0x80]), [.failure(.notText)]),
        Case("reason cut in a character", close(1000, [0xC2]), [.failure(.notText)]),
        Case("close in two", frame(8, [3, 0xE8], final: false), [.failure(.protocolError)]),
    ]
    + [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999].map {
        Case("7.7 code \($0)", close($0), [.close($0)])
    }
    + [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map {
        Case("7.9 code \($0)", close($0), [.failure(.protocolError)])
    }

@Suite struct WebSocketMachineTests {
    @Test("frames, fragments and closes are what RFC 6455 makes of them", arguments: framing + fragments + closing)
    fileprivate func table(_ wanted: Case) {
        #expect(run(wanted.bytes) == wanted.seen)
        if wanted.bytes.count < 1_000 { #expect(run(wanted.bytes, step: 1) == wanted.seen) }
        #expect(run(wanted.bytes, step: 997) == wanted.seen)
    }

    @Test("text of every kind of character comes through, however it is cut", arguments: goodText + noncharacters)
    func takesGoodText(_ text: [UInt8]) {
        let wanted = [Seen.text(String(decoding: text, as: UTF8.self))]
        #expect(run(frame(1, text)) == wanted)
        for cut in 0...text.count {
            let bytes = frame(1, Array(text[..<cut]), final: false) + frame(0, Array(text[cut...]))
            #expect(run(bytes) == wanted)
            #expect(run(bytes, step: 1) == wanted)
        }
    }

    @Test("text that is not UTF-8 ends the connection with 1007", arguments: badText + lonely)
    func refusesBadText(_ text: [UInt8]) {
        #expect(run(frame(1, text)) == [.failure(.notText)])
        let single = text.enumerated().flatMap { index, byte in
            frame(index == 0 ? 1 : 0, [byte], final: index == text.count - 1)
        }
        #expect(run(single) == [.failure(.notText)])
        #expect(run(frame(2, text)) == [.binary(text)])
    }

    @Test("bad text fails at its first bad byte, before the message ends")
    func failsFast() {
        #expect(run(frame(1, [0x41, 0xFF], final: false)) == [.failure(.notText)])
        let long = frame(1, [0x41, 0xF4, 0x90] + [UInt8](repeating: 0x80, count: 70_000))
        #expect(run(Array(long[..<20])) == [.failure(.notText)])
    }

    @Test("random bytes never trap and never pass as more than they are")
    func mutations() {
        var random = Seeded(state: 7)
        let seed = framing.prefix(12).flatMap(\.bytes).prefix(4_000)
        for _ in 0..<3_000 {
            var bytes = Array(seed.prefix(Int.random(in: 1...300, using: &random)))
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            #expect(run(bytes) == run(bytes, step: 1))
        }
    }

    @Test("a close reason is cut at a character's end to what fits")
    func closeReason() {
        let frame = WebSocketFrame.close(1000, String(repeating: "ä", count: 100))
        #expect(frame.readableBytes == 2 + 2 + 122)
    }
}

/// Repeatable randomness (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
