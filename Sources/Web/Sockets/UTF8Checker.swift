/// Finds bytes that are not UTF-8 as they arrive, so that a bad message is refused before its end.
struct UTF8Checker: Equatable {
    /// Continuation bytes still to come for the character begun.
    private var missing = 0
    /// What the next continuation byte may be: narrower after E0, ED, F0 and F4 (RFC 3629, section 4).
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    /// True where no character is cut off.
    var isComplete: Bool { missing == 0 }

    /// False once the bytes so far begin no valid text, whatever follows.
    mutating func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count {
            if missing == 0 {
                while index + 8 <= bytes.count,
                    bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                {
                    index += 8
                }
                guard index < bytes.count else { return true }
            }
            guard accepts(bytes[index]) else { return false }
            index += 1
        }
        return true
    }

    private mutating func accepts(_ byte: UInt8) -> Bool {
        if missing > 0 {
            guard byte >= lowest, byte <= highest else { return false }
            (lowest, highest) = (0x80, 0xBF)
            missing -= 1
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: missing = 1
        case 0xE0: (missing, lowest) = (2, 0xA0)
        case 0xED: (missing, highest) = (2, 0x9F)
        case 0xE1...0xEF: missing = 2
        case 0xF0: (missing, lowest) = (3, 0x90)
        case 0xF1...0xF3: missing = 3
        case 0xF4: (missing, highest) = (3, 0x8F)
        default: return false
        }
        return true
    }
}
