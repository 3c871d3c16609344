/// Replies and events of tor's control port, as lines become them (control-spec, section 2.3).
package struct ControlReply: Sendable, Hashable {
    /// 250 and its like for success, 4xx and 5xx for refusal, 650 for an event.
    package var code: Int
    /// Each line's text, without code and separator; a data line's text includes its data, joined by newlines.
    package var lines: [String]

    package var isEvent: Bool { (600..<700).contains(code) }
    package var isSuccess: Bool { (200..<300).contains(code) }
}

/// Collects lines into replies: a pure machine.
package struct ControlReplyParser: Sendable {
    package enum Failure: Error, Sendable, Hashable {
        /// A line that begins with no code, or a code that changes within a reply.
        case malformed
        case tooLong
    }

    /// Bytes of one reply; `circuit-status` of a busy client has some tens of kilobytes.
    private static let mostBytes = 1 << 20

    private var lines: [String] = []
    private var code: Int?
    private var isInData = false
    private var bytes = 0

    package init() {}

    /// Takes a line without its end; a reply when it was the last of one.
    package mutating func received(_ line: String) throws(Failure) -> ControlReply? {
        bytes += line.utf8.count + 1
        guard bytes <= Self.mostBytes else { throw .tooLong }
        if isInData {
            if line == "." {
                isInData = false
            } else {
                // A leading dot is doubled on the wire.
                lines[lines.count - 1] += "\n" + (line.hasPrefix("..") ? String(line.dropFirst()) : line)
            }
            return nil
        }
        let text = Array(line.utf8)
        guard text.count >= 4, let number = Int(String(decoding: text[..<3], as: UTF8.self)), number >= 100,
            code == nil || code == number
        else { throw .malformed }
        code = number
        lines.append(String(decoding: text[4...], as: UTF8.self))
        switch text[3] {
        case UInt8(ascii: "-"): return nil
        case UInt8(ascii: "+"):
            isInData = true
            return nil
        case UInt8(ascii: " "):
            defer { self = ControlReplyParser() }
            return ControlReply(code: number, lines: lines)
        default: throw .malformed
        }
    }
}

/// A line of words and `KEY=value` pairs, values quoted or not, as events and GETINFO's answers have them.
package struct ControlWords: Sendable, Hashable {
    package private(set) var words: [String] = []
    package private(set) var pairs: [String: String] = [:]

    package init(_ text: some StringProtocol) {
        var rest = Substring(text)
        while true {
            rest = rest.drop { $0 == " " }
            guard !rest.isEmpty else { return }
            let head = rest.prefix { $0 != " " && $0 != "=" && $0 != "\"" }
            rest = rest.dropFirst(head.count)
            guard rest.first == "=" else {
                let tail = rest.prefix { $0 != " " }
                words.append(String(head + tail))
                rest = rest.dropFirst(tail.count)
                continue
            }
            rest = rest.dropFirst()
            pairs[String(head)] = rest.first == "\"" ? Self.quoted(&rest) : Self.plain(&rest)
        }
    }

    private static func plain(_ rest: inout Substring) -> String {
        let value = rest.prefix { $0 != " " }
        rest = rest.dropFirst(value.count)
        return String(value)
    }

    private static func quoted(_ rest: inout Substring) -> String {
        var value = ""
        rest = rest.dropFirst()
        while let next = rest.popFirst(), next != "\"" {
            if next == "\\", let escaped = rest.popFirst() { value.append(escaped) } else { value.append(next) }
        }
        return value
    }
}
