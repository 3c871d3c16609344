/// A relay of a circuit of ours, and where tor says that it stands.
package struct TorRelay: Sendable, Hashable, CustomStringConvertible {
    /// 40 hex digits.
    package var fingerprint: String
    /// Chosen by whoever runs the relay.
    package var nickname: String
    /// Two capitals; nil where tor does not know, or has not been asked yet.
    package var country: String?

    package init(fingerprint: String, nickname: String, country: String? = nil) {
        self.fingerprint = fingerprint
        self.nickname = nickname
        self.country = country
    }

    /// Of one element of a path: `$FINGERPRINT~nickname`, `$FINGERPRINT=nickname` or `$FINGERPRINT`.
    init(_ element: Substring) {
        let parts = element.split(maxSplits: 1) { $0 == "~" || $0 == "=" }
        fingerprint = String((parts.first ?? "").drop { $0 == "$" })
        nickname = parts.count > 1 ? String(parts[1]) : "$" + fingerprint.prefix(8)
    }

    /// Characters of a nickname; tor's have 19 at most.
    private static let longest = 20

    package var description: String { String(nickname.prefix(Self.longest)) + (country.map { " (\($0))" } ?? "") }

    /// False of what tor does not call a relay by: it must not become part of a question.
    var isAskable: Bool { fingerprint.utf8.count == 40 && fingerprint.allSatisfy { $0.isASCII && $0.isHexDigit } }

    /// The address in a relay's entry, `r NICKNAME IDENTITY DIGEST DATE TIME ADDRESS ORPORT DIRPORT` and further lines; the
    /// digest is left out by some.
    static func address(inEntry text: String) -> String? {
        let lines = text.split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("r ") }) else { return nil }
        return line.split(separator: " ").dropFirst(3).first(where: isAddress).map(String.init)
    }

    private static func isAddress(_ word: Substring) -> Bool {
        let parts = word.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { $0.utf8.count <= 3 && UInt8($0) != nil }
    }

    /// The country in an answer `ip-to-country/ADDRESS=de`; nil for `??`.
    static func country(inAnswer text: String) -> String? {
        guard let word = text.split(separator: "=").last, word.utf8.count == 2,
            word.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) })
        else { return nil }
        return word.uppercased()
    }
}
