/// Tor's version: read from what it says of itself, and compared with the least that is wanted.
package enum TorVersion {
    /// Lower than this and known faults disturb long-lived streams (tor's bug 41297).
    package static let minimum = [0, 4, 9, 11]

    /// `minimum` as tor writes it.
    package static var wanted: String { minimum.map(String.init).joined(separator: ".") }

    /// Characters of a version; what is longer is none.
    private static let longest = 40

    /// True from `minimum` on; also of a text that is no version, which is not ours to judge.
    package static func isRecent(_ version: String) -> Bool {
        let numbers = version.prefix { $0.isNumber || $0 == "." }.split(separator: ".").compactMap { Int($0) }
        guard numbers.count >= 3 else { return true }
        return !numbers.lexicographicallyPrecedes(minimum)
    }

    /// The version in what `tor --version` prints first: `Tor version 0.4.9.11 (git-…).`
    package static func printed(_ text: String) -> String? {
        let mark = "Tor version "
        guard let line = text.split(whereSeparator: \.isNewline).first, line.hasPrefix(mark) else { return nil }
        return read(line.dropFirst(mark.count))
    }

    /// The version at the beginning of `text`, without what follows it.
    static func read(_ text: some StringProtocol) -> String? {
        let word = text.prefix { $0.isASCII && ($0.isNumber || $0.isLetter || $0 == "." || $0 == "-") }
        let version = word.hasSuffix(".") ? word.dropLast() : word
        guard version.first?.isNumber == true, version.utf8.count <= longest else { return nil }
        return String(version)
    }
}
