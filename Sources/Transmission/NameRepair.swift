/// Mends names outside the basic plane that Transmission 3.00 writes wrongly.

/// 3.00 writes U+1F9C5 as `\u1f9c5`, which any JSON reader takes for U+1F9C and the digit 5. The exact name stands,
/// percent-encoded, as `dn` in the torrent's magnet link.
package enum NameRepair {
    /// Whether the name may be such a wreck: a character of four hex digits with another hex digit behind it.
    package static func isSuspicious(_ name: String) -> Bool {
        var before: UInt32 = 0
        for scalar in name.unicodeScalars {
            if scalar.value == 0xFFFD { return true }
            if before >= 0x1000, isHexDigit(scalar) { return true }
            before = scalar.value
        }
        return false
    }

    /// What 3.00 makes of a text.
    package static func wreck(of text: String) -> String {
        var wreck = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            guard scalar.value > 0xFFFF, scalar.value <= 0xFFFFF, let front = Unicode.Scalar(scalar.value >> 4) else {
                wreck.append(scalar)
                continue
            }
            wreck.append(front)
            wreck.append(contentsOf: String(scalar.value & 0xF, radix: 16).unicodeScalars)
        }
        return String(wreck)
    }

    /// A label as it was before 3.00 wrote it; no magnet link tells it. Only pictographs are taken for wrecked: their
    /// fronts are rare accented Greek letters, which nobody writes before a digit.
    package static func label(from wreck: String) -> String {
        var label = String.UnicodeScalarView()
        for scalar in wreck.unicodeScalars {
            if let front = label.last, (0x1F00...0x1FAF).contains(front.value), isHexDigit(scalar),
                let digit = UInt32(String(scalar), radix: 16),
                let whole = Unicode.Scalar(front.value << 4 | digit)
            {
                label.removeLast()
                label.append(whole)
            } else {
                label.append(scalar)
            }
        }
        return String(label)
    }

    /// The name in a magnet link.
    package static func name(inMagnet link: String) -> String? {
        guard let question = link.firstIndex(of: "?") else { return nil }
        for parameter in link[link.index(after: question)...].split(separator: "&") where parameter.hasPrefix("dn=") {
            return decode(parameter.dropFirst(3))
        }
        return nil
    }

    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func isHexDigit(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "0"..."9", "a"..."f", "A"..."F": true
        default: false
        }
    }
}
