import Glibc

/// An ed25519 key in OpenSSH's own format, with which this side logs in.
package struct PrivateKey: Sendable, CustomStringConvertible {
    /// The file's text; libssh2 takes it as it is.
    let text: [UInt8]
    let passphrase: String?
    /// Its public half, which stands unencrypted in the file.
    package let publicKey: HostKey

    /// The largest key file that is read; ed25519 keys take about 400 bytes.
    private static let limit = 16_384

    /// Reads the file; refuses one that others may read, as `ssh` does.
    package init(path: String, passphrase: String? = nil) throws(SSHError) {
        try self.init(Self.contents(of: path), passphrase: passphrase, named: "The private key \(path)")
    }

    /// Takes the file's contents from memory.
    package init(_ text: [UInt8], passphrase: String? = nil) throws(SSHError) {
        try self.init(text, passphrase: passphrase, named: "The private key")
    }

    private init(_ text: [UInt8], passphrase: String?, named name: String) throws(SSHError) {
        guard let envelope = Envelope(text) else {
            throw SSHError(
                .keyInvalid,
                "\(name) is not an ed25519 key in OpenSSH's format. "
                    + "Make one with: ssh-keygen -t ed25519 -f FILE"
            )
        }
        if envelope.isEncrypted, passphrase == nil {
            throw SSHError(
                .keyInvalid,
                "\(name) is locked with a passphrase, and none was given. Unlock it with: ssh-keygen -p -f FILE"
            )
        }
        self.text = text
        self.passphrase = passphrase
        publicKey = envelope.publicKey
    }

    /// Never shows the key.
    package var description: String { "private key of \(publicKey.fingerprint)" }

    private static func contents(of path: String) throws(SSHError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw SSHError(.keyUnreadable, "The private key \(path) cannot be opened: \(reason).")
        }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            throw SSHError(.keyUnreadable, "The private key \(path) is not a file.")
        }
        guard information.st_mode & 0o077 == 0 else {
            throw SSHError(
                .keyUnreadable,
                "The private key \(path) can be read by others. Make it private with: chmod 600 \(path)"
            )
        }
        guard information.st_size <= limit else {
            throw SSHError(.keyInvalid, "The private key \(path) is too large to be an ed25519 key.")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: limit + 1)
        while bytes.count <= limit {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                let reason = String(cString: strerror(errno))
                throw SSHError(.keyUnreadable, "The private key \(path) cannot be read: \(reason).")
            }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return bytes
    }
}

extension PrivateKey {
    /// What stands in the clear at the head of `openssh-key-v1` (OpenSSH, PROTOCOL.key).
    private struct Envelope {
        var isEncrypted: Bool
        var publicKey: HostKey

        init?(_ text: [UInt8]) {
            let lines = text.split { $0 == 0x0A || $0 == 0x0D }
            guard let first = lines.first, first.elementsEqual("-----BEGIN OPENSSH PRIVATE KEY-----".utf8),
                let last = lines.last, last.elementsEqual("-----END OPENSSH PRIVATE KEY-----".utf8),
                let bytes = Base64.decode(Array(lines.dropFirst().dropLast().joined()))
            else { return nil }
            let magic = Array("openssh-key-v1".utf8) + [0]
            guard bytes.starts(with: magic) else { return nil }
            var rest = bytes[magic.count...]
            guard let cipher = Self.string(&rest), Self.string(&rest) != nil, Self.string(&rest) != nil,
                Self.integer(&rest) == 1, let blob = Self.string(&rest), let key = HostKey(blob: Array(blob))
            else { return nil }
            isEncrypted = !cipher.elementsEqual("none".utf8)
            publicKey = key
        }

        private static func integer(_ bytes: inout ArraySlice<UInt8>) -> Int? {
            guard bytes.count >= 4 else { return nil }
            defer { bytes = bytes.dropFirst(4) }
            return bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        }

        private static func string(_ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
            guard let length = integer(&bytes), length <= bytes.count else { return nil }
            defer { bytes = bytes.dropFirst(length) }
            return bytes.prefix(length)
        }
    }
}
