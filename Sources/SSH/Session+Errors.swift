import NIOCore

/// The sentences for what ends a session.
extension Session {
    /// Keeps the first line that the peer says until it is SSH's, and gives up on one that talks something else.
    func inspectBanner(_ bytes: ByteBuffer) {
        guard var seen = banner else { return }
        seen += bytes.readableBytesView.prefix(Self.bannerLimit)
        let lines = seen.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.dropLast().contains(where: { $0.starts(with: "SSH-".utf8) }) {
            banner = nil
            setDeadline(configuration.deadlines.handshake, "the SSH key exchange")
        } else {
            banner = seen
            if seen.count >= Self.bannerLimit { fail(notSSH("It said: \(neutralised(seen))")) }
        }
    }

    /// What the peer said in place of SSH's greeting, as a sentence, or nothing.
    private var bannerWords: String {
        guard let banner, !banner.isEmpty else { return "" }
        return " It said: \(neutralised(banner))"
    }

    func notSSH(_ detail: String) -> SSHError {
        SSHError(
            .notSSH,
            "What answers on the seedbox's port is no SSH server. \(detail) Check the port and what listens there."
        )
    }

    var handshakeError: SSHError {
        if banner != nil { return notSSH(bannerWords.isEmpty ? "It said nothing." : String(bannerWords.dropFirst())) }
        return SSHError(
            .handshakeFailed,
            "The SSH handshake failed (\(library.lastMessage)). The server must offer curve25519-sha256, an ed25519 "
                + "host key, aes256-ctr or aes128-ctr, and hmac-sha2-256 or hmac-sha2-512."
        )
    }

    func loginError(_ code: Int32) -> SSHError {
        switch library.loginFault(code) {
        case .refused:
            SSHError(
                .loginRefused,
                "The SSH server does not let \(neutralised(configuration.user.utf8)) in with this key "
                    + "(\(configuration.key.publicKey.fingerprint)). Put its public half into that user's "
                    + "authorized_keys on the seedbox, and check user name and the file's permissions."
            )
        case .key:
            SSHError(
                .keyInvalid,
                "The private key does not open (\(library.lastMessage)). Its passphrase may be wrong, or its "
                    + "cipher unknown; make it readable with: ssh-keygen -p -Z aes256-ctr -f FILE"
            )
        case .connection: lossError(nil)
        }
    }

    /// The reason for an end that this side did not ask for.
    func lossError(_ reason: (any Error)?) -> SSHError {
        let step =
            switch phase {
            case .handshaking: "during the handshake"
            case .loggingIn: "during the login"
            case .ready, .failed: "while it was in use"
            }
        let words = pipe.goodbye.map { " It said: \($0)" } ?? bannerWords
        return SSHError(.connectionLost, "The SSH connection was lost \(step).\(words)", cause: reason)
    }

    /// Why nothing can be begun any more.
    var endError: SSHError {
        if case .failed(let error) = phase { error } else { SSHError(.closed, "The connection is not ready.") }
    }
}

extension TimeAmount {
    /// For sentences: whole seconds where it has any.
    var text: String {
        nanoseconds >= 1_000_000_000 ? "\(nanoseconds / 1_000_000_000) s" : "\(nanoseconds / 1_000_000) ms"
    }
}

extension String {
    var capitalisedFirst: String { prefix(1).uppercased() + dropFirst() }
}
