/// A public key as it stands in host key files, `authorized_keys` and on the wire; ed25519 only.
package struct HostKey: Sendable, Hashable, CustomStringConvertible {
    /// The key as SSH sends it (RFC 8709): a length and `ssh-ed25519`, a length and the 32 bytes.
    package let blob: [UInt8]
    /// What follows the key in its file; says nothing about the key.
    package var comment: String

    private static let algorithm = "ssh-ed25519"
    /// What every blob begins with: both lengths and the name between them.
    private static let prefix: [UInt8] = [0, 0, 0, 11] + Array(algorithm.utf8) + [0, 0, 0, 32]

    /// Nil where the blob is no ed25519 key.
    package init?(blob: [UInt8], comment: String = "") {
        guard blob.count == Self.prefix.count + 32, blob.starts(with: Self.prefix) else { return nil }
        self.blob = blob
        self.comment = comment
    }

    /// Takes `ssh-ed25519 AAAA… comment`, with or without a host before it as in a `known_hosts` line.
    package init?(_ line: String) {
        let words = line.split(maxSplits: 16, whereSeparator: \.isWhitespace)
        guard let place = words.firstIndex(where: { $0 == Self.algorithm }), place <= 1, words.count > place + 1,
            let blob = Base64.decode(words[place + 1].utf8)
        else { return nil }
        self.init(blob: blob, comment: words[(place + 2)...].joined(separator: " "))
    }

    /// The line for a configuration file, without comment.
    package var text: String { "\(Self.algorithm) \(Base64.encode(blob))" }

    /// As OpenSSH prints it: `SHA256:` and unpadded base64.
    package var fingerprint: String { "SHA256:" + Base64.encode(SHA256.hash(blob), padded: false) }

    package var description: String { text }

    /// The key decides alone; the comment does not.
    package static func == (left: HostKey, right: HostKey) -> Bool { left.blob == right.blob }
    package func hash(into hasher: inout Hasher) { hasher.combine(blob) }
}
