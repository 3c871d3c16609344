/// The lines of an `authorized_keys` file: gives one key one line and leaves all others byte for byte; pure.

struct AuthorizedKeys: Sendable, Equatable {
    /// sshd reads no longer file, and nobody writes one.
    static let largest = 1 << 20

    private(set) var bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The first line of this key, which is the one that sshd takes.
    func line(of key: String) -> String? {
        lines.first { Self.key(of: $0) == key }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Puts `line` where the key's first line stands, or at the end, and takes its other lines away.
    func setting(_ line: String, of key: String) -> AuthorizedKeys {
        var result: [UInt8] = []
        var isSet = false
        for old in lines {
            guard Self.key(of: old) == key else {
                result += old
                continue
            }
            if !isSet { result += Array((line + "\n").utf8) }
            isSet = true
        }
        if !isSet {
            if let last = result.last, last != UInt8(ascii: "\n") { result.append(UInt8(ascii: "\n")) }
            result += Array((line + "\n").utf8)
        }
        return AuthorizedKeys(result)
    }

    /// Each with its end.
    private var lines: [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? rest.endIndex
            lines.append(rest[..<end])
            rest = rest[end...]
        }
        return lines
    }

    /// The base64 of a line's ed25519 key, as sshd finds it: options first, in which quotes hide spaces.
    private static func key(of line: ArraySlice<UInt8>) -> String? {
        var rest = line.drop(while: isSpace)
        guard rest.first != UInt8(ascii: "#") else { return nil }
        if !rest.starts(with: Array("ssh-ed25519".utf8)) {
            var isQuoted = false
            var isEscaped = false
            rest = rest.drop { byte in
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isQuoted.toggle()
                }
                return isQuoted || !isSpace(byte)
            }
            rest = rest.drop(while: isSpace)
        }
        let words = rest.split(maxSplits: 2, whereSeparator: isSpace)
        guard words.count >= 2, words[0].elementsEqual("ssh-ed25519".utf8) else { return nil }
        return String(decoding: words[1], as: UTF8.self)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}
