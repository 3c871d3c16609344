/// Makes text from outside safe to show: nothing in it moves the cursor, colours, reorders or breaks a line.

/// `text` with control and direction characters replaced by visible signs, cut to `atMost` characters.
///
/// Control characters become their pictures (ESC is `␛`), others their code point (`⟨202E⟩`). Joiners and variation
/// selectors stay: emoji are made of them.
func visible(_ text: String, atMost limit: Int = .max) -> String {
    var shown = ""
    var count = 0
    var marks = 0
    for scalar in text.unicodeScalars {
        if count >= limit { return shown + "…" }
        if let sign = sign(for: scalar) {
            marks = 0
            count += sign.unicodeScalars.count
            shown += sign
        } else if DisplayWidth.of(scalar) == 0 {
            // A tower of combining marks would climb into the lines above.
            marks += 1
            if marks <= mostMarks { shown.unicodeScalars.append(scalar) }
        } else {
            marks = 0
            count += 1
            shown.unicodeScalars.append(scalar)
        }
    }
    return shown
}

/// What is shown in place of a character that acts instead of being seen; nil for all others.
func sign(for scalar: Unicode.Scalar) -> String? {
    switch scalar.value {
    case 0..<0x20: String(Character(Unicode.Scalar(0x2400 + scalar.value)!))
    case 0x20..<0x7F: nil
    case 0x7F: "\u{2421}"
    default: isTreacherous(scalar) ? "⟨" + String(scalar.value, radix: 16, uppercase: true) + "⟩" : nil
    }
}

/// More combining marks on one letter than any script writes.
private let mostMarks = 8

/// True for characters that act on the terminal or on the text around them instead of being seen.
func isTreacherous(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator, .surrogate: true
    case .format: scalar != "\u{200D}" && scalar != "\u{200C}"
    default: false
    }
}

/// How many columns a terminal gives to text, as `wcwidth` counts.
enum DisplayWidth {
    static func of(_ text: String) -> Int {
        var width = 0
        for scalar in text.unicodeScalars { width += of(scalar) }
        return width
    }

    static func of(_ scalar: Unicode.Scalar) -> Int {
        if scalar.value < 0x300 { return scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) ? 0 : 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control, .lineSeparator, .paragraphSeparator: return 0
        default: break
        }
        if (0x1160...0x11FF).contains(scalar.value) { return 0 }
        if scalar.value < 0x1100 { return 1 }
        // A flag is two of these, each one column.
        if (0x1F1E6...0x1F1FF).contains(scalar.value) { return 1 }
        if scalar.properties.isEmojiPresentation { return 2 }
        return wide.contains { $0.contains(scalar.value) } ? 2 : 1
    }

    /// East Asian Wide and Fullwidth of UAX #11, but for what is wide as an emoji.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2329...0x232A, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0xA4CF,
        0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF01...0xFF60,
        0xFFE0...0xFFE6, 0x16FE0...0x18DFF, 0x1AFF0...0x1B2FF, 0x1F200...0x1F2FF, 0x20000...0x2FFFD,
        0x30000...0x3FFFD,
    ]

    /// `text` in at most `width` columns, its end replaced by `…` where it is longer.
    static func cut(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        guard width > 0 else { return "" }
        var cut = ""
        var used = 0
        for scalar in text.unicodeScalars {
            let next = of(scalar)
            if used + next > width - 1 { break }
            cut.unicodeScalars.append(scalar)
            used += next
        }
        return cut + "…"
    }

    static func padded(_ text: String, to width: Int, right: Bool = false) -> String {
        let blank = String(repeating: " ", count: max(0, width - of(text)))
        return right ? blank + text : text + blank
    }
}
