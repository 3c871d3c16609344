/// Makes the line for `authorized_keys` that ties a public key to the gate.

enum Authorization {
    /// A public key file is one line; more is not read.
    static let largestKey = 8192

    struct Refusal: Error, Sendable, Hashable {
        var message: String
    }

    /// `program` and `configuration` are absolute paths; `key` is what ssh-keygen wrote into the `.pub` file.
    static func line(
        key: String,
        role: Role,
        program: String,
        configuration: String?
    ) throws(Refusal) -> String {
        let lines = key.split(whereSeparator: \.isNewline).filter { !$0.allSatisfy(\.isWhitespace) }
        guard lines.count == 1 else {
            throw Refusal(message: "Standard input must hold one public key, such as the file id_ed25519.pub has.")
        }
        let words = lines[0].split(separator: " ", omittingEmptySubsequences: true)
        guard words.count >= 2, words[0] == "ssh-ed25519" else {
            throw Refusal(
                message:
                    "That is not a public key of type ssh-ed25519. Make one with `ssh-keygen -t ed25519`, and give "
                    + "its .pub file, not the private key."
            )
        }
        // 51 bytes in base64 with the type and length in front: every Ed25519 key begins and ends alike.
        guard words[1].utf8.count == 68, words[1].hasPrefix("AAAAC3NzaC1lZDI1NTE5AAAAI"),
            words[1].utf8.allSatisfy(isBase64)
        else { throw Refusal(message: "The key is cut off or damaged: an ssh-ed25519 key has 68 characters.") }
        let comment = words.dropFirst(2).joined(separator: "_").unicodeScalars.filter(isPlain)
        var command = try plain(program) + " gate --role \(role.rawValue)"
        if let configuration { command += " --config " + (try plain(configuration)) }
        var line = "restrict,command=\"\(command)\" ssh-ed25519 \(words[1])"
        if !comment.isEmpty { line += " " + String(String.UnicodeScalarView(comment.prefix(100))) }
        return line
    }

    /// sshd gives the command to the login shell: only characters that no shell takes for anything else pass.
    private static func plain(_ path: String) throws(Refusal) -> String {
        guard path.hasPrefix("/"), path.unicodeScalars.allSatisfy(isPlain) else {
            throw Refusal(
                message: "The path \(Shown.text(path)) cannot stand in authorized_keys. Use an absolute path of "
                    + "letters, digits and . _ - @ + / only."
            )
        }
        return path
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "-", "@", "+", "/": true
        default: false
        }
    }

    private static func isBase64(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}
