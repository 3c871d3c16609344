/// What goes wrong between an open byte stream and a running remote command.
package struct SSHError: Error, Sendable, CustomStringConvertible {
    /// What a program decides by; the message is for a person.
    package enum Code: String, Sendable, CaseIterable {
        /// The installed libssh2 is one that we do not use.
        case libraryRefused
        /// The private key cannot be read from its file.
        case keyUnreadable
        /// The bytes are no ed25519 key in OpenSSH's format, or the passphrase does not open it.
        case keyInvalid
        /// What answers does not speak SSH.
        case notSSH
        /// No common algorithms, or a fault in the key exchange.
        case handshakeFailed
        /// The server's host key is not a pinned one.
        case hostKeyMismatch
        /// The server does not let this user in with this key.
        case loginRefused
        /// The server opens no further channel; ends the channel only.
        case channelRefused
        /// The server does not run the command; ends the channel only.
        case execRefused
        /// The channel is closed already; ends the call only.
        case channelClosed
        /// A phase took longer than its deadline.
        case timedOut
        /// Bytes are waiting and the line is free, but nothing moves.
        case stalled
        /// The stream below ended, or the server said goodbye.
        case connectionLost
        /// This side has closed the connection.
        case closed
    }

    package var code: Code
    /// One or two sentences: what happened, what it means, what to do.
    package var message: String
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { message }
}

/// What a remote peer said, made harmless for terminals, logs and pages: one line of printable text.
package func neutralised(_ text: some Sequence<UInt8>, limit: Int = 200) -> String {
    let line = String(decoding: Array(text.prefix(limit * 4)), as: UTF8.self)
    var result = String.UnicodeScalarView()
    for scalar in line.unicodeScalars.prefix(limit) {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: result.append(" ")
        case .format, .surrogate, .privateUse, .unassigned: result.append("\u{FFFD}")
        default: result.append(scalar)
        }
    }
    return String(result).split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
}
