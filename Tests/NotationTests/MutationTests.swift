/// Every decoder meets cut, lengthened and randomly changed bytes and never does more than throw.
import Testing

@testable import Notation

@Suite struct MutationTests {
    enum Codec: String, CaseIterable {
        case json, cbor, messagePack

        func encode(_ value: Value) -> [UInt8] {
            switch self {
            case .json: JSON.encode(value)
            case .cbor: CBOR.encode(value)
            case .messagePack: MessagePack.encode(value)
            }
        }

        func decode(_ bytes: [UInt8]) throws(NotationError) -> Value {
            switch self {
            case .json: try JSON.decode(bytes)
            case .cbor: try CBOR.decode(bytes)
            case .messagePack: try MessagePack.decode(bytes)
            }
        }
    }

    /// A fixed sequence of numbers (SplitMix64), so that a failure comes again.
    struct Sequence: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            return mixed ^ mixed >> 31
        }
    }

    static func random(_ generator: inout Sequence, depth: Int) -> Value {
        switch Int.random(in: 0..<(depth > 3 ? 6 : 8), using: &generator) {
        case 0: .null
        case 1: .bool(.random(using: &generator))
        case 2: .int(Int64(truncatingIfNeeded: generator.next() >> UInt64.random(in: 0..<64, using: &generator)))
        case 3: .double(Double.random(in: -1e9...1e9, using: &generator))
        case 4: .double(Double(bitPattern: generator.next() & 0x7FDF_FFFF_FFFF_FFFF))
        case 5:
            .string(
                String(
                    (0..<Int.random(in: 0..<20, using: &generator)).map { _ in
                        "aé🧅\"\\\n\u{1}z".randomElement(using: &generator)!
                    }
                )
            )
        case 6: .array((0..<Int.random(in: 0..<6, using: &generator)).map { _ in random(&generator, depth: depth + 1) })
        default:
            .map(
                Dictionary(
                    (0..<Int.random(in: 0..<6, using: &generator)).map { _ in
                        ("k\(Int.random(in: 0..<50, using: &generator))", random(&generator, depth: depth + 1))
                    }
                ) { $1 }
            )
        }
    }

    @Test("A random value survives its notation", arguments: Codec.allCases)
    func survives(codec: Codec) throws {
        var generator = Sequence(state: 1)
        for _ in 0..<2_000 {
            let value = Self.random(&generator, depth: 0)
            #expect(try codec.decode(codec.encode(value)) == value)
        }
    }

    @Test("A value cut anywhere or followed by a byte is refused", arguments: Codec.allCases)
    func cut(codec: Codec) {
        let value: Value = ["a": [1, -500, 1.25, "text é", nil, true], "bb": ["c": ["d": .int(1 << 40)]]]
        let whole = codec.encode(value)
        for length in 0..<whole.count {
            do throws(NotationError) {
                _ = try codec.decode(Array(whole[..<length]))
                Issue.record("taken at \(length)")
            } catch { #expect(error.code == .truncated) }
        }
        #expect(throws: NotationError.self) { try codec.decode(whole + [0x30]) }
    }

    @Test("Changed bytes never do more than throw", arguments: Codec.allCases)
    func mutated(codec: Codec) {
        var generator = Sequence(state: 2)
        for _ in 0..<20_000 {
            var bytes = codec.encode(Self.random(&generator, depth: 0))
            for _ in 0..<Int.random(in: 1..<4, using: &generator) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
                }
            }
            // What is still taken must be a sound value: it can be written and read again.
            guard let value = try? codec.decode(bytes) else { continue }
            #expect((try? codec.decode(codec.encode(value))) != nil)
        }
    }
}
