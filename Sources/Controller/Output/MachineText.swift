/// JSON and YAML for programs, in which nothing acts on the terminal of a person who looks at them.
import Notation
import Yams

enum MachineText {
    /// One line of JSON; control and direction characters are written as `\u` escapes, so nothing is lost.
    static func json(_ value: Value, pretty: Bool = false) -> String { escaped(JSON.text(value, pretty: pretty)) }

    /// YAML 1.1 with every text in double quotes, so that `no` stays text.
    static func yaml(_ value: Value) throws -> String {
        escaped(try Yams.serialize(node: node(value), width: -1, allowUnicode: true))
    }

    private static func node(_ value: Value) -> Node {
        switch value {
        case .null: plain("null", .null)
        case .bool(let flag): plain(flag ? "true" : "false", .bool)
        case .int(let number): plain(String(number), .int)
        case .double(let number):
            plain(number.isNaN ? ".nan" : number.isInfinite ? (number < 0 ? "-.inf" : ".inf") : decimal(number), .float)
        case .string(let text): .scalar(Node.Scalar(text, Tag(.str), .doubleQuoted))
        case .bytes(let bytes): .scalar(Node.Scalar(base64(bytes), Tag(.binary), .plain))
        case .array(let values): .sequence(Node.Sequence(values.map(node), Tag(.seq), values.isEmpty ? .flow : .block))
        case .map(let map):
            .mapping(
                Node.Mapping(
                    map.sorted { $0.key < $1.key }.map { key, value in
                        (Node.scalar(Node.Scalar(key, Tag(.str), isWord(key) ? .plain : .doubleQuoted)), node(value))
                    },
                    Tag(.map),
                    map.isEmpty ? .flow : .block
                )
            )
        }
    }

    /// With a point, without which YAML 1.1 takes `5e-05` for text.
    private static func decimal(_ number: Double) -> String {
        let text = "\(number)"
        return text.contains(".") ? text : text.replacing("e", with: ".0e", maxReplacements: 1)
    }

    private static func plain(_ text: String, _ tag: Tag.Name) -> Node { .scalar(Node.Scalar(text, Tag(tag), .plain)) }

    /// True for keys that YAML cannot take for anything but text.
    private static func isWord(_ key: String) -> Bool {
        guard key.count > 3, key != "true", key != "null", key != "false" else { return false }
        return key.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == UInt8(ascii: "_") }
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let encoded = JSON.text(.bytes(bytes))
        // JSON's notation of bytes is "\u0000" and the base64 within quotes.
        return String(encoded.dropFirst(7).dropLast())
    }

    /// Such characters stand only within quotes, where both notations know `\u`.
    private static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { !$0.isASCII && isTreacherous($0) || $0.value == 0x7F }) else {
            return text
        }
        var safe = ""
        for scalar in text.unicodeScalars {
            if scalar.value < 0x7F || scalar.value > 0xFFFF || !isTreacherous(scalar) {
                safe.unicodeScalars.append(scalar)
            } else {
                let hex = String(scalar.value, radix: 16)
                safe += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            }
        }
        return safe
    }
}
