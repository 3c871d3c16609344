/// Checks a host key as it stands in the configuration, before any connection is tried.
import Foundation

/// The text form of an ed25519 host key: `ssh-ed25519 AAAA…`, with a comment or without.
enum HostKeyText {
    private static let kind = "ssh-ed25519"

    /// What is wrong with it; nil where nothing is.
    static func fault(in text: String) -> String? {
        let words = text.split(whereSeparator: { $0 == " " || $0 == "\t" })
        let remedy = "Copy the line that `cat /etc/ssh/ssh_host_ed25519_key.pub` prints on the seedbox."
        guard words.count >= 2 else {
            return "\"\(visible(text, atMost: 60))\" is no host key: it has no key type and key. \(remedy)"
        }
        guard words[0] == kind else {
            return
                "a key of type \"\(visible(String(words[0]), atMost: 40))\" is not accepted, only ssh-ed25519. \(remedy)"
        }
        // Text, 4 bytes of length and the type; 4 bytes of length and 32 of key (RFC 8709, section 4).
        let name = Array(kind.utf8)
        let head = [0, 0, 0, UInt8(name.count)] + name + [0, 0, 0, 32]
        guard let blob = Data(base64Encoded: String(words[1])), blob.count == head.count + 32, blob.starts(with: head)
        else {
            return "the ssh-ed25519 key is damaged: it does not decode to 51 bytes of that type. \(remedy)"
        }
        return nil
    }
}
