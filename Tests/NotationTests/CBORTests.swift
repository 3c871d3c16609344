/// CBOR by the table of RFC 8949, appendix A, and what it must refuse.
import Testing

@testable import Notation

@Suite struct CBORTests {
    static let appendix: [(String, Value)] = [
        ("00", 0), ("01", 1), ("0a", 10), ("17", 23), ("1818", 24), ("1819", 25), ("1864", 100), ("1903e8", 1000),
        ("1a000f4240", 1_000_000), ("1b000000e8d4a51000", 1_000_000_000_000), ("20", -1), ("29", -10),
        ("3863", -100), ("3903e7", -1000), ("f90000", 0.0), ("f98000", .double(-0.0)), ("f93c00", 1.0),
        ("fb3ff199999999999a", 1.1), ("f93e00", 1.5), ("f97bff", 65504.0), ("fa47c35000", 100000.0),
        ("fa7f7fffff", 3.4028234663852886e+38), ("fb7e37e43c8800759c", 1.0e+300), ("f90001", 5.960464477539063e-8),
        ("f90400", 0.00006103515625), ("f9c400", -4.0), ("fbc010666666666666", -4.1), ("f97c00", .double(.infinity)),
        ("f9fc00", .double(-.infinity)), ("fa7f800000", .double(.infinity)), ("fb7ff0000000000000", .double(.infinity)),
        ("f4", false), ("f5", true), ("f6", nil), ("f7", nil), ("c11a514b67b0", 1_363_896_240),
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"),
        ("c1fb41d452d9ec200000", 1363896240.5),
        ("d74401020304", .bytes([1, 2, 3, 4])), ("d818456449455446", .bytes([0x64, 0x49, 0x45, 0x54, 0x46])),
        ("40", .bytes([])), ("4401020304", .bytes([1, 2, 3, 4])), ("60", ""), ("6161", "a"), ("6449455446", "IETF"),
        ("62225c", "\"\\"), ("62c3bc", "ü"), ("63e6b0b4", "水"), ("64f0908591", "𐅑"), ("80", []),
        ("83010203", [1, 2, 3]), ("8301820203820405", [1, [2, 3], [4, 5]]), ("a0", [:]),
        ("a26161016162820203", ["a": 1, "b": [2, 3]]), ("826161a161626163", ["a", ["b": "c"]]),
        ("a56161614161626142616361436164614461656145", ["a": "A", "b": "B", "c": "C", "d": "D", "e": "E"]),
        ("5f42010243030405ff", .bytes([1, 2, 3, 4, 5])), ("7f657374726561646d696e67ff", "streaming"), ("9fff", []),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]), ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", ["a": 1, "b": [2, 3]]), ("826161bf61626163ff", ["a", ["b": "c"]]),
        ("bf6346756ef563416d7421ff", ["Fun": true, "Amt": -2]), ("3b7fffffffffffffff", .int(.min)),
    ]

    @Test("The examples of RFC 8949 are read, and written so that they read the same", arguments: appendix)
    func reads(hex: String, value: Value) throws {
        #expect(try CBOR.decode(bytes(hex)) == value)
        #expect(try CBOR.decode(CBOR.encode(value)) == value)
    }

    @Test("Not a number is read from every width", arguments: ["f97e00", "fa7fc00000", "fb7ff8000000000000"])
    func readsNaN(hex: String) throws {
        #expect(try CBOR.decode(bytes(hex)).double?.isNaN == true)
    }

    static let invalid: [(String, NotationError.Code)] = [
        ("", .truncated), ("18", .truncated), ("19ff", .truncated), ("1b00000000000000", .truncated),
        ("1bffffffffffffffff", .outOfRange), ("3b8000000000000000", .outOfRange),
        ("c249010000000000000000", .outOfRange),
        ("1c", .malformed), ("1f", .malformed), ("3f", .malformed), ("5d", .malformed), ("ff", .malformed),
        ("f818", .malformed), ("f8ff", .unsupported), ("f0", .unsupported), ("fc", .malformed), ("0000", .malformed),
        ("61ff", .notText), ("7f61c361a9ff", .notText), ("6261", .truncated), ("5f6161ff", .malformed),
        ("5f5f4101ffff", .malformed), ("7f", .truncated), ("9f", .truncated), ("bf6161ff", .malformed),
        ("a10102", .unsupported), ("a1f602", .unsupported), ("82", .truncated), ("8201", .truncated),
        ("9b7fffffffffffffff", .truncated), ("bb7fffffffffffffff", .truncated), ("5b7fffffffffffffff", .truncated),
        ("9bffffffffffffffff00", .truncated), ("c6", .truncated),
    ]

    @Test("What is not CBOR, or not ours, is refused by code", arguments: invalid)
    func refuses(hex: String, code: NotationError.Code) {
        do throws(NotationError) {
            let value = try CBOR.decode(bytes(hex))
            Issue.record("taken as \(value)")
        } catch { #expect(error.code == code) }
    }

    @Test("Depth bombs and tag chains end at once")
    func bombs() throws {
        for head in [0x81, 0x9F] as [UInt8] {
            do throws(NotationError) {
                _ = try CBOR.decode([UInt8](repeating: head, count: 1_000_000))
                Issue.record("taken")
            } catch { #expect(error.code == .overLimit) }
        }
        #expect(try CBOR.decode([UInt8](repeating: 0xC6, count: 1_000_000) + [0x01]) == 1)
        #expect(throws: NotationError.self) {
            try CBOR.decode(bytes("9f01020304ff"), limits: NotationLimits(elements: 3))
        }
        #expect(throws: NotationError.self) {
            try CBOR.decode(bytes("8401020304"), limits: NotationLimits(elements: 3))
        }
    }

    @Test(
        "Written is the shortest form, keys in order",
        arguments: [
            (["b": 1, "a": -25], "a261613818616201"), (1.5, "fa3fc00000"), (1.1, "fb3ff199999999999a"),
            (.bytes([1]), "4101"), (65536, "1a00010000"), (.int(.max), "1b7fffffffffffffff"),
        ] as [(Value, String)]
    )
    func writes(value: Value, hex: String) {
        #expect(CBOR.encode(value) == bytes(hex))
    }
}

/// The bytes of a hexadecimal text.
func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.map { UInt8($0.hexDigitValue!) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
