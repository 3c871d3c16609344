/// Text from outside made harmless for a terminal or a log.

enum Shown {
    /// At most so many characters of it are worth reading.
    static let longest = 200

    /// Control characters and those that turn the writing direction become U+FFFD; what is too long is cut.
    static func text(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars.prefix(longest) {
            switch scalar.value {
            case 0..<0x20, 0x7F..<0xA0, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
                shown.unicodeScalars.append("\u{FFFD}")
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }
}
