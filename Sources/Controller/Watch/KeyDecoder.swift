/// Keys from the bytes that a terminal in raw mode sends.

/// What a person pressed.
enum Key: Sendable, Hashable {
    case character(Character)
    case up, down, pageUp, pageDown, home, end
    case enter, escape, backspace, interrupt
}

/// Decodes bytes as they come; pure. An escape that ends a piece is the key itself, not the start of a sequence.
struct KeyDecoder: Sendable {
    private var rest: [UInt8] = []

    mutating func received(_ bytes: [UInt8]) -> [Key] {
        var input = (rest + bytes)[...]
        rest = []
        var keys: [Key] = []
        while let byte = input.first {
            switch byte {
            case 0x1B: keys += Self.sequence(&input)
            case 0x03, 0x04: keys.append(.interrupt)
            case 0x0D, 0x0A: keys.append(.enter)
            case 0x7F, 0x08: keys.append(.backspace)
            case 0..<0x20: break
            case 0x20..<0x7F: keys.append(.character(Character(Unicode.Scalar(byte))))
            default:
                let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
                guard input.count >= length else {
                    rest = Array(input)
                    return keys
                }
                if let text = String(validating: input.prefix(length), as: UTF8.self), let first = text.first {
                    keys.append(.character(first))
                }
                input = input.dropFirst(length - 1)
            }
            if byte != 0x1B { input = input.dropFirst() }
        }
        return keys
    }

    /// Takes an escape sequence (ECMA-48, xterm's keys) from the front.
    private static func sequence(_ input: inout ArraySlice<UInt8>) -> [Key] {
        input = input.dropFirst()
        guard let introducer = input.first, introducer == UInt8(ascii: "[") || introducer == UInt8(ascii: "O") else {
            return [.escape]
        }
        input = input.dropFirst()
        let parameters = input.prefix { (0x20..<0x40).contains($0) }
        input = input.dropFirst(parameters.count)
        guard let final = input.popFirst() else { return [] }
        switch (final, parameters.first) {
        case (UInt8(ascii: "A"), _): return [.up]
        case (UInt8(ascii: "B"), _): return [.down]
        case (UInt8(ascii: "H"), _), (UInt8(ascii: "~"), UInt8(ascii: "1")), (UInt8(ascii: "~"), UInt8(ascii: "7")):
            return [.home]
        case (UInt8(ascii: "F"), _), (UInt8(ascii: "~"), UInt8(ascii: "4")), (UInt8(ascii: "~"), UInt8(ascii: "8")):
            return [.end]
        case (UInt8(ascii: "~"), UInt8(ascii: "5")): return [.pageUp]
        case (UInt8(ascii: "~"), UInt8(ascii: "6")): return [.pageDown]
        default: return []
        }
    }
}
