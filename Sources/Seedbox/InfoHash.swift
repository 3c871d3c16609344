/// The key of a torrent everywhere in Farseed: its info hash, 40 (version 1) or 64 (version 2) lower-case hex digits.
///
/// Transmission's numeric ids are renumbered whenever the daemon restarts, so they never leave the Transmission target.
package struct InfoHash: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let hex: String

    /// Takes hex digits of either case; nil where `text` is no info hash.
    package init?(_ text: String) {
        guard text.utf8.count == 40 || text.utf8.count == 64 else { return nil }
        guard text.utf8.allSatisfy(Self.isHexDigit) else { return nil }
        hex = text.lowercased()
    }

    package var description: String { hex }

    package static func < (left: InfoHash, right: InfoHash) -> Bool { left.hex < right.hex }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }
}
