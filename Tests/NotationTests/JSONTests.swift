/// What JSON takes, refuses and writes.
import Testing

@testable import Notation

@Suite struct JSONTests {
    static let valid: [(String, Value)] = [
        ("null", .null), (" true ", true), ("false\n", false), ("0", 0), ("-0", 0), ("42", 42),
        ("-9223372036854775808", .int(.min)), ("9223372036854775807", .int(.max)),
        ("1.5", 1.5), ("-0.0", .double(-0.0)), ("1e3", 1000.0), ("1E+3", 1000.0), ("25e-1", 2.5),
        ("0.1", 0.1), ("123456789012345678901.5", 123456789012345678901.5), ("5e-324", .double(.leastNonzeroMagnitude)),
        ("1.7976931348623157e308", .double(.greatestFiniteMagnitude)), ("1e-400", 0.0),
        ("9007199254740993.0", 9_007_199_254_740_992.0), ("2.2250738585072014e-308", .double(2.2250738585072014e-308)),
        (#""""#, ""), (#""a\"\\\/\b\f\n\r\t""#, "a\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9\u20AC""#, "é€"),
        (#""\ud83e\uddc5""#, "🧅"), (#""🧅é""#, "🧅é"), (#""\u0000""#, "\0"), ("\"\u{7F}\"", "\u{7F}"),
        ("[]", []), ("{}", [:]), ("[ ]", []), ("{ }", [:]), ("[1,[2,{}],null]", [1, [2, [:]], nil]),
        ("\t{\"a\" : 1 ,\r\n\"b\":[true]}", ["a": 1, "b": [true]]), (#"{"a":1,"a":2}"#, ["a": 2]),
        (#"{"":0}"#, ["": 0]),
    ]

    @Test("A JSON text is read as the value it means", arguments: valid)
    func reads(text: String, value: Value) throws {
        #expect(try JSON.decode(text) == value)
        let again = try JSON.decode(JSON.encode(value))
        #expect(again == value)
    }

    static let invalid: [(String, NotationError.Code)] = [
        ("", .truncated), (" ", .truncated), ("nul", .truncated), ("nulL", .malformed), ("True", .malformed),
        ("01", .malformed), ("-", .truncated), ("-a", .malformed), ("+1", .malformed), (".5", .malformed),
        ("1.", .truncated), ("1.e1", .malformed), ("1e", .truncated), ("1e+", .truncated), ("0x1", .malformed),
        ("NaN", .malformed), ("Infinity", .malformed), ("-Infinity", .malformed), ("1 2", .malformed),
        ("9223372036854775808", .outOfRange), ("-9223372036854775809", .outOfRange),
        ("99999999999999999999999", .outOfRange), ("1e309", .outOfRange), ("-1e999999999999999999999", .outOfRange),
        ("[", .truncated), ("[1", .truncated), ("[1,", .truncated), ("[1,]", .malformed), ("[,1]", .malformed),
        ("[1 2]", .malformed), ("]", .malformed), ("[1}", .malformed), ("{", .truncated), ("{\"a\"", .truncated),
        ("{\"a\":", .truncated), ("{\"a\":1,}", .malformed), ("{a:1}", .malformed), ("{'a':1}", .malformed),
        ("{1:1}", .malformed), ("{\"a\" 1}", .malformed), ("{\"a\":1]", .malformed), ("//\n1", .malformed),
        ("\"", .truncated), ("\"a", .truncated), ("\"\\", .truncated), ("\"\\x\"", .malformed), ("\"\n\"", .malformed),
        ("\"\\n\n\"", .malformed), ("\"\\u12\"", .malformed), ("\"\\u12G4\"", .malformed), ("\"\\u12", .truncated),
        ("\"\\ud83e\"", .notText), ("\"\\uddc5\"", .notText), ("\"\\ud83e\\u0041\"", .notText),
        ("\"\\ud83e\\ud83e\"", .notText), ("\u{FEFF}1", .malformed), ("1\0", .malformed),
    ]

    @Test("What is no JSON text is refused by code", arguments: invalid)
    func refuses(text: String, code: NotationError.Code) {
        #expect(throws: NotationError.self) { try JSON.decode(text) }
        do throws(NotationError) { _ = try JSON.decode(text) } catch { #expect(error.code == code) }
    }

    @Test(
        "Bytes that are not UTF-8 are refused",
        arguments: [
            [0xFF], [0xC0, 0x80], [0xC3], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0x80],
        ] as [[UInt8]]
    )
    func refusesBadText(bytes: [UInt8]) {
        for prefix in [[0x22], [0x22, 0x5C, 0x6E]] as [[UInt8]] {
            do throws(NotationError) {
                _ = try JSON.decode(prefix + bytes + [0x22])
                Issue.record("taken")
            } catch { #expect(error.code == .notText) }
        }
    }

    @Test(
        "Lenient reading replaces half a surrogate pair",
        arguments: [
            (#""\ud83e""#, "\u{FFFD}"), (#""\uddc5x""#, "\u{FFFD}x"), (#""\ud83e\u0041""#, "\u{FFFD}A"),
            (#""\ud83e\ud83e\uddc5""#, "\u{FFFD}🧅"), (#""\ud83e\uddc5""#, "🧅"), (#""\u1f9c5""#, "\u{1F9C}5"),
        ]
    )
    func replaces(text: String, expected: String) throws {
        #expect(try JSON.decode(text, lenient: true) == .string(expected))
    }

    @Test("Nesting and the number of elements are limited")
    func limits() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try JSON.decode(nested(64))
        for text in [
            nested(65), String(repeating: "[", count: 1_000_000), String(repeating: "{\"a\":", count: 100_000),
        ] {
            do throws(NotationError) {
                _ = try JSON.decode(text)
                Issue.record("taken")
            } catch { #expect(error.code == .overLimit) }
        }
        _ = try JSON.decode("[1,[2]]", limits: NotationLimits(elements: 3))
        #expect(throws: NotationError.self) { try JSON.decode("[1,[2,3]]", limits: NotationLimits(elements: 3)) }
    }

    @Test(
        "A value is written as it always is",
        arguments: [
            (["b": 1, "a": [nil, true, "x\"\u{1}\n\u{2028}"]], #"{"a":[null,true,"x\"\u0001\n\#u{2028}"],"b":1}"#),
            (.double(.nan), "null"), (.double(.infinity), "null"), (1e21, "1e+21"), (0.1, "0.1"), (5.0, "5.0"),
            (.int(.min), "-9223372036854775808"), (.bytes([]), #""\u0000""#), (.bytes([0]), #""\u0000AA==""#),
            (.bytes([0xFF, 0xFE]), #""\u0000//4=""#), (.bytes([0x10, 0x20, 0x30, 0x40]), #""\u0000ECAwQA==""#),
        ] as [(Value, String)]
    )
    func writes(value: Value, text: String) {
        #expect(JSON.text(value) == text)
    }

    @Test("Items of one array are handed out and not kept")
    func handsOut() throws {
        func decode(_ text: String) throws -> (Value, [Value]) {
            var items: [Value] = []
            let value = try Array(text.utf8).withUnsafeBytes {
                try JSON.decode($0, itemsOf: "rows") { items.append($0) }
            }
            return (value, items)
        }
        let (value, items) = try decode(#"{"a":{"rows": [1,[2,{}],"x"],"b":[3]}}"#)
        #expect(value == ["a": ["rows": [], "b": [3]]])
        #expect(items == [1, [2, [:]], "x"])
        #expect(try decode(#"{"rows":[ ]}"#) == (["rows": []], []))
        #expect(try decode(#"{"rows":7}"#) == (["rows": 7], []))
        for text in [#"{"rows":[1"#, #"{"rows":[1,]}"#, #"{"rows":[1]]"#, #"{"rows":[1]} x"#, #"{"rows":"#] {
            #expect(throws: NotationError.self) { try decode(text) }
        }
        let deep = #"{"rows":"# + String(repeating: "[", count: 1000)
        #expect(throws: NotationError.self) { try decode(deep) }
    }

    @Test("Pretty text breaks lines")
    func pretty() {
        #expect(
            JSON.text(["b": [], "a": [1, ["c": [:]]]], pretty: true)
                == "{\n  \"a\": [\n    1,\n    {\n      \"c\": {}\n    }\n  ],\n  \"b\": []\n}"
        )
    }
}
