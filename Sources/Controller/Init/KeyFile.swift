/// Makes ed25519 keys in OpenSSH's own format, and tells the public half of one that is there.
import Crypto
import Foundation
import Seedbox

enum KeyFile {
    private static let kind = "ssh-ed25519"
    private static let magic = Array("openssh-key-v1\0".utf8)
    private static let begin = "-----BEGIN OPENSSH PRIVATE KEY-----"
    private static let end = "-----END OPENSSH PRIVATE KEY-----"
    /// An ed25519 key takes about 400 bytes.
    private static let largest = 16_384

    /// Makes the key where there is none, for its owner alone; throws where something else is there.
    ///
    /// Returns its public half as a line of `authorized_keys`.
    static func ensure(_ path: String, comment: String) throws -> String {
        if access(path, F_OK) == 0 {
            guard let file = FileHandle(forReadingAtPath: path), let data = try file.read(upToCount: largest),
                let publicKey = publicKey(in: String(decoding: data, as: UTF8.self))
            else {
                throw Problem(
                    .secretUnreadable,
                    "\(visible(path)) is there, but is no ed25519 key in OpenSSH's format. Name another with --key."
                )
            }
            return line(publicKey, comment)
        }
        let key = Curve25519.Signing.PrivateKey()
        let text = privateKey(
            seed: Array(key.rawRepresentation),
            publicKey: Array(key.publicKey.rawRepresentation),
            check: UInt32.random(in: 0 ... .max),
            comment: comment
        )
        try write(Array(text.utf8), to: path, mode: 0o600)
        let publicLine = line(Array(key.publicKey.rawRepresentation), comment)
        try write(Array((publicLine + "\n").utf8), to: path + ".pub", mode: 0o644)
        return publicLine
    }

    /// PROTOCOL.key of OpenSSH: no cipher, one key, padded to 8 bytes.
    static func privateKey(seed: [UInt8], publicKey: [UInt8], check: UInt32, comment: String) -> String {
        var secret =
            number(check) + number(check) + text(kind) + field(publicKey) + field(seed + publicKey) + text(comment)
        var padding: UInt8 = 1
        while secret.count % 8 != 0 {
            secret.append(padding)
            padding += 1
        }
        let whole = magic + text("none") + text("none") + field([]) + number(1) + field(blob(publicKey)) + field(secret)
        let encoded = Data(whole).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
        return "\(begin)\n\(encoded)\n\(end)\n"
    }

    /// The 32 bytes of a private key file's public half, which stand in it unencrypted; nil for anything else.
    static func publicKey(in text: String) -> [UInt8]? {
        guard let start = text.range(of: begin),
            let stop = text.range(of: end, range: start.upperBound..<text.endIndex),
            let data = Data(base64Encoded: text[start.upperBound..<stop.lowerBound].filter { !$0.isWhitespace }),
            data.starts(with: magic)
        else { return nil }
        var rest = Array(data)[magic.count...]
        func take() -> [UInt8]? {
            guard rest.count >= 4 else { return nil }
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= length else { return nil }
            defer { rest = rest.dropFirst(length) }
            return Array(rest.prefix(length))
        }
        // Cipher, derivation and its options; then the number of keys.
        for _ in 0..<3 where take() == nil { return nil }
        rest = rest.dropFirst(4)
        guard let found = take() else { return nil }
        let head = self.text(kind) + number(32)
        guard found.count == head.count + 32, found.starts(with: head) else { return nil }
        return Array(found.suffix(32))
    }

    private static func line(_ key: [UInt8], _ comment: String) -> String {
        "\(kind) \(Data(blob(key)).base64EncodedString()) \(comment)"
    }

    private static func blob(_ key: [UInt8]) -> [UInt8] { text(kind) + field(key) }

    private static func number(_ number: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> UInt32($0)) }
    }

    private static func field(_ bytes: [UInt8]) -> [UInt8] { number(UInt32(bytes.count)) + bytes }
    private static func text(_ text: String) -> [UInt8] { field(Array(text.utf8)) }

    /// Makes a new file with its mode from the first moment on; refuses one that is there.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard file >= 0 else {
            throw Problem(.secretUnreadable, "\(visible(path)) cannot be written: \(systemReason(errno)).")
        }
        defer { close(file) }
        guard Glibc.write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0 else {
            throw Problem(.secretUnreadable, "\(visible(path)) cannot be written: \(systemReason(errno)).")
        }
    }
}
