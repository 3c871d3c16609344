/// The Autobahn test-suite's groups 9 (limits and performance) and 10 (automatic fragmentation), on the pure machine
/// with the limit that a welcomed websocket has. What the suite sends above that limit must end with 1009.
import NIOCore
import Testing

@testable import Web

@Suite struct WebSocketLimitTests {
    private static let limit = WebConfiguration.Limits().messageBytes

    /// A message and where it is cut.
    struct Sent: Sendable, CustomTestStringConvertible {
        var name: String
        var isText = true
        var size: Int
        /// Bytes of a frame, and bytes that arrive at a time.
        var fragment = Int.max
        var chop = Int.max

        var testDescription: String { "\(name) \(isText ? "text" : "binary") of \(size)" }
    }

    /// Text of characters of one to four bytes, or bytes that are no text, exactly so many.
    private static func payload(_ size: Int, isText: Bool) -> [UInt8] {
        guard isText else { return (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) } }
        let period = Array("Aµ€🧅".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        while bytes.count + period.count <= size { bytes += period }
        return bytes + [UInt8](repeating: 0x2A, count: size - bytes.count)
    }

    /// The bytes on the wire; an unmasked payload is one that is masked with zeros.
    private static func wire(_ message: [UInt8], isText: Bool, fragment: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var start = 0
        repeat {
            let end = start + min(fragment, message.count - start)
            let opcode: UInt8 = start > 0 ? 0 : isText ? 1 : 2
            bytes += head(opcode, end - start, isFinal: end == message.count) + message[start..<end]
            start = end
        } while start < message.count
        return bytes
    }

    private static func head(_ opcode: UInt8, _ size: Int, isFinal: Bool) -> [UInt8] {
        let first = opcode | (isFinal ? 0x80 : 0)
        let length: [UInt8] =
            switch size {
            case ...125: [0x80 | UInt8(size)]
            case ...0xFFFF: [0x80 | 126, UInt8(size >> 8), UInt8(size & 0xFF)]
            default: [0x80 | 127] + (0..<8).map { UInt8(size >> (56 - 8 * $0) & 0xFF) }
            }
        return [first] + length + [0, 0, 0, 0]
    }

    private static func run(_ bytes: [UInt8], chop: Int) -> [WebSocketMachine.Output] {
        var machine = WebSocketMachine(maximumMessage: limit)
        var outputs: [WebSocketMachine.Output] = []
        for piece in pieces(of: bytes, chop) {
            machine.received(piece)
            while let output = machine.next() { outputs.append(output) }
        }
        return outputs
    }

    private static let whole: [Sent] = {
        var all: [Sent] = []
        for isText in [true, false] {
            for size in [1 << 16, 1 << 18, limit] {
                all.append(Sent(name: isText ? "9.1" : "9.2", isText: isText, size: size))
            }
            for fragment in [64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1 << 20] {
                all.append(Sent(name: isText ? "9.3" : "9.4", isText: isText, size: limit, fragment: fragment))
            }
            for chop in [64, 128, 256, 512, 1_024, 2_048] {
                all.append(Sent(name: isText ? "9.5" : "9.6", isText: isText, size: limit, chop: chop))
            }
        }
        all.append(Sent(name: "10.1.1", size: 65_536, fragment: 1_300))
        return all
    }()

    @Test("messages up to the limit arrive whole, however they are cut", arguments: whole)
    func arrives(_ sent: Sent) throws {
        let message = Self.payload(sent.size, isText: sent.isText)
        let outputs = Self.run(
            Self.wire(message, isText: sent.isText, fragment: sent.fragment),
            chop: sent.chop
        )
        guard outputs.count == 1, case .message(let opcode, let bytes) = outputs[0] else {
            Issue.record("\(outputs.count) outputs")
            return
        }
        #expect(opcode == (sent.isText ? .text : .binary))
        #expect(bytes == ByteBuffer(bytes: message))
    }

    @Test(
        "messages above the limit end with 1009 when that is announced, before their bytes come",
        arguments: [1 << 21, 1 << 22, 1 << 23, 1 << 24, limit + 1],
        [1, 2] as [UInt8]
    )
    func refusesLarge(_ size: Int, _ opcode: UInt8) {
        Self.expectTooBig(Self.head(opcode, size, isFinal: true))
    }

    @Test("fragments end with 1009 where they pass the limit together", arguments: [64, 1_024, 65_536, 262_144])
    func refusesFragments(_ fragment: Int) {
        var bytes: [UInt8] = []
        for number in 0..<Self.limit / fragment {
            bytes += Self.head(number == 0 ? 2 : 0, fragment, isFinal: false) + [UInt8](repeating: 1, count: fragment)
        }
        #expect(Self.run(bytes, chop: .max).isEmpty)
        Self.expectTooBig(bytes + Self.head(0, 1, isFinal: true))
    }

    @Test("9.7, 9.8: a thousand messages of each size", arguments: [0, 16, 64, 256, 1_024], [true, false])
    func thousand(_ size: Int, _ isText: Bool) {
        let message = Self.payload(size, isText: isText)
        let one = Self.wire(message, isText: isText, fragment: .max)
        let outputs = Self.run(Array(repeatElement(one, count: 1_000).joined()), chop: 65_536)
        #expect(outputs.count == 1_000)
        let wanted = ByteBuffer(bytes: message)
        let same = outputs.count { if case .message(_, let bytes) = $0 { bytes == wanted } else { false } }
        #expect(same == 1_000)
    }

    private static func expectTooBig(_ bytes: [UInt8]) {
        let outputs = run(bytes, chop: .max)
        guard outputs.count == 1, case .failure(.messageTooBig, _) = outputs[0] else {
            Issue.record("\(outputs)")
            return
        }
    }
}
