// Frames and their decoder, with bytes that are good, cut, too long and wrong.
import Foundation
import NIOCore
import Notation
import Testing
import Wire

@Suite struct FrameTests {
    /// A stream of all examples that may follow each other, and the frames it holds.
    static let stream: [UInt8] = Frame.preamble + Example.all.flatMap(\.bytes)
    static let frames: [Frame] = Example.all.map(\.frame)

    @Test(arguments: Example.all)
    func `A frame is encoded as documented`(_ example: Example) {
        var buffer = ByteBuffer()
        example.frame.encode(into: &buffer)
        #expect(Array(buffer.readableBytesView) == example.bytes)
    }

    @Test(arguments: Example.all)
    func `A documented frame decodes`(_ example: Example) throws {
        #expect(try decode(Frame.preamble + example.bytes) == [example.frame])
    }

    @Test func `The document holds the bytes of every example`() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Docs/Wire.md")
        let document = try String(contentsOf: path.standardizedFileURL, encoding: .utf8)
        let indented = document.split(separator: "\n").filter { $0.hasPrefix("    ") && !$0.contains("#") }
        let bytes = indented.joined(separator: " ").split(separator: " ").joined(separator: " ")
        for example in Example.all {
            let hex = example.hex.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(bytes.contains(hex), "\(example.name) stands differently in Docs/Wire.md.")
        }
    }

    @Test func `A stream decodes whole`() throws {
        #expect(try decode(Self.stream) == Self.frames)
    }

    @Test func `A stream decodes byte by byte`() throws {
        var decoder = FrameDecoder()
        var frames: [Frame] = []
        for byte in Self.stream {
            decoder.append(ByteBuffer(bytes: [byte]))
            while let frame = try decoder.next() { frames.append(frame) }
        }
        try decoder.finish()
        #expect(frames == Self.frames)
    }

    @Test func `A stream decodes in two parts, cut at each offset`() throws {
        for cut in 0...Self.stream.count {
            var decoder = FrameDecoder()
            var frames: [Frame] = []
            for part in [Self.stream[..<cut], Self.stream[cut...]] {
                decoder.append(ByteBuffer(bytes: part))
                while let frame = try decoder.next() { frames.append(frame) }
            }
            #expect(frames == Self.frames, "cut at \(cut)")
        }
    }

    @Test func `A stream that ends at any offset but between frames is an error`() throws {
        var boundaries: Set<Int> = []
        var offset = Frame.preamble.count
        for example in Example.all {
            offset += example.bytes.count
            boundaries.insert(offset)
        }
        let greeted = Frame.preamble.count + Example.all[0].bytes.count
        for cut in 0...Self.stream.count {
            var decoder = FrameDecoder()
            decoder.append(ByteBuffer(bytes: Self.stream[..<cut]))
            while try decoder.next() != nil {}
            let code: WireError.Code?
            do {
                try decoder.finish()
                code = nil
            } catch {
                code = error.code
            }
            let expected: WireError.Code? = boundaries.contains(cut) ? nil : cut < greeted ? .notGreeted : .truncated
            #expect(code == expected, "cut at \(cut)")
        }
    }

    @Test(arguments: [
        "bash: line 1: farseed-agent: command not found\n", "\u{1b}[31mWelcome", "farseed\n", "FARSEEDX", "\0",
        "SSH-2.0-",
    ])
    func `Anything else than the preamble is kept for the error`(_ text: String) {
        let error = failure([UInt8](text.utf8))
        #expect(error?.code == .notFarseed)
        #expect(error?.received == [UInt8](text.utf8))
        #expect(error?.goodbye == nil)
    }

    @Test func `Of a stream that is not Farseed's at most 1,024 bytes are kept`() {
        #expect(failure([UInt8](repeating: 0x41, count: 100_000))?.received.count == 1_024)
    }

    @Test func `After an error nothing more is taken`() throws {
        var decoder = FrameDecoder()
        decoder.append(ByteBuffer(string: "garbage"))
        #expect(throws: WireError.self) { try decoder.next() }
        decoder.append(ByteBuffer(bytes: Self.stream))
        #expect(throws: WireError.self) { try decoder.next() }
        #expect(throws: WireError.self) { try decoder.finish() }
    }

    @Test(arguments: [0, 4, 262_145, UInt32.max, 0x4654_5450])
    func `A length outside the bounds is refused before the frame is there`(_ length: UInt32) {
        var buffer = ByteBuffer(bytes: Frame.preamble)
        buffer.writeInteger(length)
        #expect(failure(Array(buffer.readableBytesView))?.code == .badLength)
    }

    @Test func `The longest frame decodes and one byte more does not`() throws {
        for (extra, isLegal) in [(0, true), (1, false)] {
            var buffer = ByteBuffer(bytes: Frame.preamble)
            let count = Frame.maximumPayload - 1 + extra
            buffer.writeInteger(UInt32(5 + 1 + count))
            buffer.writeInteger(Frame.Kind.data.rawValue)
            buffer.writeInteger(UInt32(1))
            buffer.writeInteger(UInt8(2))
            buffer.writeRepeatingByte(7, count: count)
            if isLegal {
                let data = ByteBuffer(repeating: 7, count: count)
                #expect(try decode(Array(buffer.readableBytesView)) == [Frame(.data(lane: 2, data), call: 1)])
            } else {
                #expect(failure(Array(buffer.readableBytesView))?.code == .badLength)
            }
        }
    }

    struct Wrong: Sendable, CustomTestStringConvertible {
        var name: String
        var type: UInt8
        var call: UInt32 = 1
        var payload: [UInt8]
        var code = WireError.Code.malformed

        var testDescription: String { name }
    }

    @Test(arguments: [
        Wrong(name: "type 0", type: 0, payload: [], code: .unknownType),
        Wrong(name: "type 13", type: 13, payload: [], code: .unknownType),
        Wrong(name: "type 255", type: 255, payload: [], code: .unknownType),
        Wrong(name: "hello on a call", type: 1, payload: [0xA0], code: .misplaced),
        Wrong(name: "ping on a call", type: 10, payload: [UInt8](repeating: 0, count: 8), code: .misplaced),
        Wrong(name: "event on no call", type: 5, call: 0, payload: [0xF6], code: .misplaced),
        Wrong(name: "cancel on no call", type: 9, call: 0, payload: [], code: .misplaced),
        Wrong(name: "hello without versions", type: 1, call: 0, payload: [0xA0]),
        Wrong(name: "hello that is no CBOR", type: 1, call: 0, payload: [0xFF]),
        Wrong(name: "empty hello", type: 1, call: 0, payload: []),
        Wrong(name: "call without procedure", type: 2, payload: [0xA0]),
        Wrong(name: "call that is no map", type: 2, payload: [0x80]),
        Wrong(name: "call with a number as procedure", type: 2, payload: CBOR.encode(["procedure": 1])),
        Wrong(name: "empty reply", type: 3, payload: []),
        Wrong(name: "two replies", type: 3, payload: [0xF6, 0xF6]),
        Wrong(name: "failure without message", type: 4, payload: CBOR.encode(["code": "internal"])),
        Wrong(name: "event cut short", type: 5, payload: [0x63, 0x61]),
        Wrong(
            name: "event that claims 2^62 elements",
            type: 5,
            payload: [0x9B, 0x40] + [UInt8](repeating: 0, count: 7)
        ),
        Wrong(name: "event nested 10,000 deep", type: 5, payload: [UInt8](repeating: 0x81, count: 10_000) + [0xF6]),
        Wrong(name: "data without lane", type: 6, payload: []),
        Wrong(name: "end without lane", type: 7, payload: []),
        Wrong(name: "end with two lanes", type: 7, payload: [0, 1]),
        Wrong(name: "credit of 3 bytes", type: 8, payload: [0, 0, 1]),
        Wrong(name: "credit of 5 bytes", type: 8, payload: [0, 0, 0, 0, 1]),
        Wrong(name: "cancel with payload", type: 9, payload: [0]),
        Wrong(name: "ping of 7 bytes", type: 10, call: 0, payload: [UInt8](repeating: 0, count: 7)),
        Wrong(name: "pong of 9 bytes", type: 11, call: 0, payload: [UInt8](repeating: 0, count: 9)),
        Wrong(name: "goodbye without code", type: 12, call: 0, payload: CBOR.encode(["message": "bye"])),
    ])
    func `A frame that says nothing legal is an error`(_ wrong: Wrong) {
        var buffer = ByteBuffer(bytes: Frame.preamble)
        buffer.writeInteger(UInt32(5 + wrong.payload.count))
        buffer.writeInteger(wrong.type)
        buffer.writeInteger(wrong.call)
        buffer.writeBytes(wrong.payload)
        #expect(failure(Array(buffer.readableBytesView))?.code == wrong.code)
    }

    @Test func `Mutated streams end in frames or an error, never in a trap`() {
        var random = SeededGenerator(seed: 0x5EED)
        var errors = 0
        for _ in 0..<20_000 {
            var bytes = Self.stream
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let offset = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[offset] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: offset)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: offset)
                }
            }
            if failure(bytes) != nil { errors += 1 }
        }
        #expect(errors > 10_000)
    }

    @Test func `Small data do not keep a whole read alive`() throws {
        var buffer = ByteBuffer(bytes: Frame.preamble)
        Frame(.data(lane: 0, ByteBuffer(string: "x")), call: 1).encode(into: &buffer)
        Frame(.data(lane: 0, ByteBuffer(repeating: 0, count: 60_000)), call: 1).encode(into: &buffer)
        guard case .data(_, let bytes) = try decode(Array(buffer.readableBytesView)).first?.body else {
            Issue.record("The first frame is no data.")
            return
        }
        #expect(bytes.storageCapacity < 64)
    }

    private func decode(_ bytes: [UInt8]) throws(WireError) -> [Frame] {
        var decoder = FrameDecoder()
        decoder.append(ByteBuffer(bytes: bytes))
        var frames: [Frame] = []
        while let frame = try decoder.next() { frames.append(frame) }
        try decoder.finish()
        return frames
    }

    private func failure(_ bytes: [UInt8]) -> WireError? {
        do {
            _ = try decode(bytes)
            return nil
        } catch {
            return error
        }
    }
}

/// SplitMix64, so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
