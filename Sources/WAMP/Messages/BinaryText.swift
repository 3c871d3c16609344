/// WAMP's way to carry bytes in JSON: a string of NUL and base64 (basic profile, "Binary Data in JSON").
import Notation

enum BinaryText {
    /// The escape that such a string must begin with; a raw NUL is no JSON.
    private static let mark = Array("\\u0000".utf8)

    /// A quick look, so that ordinary messages are not walked through.
    static func mayStand(in bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= mark.count else { return false }
        var index = 0
        while index <= bytes.count - mark.count {
            if bytes[index] == mark[0], bytes[index..<index + mark.count].elementsEqual(mark) { return true }
            index += 1
        }
        return false
    }

    /// Replaces such strings by bytes, everywhere but in keys.
    static func unfold(_ value: Value) -> Value {
        switch value {
        case .string(let text): bytes(text).map(Value.bytes) ?? value
        case .array(let items): .array(items.map(unfold))
        case .map(let entries): .map(entries.mapValues(unfold))
        default: value
        }
    }

    /// The bytes of such a string; nil where it is an ordinary one.
    private static func bytes(_ text: String) -> [UInt8]? {
        guard text.utf8.first == 0 else { return nil }
        return Base64.decode(text.utf8.dropFirst())
    }
}

/// Base64 with its standard alphabet and padding (RFC 4648, section 4).
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                let digit = alphabet[Int(bits >> UInt32(18 - 6 * place) & 63)]
                text.append(place <= group.count ? digit : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var digits = 0
        var padding = 0
        for byte in text {
            if byte == UInt8(ascii: "=") {
                padding += 1
            } else {
                guard padding == 0, let digit = value(byte) else { return nil }
                bits = bits << 6 | digit
                digits += 1
                if digits % 4 != 1 { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32((4 - digits % 4) % 4 * 2))) }
            }
        }
        guard (digits + padding) % 4 == 0, padding <= 2, digits % 4 != 1 else { return nil }
        return bytes
    }

    private static func value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - 65)
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - 71)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte + 4)
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
