/// MessagePack by a table of every head byte's kind, and what it must refuse.
import Testing

@testable import Notation

@Suite struct MessagePackTests {
    /// What we read and, where `written`, also write byte for byte.
    static let table: [(String, Value, written: Bool)] = [
        ("c0", nil, true), ("c2", false, true), ("c3", true, true), ("00", 0, true), ("7f", 127, true),
        ("ff", -1, true), ("e0", -32, true), ("cc80", 128, true), ("ccff", 255, true), ("cd0100", 256, true),
        ("cdffff", 65535, true), ("ce00010000", 65536, true), ("ceffffffff", 4_294_967_295, true),
        ("cf0000000100000000", 4_294_967_296, true), ("cf7fffffffffffffff", .int(.max), true), ("d0df", -33, true),
        ("d080", -128, true), ("d1ff7f", -129, true), ("d18000", -32768, true), ("d2ffff7fff", -32769, true),
        ("d280000000", -2_147_483_648, true), ("d3ffffffff7fffffff", -2_147_483_649, true),
        ("d38000000000000000", .int(.min), true), ("cc01", 1, false), ("d30000000000000001", 1, false),
        ("ca3fc00000", 1.5, false), ("cb3ff8000000000000", 1.5, true), ("cb7ff0000000000000", .double(.infinity), true),
        ("a0", "", true), ("a161", "a", true), ("a2c3bc", "ü", true), ("d90161", "a", false), ("da000161", "a", false),
        ("db0000000161", "a", false), ("c400", .bytes([]), true), ("c40102", .bytes([2]), true),
        ("c5000102", .bytes([2]), false), ("c60000000102", .bytes([2]), false), ("90", [], true),
        ("93010203", [1, 2, 3], true), ("dc000101", [1], false), ("dd0000000101", [1], false), ("80", [:], true),
        ("82a16101a16290", ["a": 1, "b": []], true), ("de0001a16101", ["a": 1], false),
        ("df00000001a16101", ["a": 1], false), ("81d9016101", ["a": 1], false),
    ]

    @Test("Every form is read, the shortest is written", arguments: table)
    func reads(hex: String, value: Value, written: Bool) throws {
        #expect(try MessagePack.decode(bytes(hex)) == value)
        if written {
            #expect(MessagePack.encode(value) == bytes(hex))
        }
    }

    static let invalid: [(String, NotationError.Code)] = [
        ("", .truncated), ("c1", .malformed), ("0000", .malformed), ("cfffffffffffffffff", .outOfRange),
        ("cf8000000000000000", .outOfRange), ("d400ff", .unsupported), ("c70000", .unsupported),
        ("d6ff00000000", .unsupported), ("a1", .truncated), ("a1ff", .notText), ("dbffffffff61", .truncated),
        ("c6ffffffff00", .truncated), ("ddffffffff00", .truncated), ("dfffffffff00", .truncated), ("91", .truncated),
        ("810101", .unsupported), ("81c001", .unsupported), ("81c4016101", .unsupported), ("81a161", .truncated),
        ("cb00", .truncated), ("d9", .truncated),
    ]

    @Test("What is not MessagePack, or not ours, is refused by code", arguments: invalid)
    func refuses(hex: String, code: NotationError.Code) {
        do throws(NotationError) {
            let value = try MessagePack.decode(bytes(hex))
            Issue.record("taken as \(value)")
        } catch { #expect(error.code == code) }
    }

    @Test("Long strings, lists and maps take the right head", arguments: [15, 16, 31, 32, 255, 256, 65_535, 65_536])
    func lengths(count: Int) throws {
        let list = Value.array(Array(repeating: 7, count: count))
        let map = Value.map(Dictionary(uniqueKeysWithValues: (0..<count).map { ("\($0)", Value.null) }))
        let values: [Value] = [
            list, map, .string(String(repeating: "x", count: count)), .bytes(Array(repeating: 9, count: count)),
        ]
        for value in values {
            #expect(try MessagePack.decode(MessagePack.encode(value)) == value)
            #expect(try CBOR.decode(CBOR.encode(value)) == value)
        }
    }

    @Test("Depth bombs end at once")
    func bombs() {
        do throws(NotationError) {
            _ = try MessagePack.decode([UInt8](repeating: 0x91, count: 1_000_000))
            Issue.record("taken")
        } catch { #expect(error.code == .overLimit) }
    }
}
