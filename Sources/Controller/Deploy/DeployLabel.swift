/// How an installed version of the agent is called; pure.

/// The name of an installed version: `0.1.0-` and 12 hex digits of the file's SHA-256.
struct DeployLabel: Sendable, Hashable, CustomStringConvertible {
    let description: String

    init(version: String, digest: String) { description = "\(version)-\(digest.prefix(12))" }

    /// Nil for what this program would not have written.
    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...20).contains(parts[0].utf8.count), parts[1].utf8.count == 12,
            parts[0].utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }),
            parts[0].first != ".", parts[1].utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) })
        else { return nil }
        description = String(text)
    }
}
