/// Writes values as JSON, keys in ascending order, with no white space unless a person reads it.
enum JSONWriter {
    private static let digits = Array("0123456789abcdef".utf8)
    private static let base64 = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func write(_ value: Value, into bytes: inout [UInt8]) {
        switch value {
        case .array(let items):
            bytes.append(UInt8(ascii: "["))
            var first = true
            for item in items {
                if !first { bytes.append(UInt8(ascii: ",")) }
                first = false
                write(item, into: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .map(let entries):
            bytes.append(UInt8(ascii: "{"))
            var first = true
            for (key, item) in entries.sorted(by: { $0.key < $1.key }) {
                if !first { bytes.append(UInt8(ascii: ",")) }
                first = false
                write(string: key, into: &bytes)
                bytes.append(UInt8(ascii: ":"))
                write(item, into: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        default: write(scalar: value, into: &bytes)
        }
    }

    static func writePretty(_ value: Value, indent: Int, into bytes: inout [UInt8]) {
        switch value {
        case .array(let items) where !items.isEmpty:
            bytes.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                newLine(first: index == 0, indent: indent + 1, into: &bytes)
                writePretty(item, indent: indent + 1, into: &bytes)
            }
            newLine(first: true, indent: indent, into: &bytes)
            bytes.append(UInt8(ascii: "]"))
        case .map(let entries) where !entries.isEmpty:
            bytes.append(UInt8(ascii: "{"))
            for (index, entry) in entries.sorted(by: { $0.key < $1.key }).enumerated() {
                newLine(first: index == 0, indent: indent + 1, into: &bytes)
                write(string: entry.key, into: &bytes)
                bytes.append(contentsOf: [UInt8(ascii: ":"), UInt8(ascii: " ")])
                writePretty(entry.value, indent: indent + 1, into: &bytes)
            }
            newLine(first: true, indent: indent, into: &bytes)
            bytes.append(UInt8(ascii: "}"))
        default: write(value, into: &bytes)
        }
    }

    private static func newLine(first: Bool, indent: Int, into bytes: inout [UInt8]) {
        if !first { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\n"))
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent * 2))
    }

    private static func write(scalar value: Value, into bytes: inout [UInt8]) {
        switch value {
        case .bool(true): bytes.append(contentsOf: "true".utf8)
        case .bool(false): bytes.append(contentsOf: "false".utf8)
        case .int(let number): write(integer: number, into: &bytes)
        case .double(let number) where number.isFinite: bytes.append(contentsOf: number.description.utf8)
        case .string(let text): write(string: text, into: &bytes)
        case .bytes(let data): write(data: data, into: &bytes)
        case .null, .double, .array, .map: bytes.append(contentsOf: "null".utf8)
        }
    }

    private static func write(integer: Int64, into bytes: inout [UInt8]) {
        var rest = integer.magnitude
        if integer < 0 { bytes.append(UInt8(ascii: "-")) }
        let start = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    private static func write(string: String, into bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        var string = string
        string.withUTF8 { text in
            var runStart = 0
            for index in text.indices {
                let byte = text[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: text[runStart..<index])
                runStart = index + 1
                escape(byte, into: &bytes)
            }
            bytes.append(contentsOf: text[runStart...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func escape(_ byte: UInt8, into bytes: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
        case 0x08: bytes.append(contentsOf: "\\b".utf8)
        case 0x09: bytes.append(contentsOf: "\\t".utf8)
        case 0x0A: bytes.append(contentsOf: "\\n".utf8)
        case 0x0C: bytes.append(contentsOf: "\\f".utf8)
        case 0x0D: bytes.append(contentsOf: "\\r".utf8)
        default:
            bytes.append(contentsOf: "\\u00".utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }

    /// NUL and base64 in quotes: how WAMP carries bytes in JSON.
    private static func write(data: [UInt8], into bytes: inout [UInt8]) {
        bytes.append(contentsOf: "\"\\u0000".utf8)
        bytes.reserveCapacity(bytes.count + (data.count + 2) / 3 * 4 + 1)
        var index = 0
        while index < data.count {
            let group = data[index..<min(index + 3, data.count)]
            var bits: UInt32 = 0
            for byte in group { bits = bits << 8 | UInt32(byte) }
            bits <<= UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                let digit = Int(bits >> UInt32(18 - 6 * place) & 63)
                bytes.append(place <= group.count ? base64[digit] : UInt8(ascii: "="))
            }
            index += 3
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
