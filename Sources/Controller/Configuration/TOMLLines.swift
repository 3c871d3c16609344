/// On which line each key of a TOML document stands; TOMLKit tells it only for what it cannot parse.
///
/// The document is known to be well-formed, so this needs no more grammar than to tell keys from values.
struct TOMLLines: Sendable {
    private var lines: [[String]: Int] = [:]

    /// The line of a key or table, or of the nearest table around it that has one.
    subscript(path: [String]) -> Int? {
        var path = path
        while !path.isEmpty {
            if let line = lines[path] { return line }
            path.removeLast()
        }
        return nil
    }

    init(_ text: String) {
        var scanner = Scanner(text)
        var table: [String] = []
        while !scanner.isAtEnd {
            scanner.skipBlank()
            switch scanner.peek {
            case nil: return
            case UInt8(ascii: "\n"): scanner.advance()
            case UInt8(ascii: "#"): scanner.skipLine()
            case UInt8(ascii: "["):
                let line = scanner.line
                while scanner.peek == UInt8(ascii: "[") { scanner.advance() }
                table = scanner.key()
                note(table, line)
                scanner.skipLine()
            default:
                let line = scanner.line
                let key = scanner.key()
                note(table + key, line)
                scanner.skipBlank()
                guard scanner.peek == UInt8(ascii: "=") else {
                    scanner.skipLine()
                    continue
                }
                scanner.advance()
                scanner.skipValue()
            }
        }
    }

    private mutating func note(_ path: [String], _ line: Int) {
        if lines[path] == nil { lines[path] = line }
    }
}

/// A cursor over the document's bytes.
private struct Scanner {
    private let bytes: [UInt8]
    private var at = 0
    private(set) var line = 1

    init(_ text: String) { bytes = Array(text.utf8) }

    var isAtEnd: Bool { at >= bytes.count }
    var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    mutating func advance() {
        if bytes[at] == UInt8(ascii: "\n") { line += 1 }
        at += 1
    }

    mutating func skipBlank() {
        while let byte = peek, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r") {
            advance()
        }
    }

    mutating func skipLine() {
        while let byte = peek {
            advance()
            if byte == UInt8(ascii: "\n") { return }
        }
    }

    /// A dotted key with bare and quoted parts; ends before `=`, `]` or the line's end.
    mutating func key() -> [String] {
        var parts: [String] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "."): advance()
            case UInt8(ascii: "\""), UInt8(ascii: "'"): parts.append(quoted())
            case UInt8(ascii: "="), UInt8(ascii: "]"), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "#"):
                return parts
            default:
                let start = at
                while let byte = peek, !" \t.=]\n\r#\"'".utf8.contains(byte) { advance() }
                parts.append(String(decoding: bytes[start..<at], as: UTF8.self))
            }
        }
        return parts
    }

    /// The text of a one-line string with its escapes left as they stand.
    private mutating func quoted() -> String {
        let quote = bytes[at]
        advance()
        let start = at
        while let byte = peek, byte != quote, byte != UInt8(ascii: "\n") {
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\""), at + 1 < bytes.count { advance() }
            advance()
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if peek == quote { advance() }
        return text
    }

    /// A value with all lines that its arrays and multi-line strings take, and the rest of its last line.
    mutating func skipValue() {
        var depth = 0
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                advance()
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                depth -= 1
                advance()
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                if at + 2 < bytes.count, bytes[at + 1] == byte, bytes[at + 2] == byte {
                    skipLongString(byte)
                } else {
                    _ = quoted()
                }
            case UInt8(ascii: "#"):
                while let byte = peek, byte != UInt8(ascii: "\n") { advance() }
            case UInt8(ascii: "\n"):
                advance()
                if depth <= 0 { return }
            default: advance()
            }
        }
    }

    private mutating func skipLongString(_ quote: UInt8) {
        for _ in 0..<3 { advance() }
        while let byte = peek {
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\""), at + 1 < bytes.count {
                advance()
                advance()
            } else if byte == quote, at + 2 < bytes.count, bytes[at + 1] == quote, bytes[at + 2] == quote {
                while peek == quote { advance() }
                return
            } else {
                advance()
            }
        }
    }
}
