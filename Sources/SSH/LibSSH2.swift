import CLibSSH2

/// One libssh2 session and its channels, always non-blocking; the only file that calls the library for them.
///
/// Not safe for use by two threads: the owner calls it on its event loop. No call here ever touches a descriptor.
final class LibSSH2 {
    /// What a call came to.
    enum Outcome {
        case done
        /// EAGAIN: to be called again, with the same arguments, when bytes have arrived.
        case again
        case failed(Int32)
    }

    /// A number for libssh2 to hold in a descriptor's place. Its `fcntl` answers EBADF, on which 1.10 leaves it alone,
    /// and the callbacks do all input and output.
    private static let noDescriptor = Int32.max
    /// All reads use one size, because libssh2 reckons window adjustments with it across repeated calls.
    private static let readSize = 128 << 10
    /// A data stream that no server sends: a read from it moves what arrived into the channels' queues and no more.
    private static let nobodysStream: Int32 = 99
    /// SSH_EXTENDED_DATA_STDERR
    static let standardError: Int32 = 1

    let pipe: Pipe
    private let session: OpaquePointer
    private let scratch: UnsafeMutableBufferPointer<CChar>

    init(pipe: Pipe, compression: Bool) throws(SSHError) {
        try SSHLibrary.check()
        let abstract = Unmanaged.passUnretained(pipe).toOpaque()
        guard SSHLibrary.initialised, let session = libssh2_session_init_ex(nil, nil, nil, abstract) else {
            throw SSHError(.handshakeFailed, "libssh2 cannot begin a session; memory is short.")
        }
        self.pipe = pipe
        self.session = session
        scratch = .allocate(capacity: Self.readSize)
        libssh2_session_set_blocking(session, 0)
        set(LIBSSH2_CALLBACK_RECV, unsafeBitCast(Pipe.receiving, to: UnsafeMutableRawPointer.self))
        set(LIBSSH2_CALLBACK_SEND, unsafeBitCast(Pipe.sending, to: UnsafeMutableRawPointer.self))
        set(LIBSSH2_CALLBACK_DISCONNECT, unsafeBitCast(Pipe.disconnected, to: UnsafeMutableRawPointer.self))
        // The library adds the line end.
        let name = String(decoding: SSHConfiguration.identification.dropLast(2), as: UTF8.self)
        guard libssh2_session_banner_set(session, name) == 0 else {
            throw SSHError(.handshakeFailed, "libssh2 cannot begin a session; memory is short.")
        }
        if compression { libssh2_session_flag(session, LIBSSH2_FLAG_COMPRESS, 1) }
        let methods: [(Int32, String)] = [
            (LIBSSH2_METHOD_KEX, "curve25519-sha256,curve25519-sha256@libssh.org"),
            (LIBSSH2_METHOD_HOSTKEY, "ssh-ed25519"),
            (LIBSSH2_METHOD_CRYPT_CS, "aes256-ctr,aes128-ctr"), (LIBSSH2_METHOD_CRYPT_SC, "aes256-ctr,aes128-ctr"),
            (LIBSSH2_METHOD_MAC_CS, "hmac-sha2-256,hmac-sha2-512"),
            (LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256,hmac-sha2-512"),
        ]
        for (method, names) in methods {
            guard libssh2_session_method_pref(session, method, names) == 0 else {
                throw SSHError(
                    .libraryRefused,
                    "The installed libssh2 offers none of \(names), which Farseed needs. Install Debian's libssh2-1."
                )
            }
        }
    }

    /// Frees channels still open, too.
    deinit {
        pipe.isDead = true
        // Each call gets further, as every wait for the server now fails at once; bounded all the same, because leaking
        // a session is better than never coming back.
        for _ in 0..<1_000 where libssh2_session_free(session) != LIBSSH2_ERROR_EAGAIN { break }
        scratch.deallocate()
    }

    private func set(_ callback: Int32, _ function: UnsafeMutableRawPointer) {
        _ = libssh2_session_callback_set(session, callback, function)
    }

    private func outcome(_ code: Int32) -> Outcome {
        code >= 0 ? .done : code == LIBSSH2_ERROR_EAGAIN ? .again : .failed(code)
    }

    // MARK: The session

    func handshake() -> Outcome { outcome(libssh2_session_handshake(session, Self.noDescriptor)) }

    /// The server's key as it stands on the wire.
    var hostKey: [UInt8] {
        var length = 0
        var type: Int32 = 0
        guard let key = libssh2_session_hostkey(session, &length, &type) else { return [] }
        return Array(UnsafeRawBufferPointer(start: key, count: length))
    }

    func login(user: String, key: PrivateKey) -> Outcome {
        // libssh2 measures the private key's text with strlen, so it must end with a zero.
        let publicText = key.publicKey.text
        let code = (key.text + [0]).withUnsafeBytes { text in
            libssh2_userauth_publickey_frommemory(
                session,
                user,
                user.utf8.count,
                publicText,
                publicText.utf8.count,
                text.baseAddress!.assumingMemoryBound(to: CChar.self),
                key.text.count,
                key.passphrase
            )
        }
        return outcome(code)
    }

    /// libssh2's words for the last failure.
    var lastMessage: String {
        var text: UnsafeMutablePointer<CChar>?
        var length: Int32 = 0
        libssh2_session_last_error(session, &text, &length, 0)
        guard let text, length > 0 else { return "no reason given" }
        return neutralised(UnsafeRawBufferPointer(start: text, count: Int(length)))
    }

    func disconnect() {
        // SSH_DISCONNECT_BY_APPLICATION
        libssh2_session_disconnect_ex(session, 11, "closed", "")
    }

    /// True for faults that end one channel and not the session.
    static func isChannelFault(_ code: Int32) -> Bool {
        [
            LIBSSH2_ERROR_CHANNEL_FAILURE, LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED, LIBSSH2_ERROR_CHANNEL_UNKNOWN,
            LIBSSH2_ERROR_CHANNEL_WINDOW_EXCEEDED, LIBSSH2_ERROR_CHANNEL_PACKET_EXCEEDED,
            LIBSSH2_ERROR_CHANNEL_CLOSED, LIBSSH2_ERROR_CHANNEL_EOF_SENT, LIBSSH2_ERROR_INVAL,
        ].contains(code)
    }

    /// Whose fault a failed login is.
    enum LoginFault {
        case refused, key, connection
    }

    func loginFault(_ code: Int32) -> LoginFault {
        switch code {
        case LIBSSH2_ERROR_AUTHENTICATION_FAILED: return .refused
        case LIBSSH2_ERROR_FILE, LIBSSH2_ERROR_METHOD_NOT_SUPPORTED: return .key
        case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
            // One code for three faults; only libssh2's words tell them apart: it could not sign, it was still waiting
            // for an answer when the stream failed, or the server refused the signature.
            let words = lastMessage
            return words.hasPrefix("Callback") ? .key : words.hasPrefix("Waiting") ? .connection : .refused
        default: return .connection
        }
    }

    // MARK: Channels

    /// Opens a channel; one at a time, repeated until it is not EAGAIN.
    func openChannel(window: Int) -> (channel: OpaquePointer?, outcome: Outcome) {
        // LIBSSH2_CHANNEL_PACKET_DEFAULT
        let channel = libssh2_channel_open_ex(session, "session", 7, UInt32(window), 32_768, nil, 0)
        if let channel { return (channel, .done) }
        let code = libssh2_session_last_errno(session)
        return (nil, code == 0 ? .failed(LIBSSH2_ERROR_CHANNEL_FAILURE) : outcome(code))
    }

    func exec(_ channel: OpaquePointer, _ command: [UInt8]) -> Outcome {
        let code = command.withUnsafeBytes { bytes in
            libssh2_channel_process_startup(
                channel,
                "exec",
                4,
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
                UInt32(bytes.count)
            )
        }
        return outcome(code)
    }

    /// Moves what arrived into the channels' queues.
    func pump(_ channel: OpaquePointer) -> Outcome {
        let code = libssh2_channel_read_ex(channel, Self.nobodysStream, scratch.baseAddress, scratch.count)
        return outcome(Int32(clamping: code))
    }

    /// Takes bytes of a channel's stream from its queue; none is EAGAIN, or the end, which `isAtEnd` tells.
    func read(_ channel: OpaquePointer, stream: Int32) -> (bytes: UnsafeRawBufferPointer, outcome: Outcome) {
        let count = libssh2_channel_read_ex(channel, stream, scratch.baseAddress, scratch.count)
        let bytes = UnsafeRawBufferPointer(start: scratch.baseAddress, count: max(0, count))
        return (bytes, outcome(Int32(clamping: count)))
    }

    /// True once the server has ended its output and all of it has been taken.
    func isAtEnd(_ channel: OpaquePointer) -> Bool { libssh2_channel_eof(channel) == 1 }

    /// True once the server has closed the channel, whether or not its output has been taken.
    func isClosed(_ channel: OpaquePointer) -> Bool { libssh2_channel_wait_closed(channel) == 0 }

    /// How many bytes the server still takes on the channel.
    func window(_ channel: OpaquePointer) -> Int { Int(libssh2_channel_window_write_ex(channel, nil)) }

    /// Sends at most one packet; the count of bytes sent.
    func write(_ channel: OpaquePointer, _ bytes: UnsafeRawBufferPointer) -> (count: Int, outcome: Outcome) {
        let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        let count = libssh2_channel_write_ex(channel, 0, start, bytes.count)
        return (max(0, count), outcome(Int32(clamping: count)))
    }

    func sendEnd(_ channel: OpaquePointer) -> Outcome { outcome(libssh2_channel_send_eof(channel)) }

    /// How the command ended. Without a status from the server it reads 0, as libssh2 does not tell the difference.
    func exit(_ channel: OpaquePointer) -> SSHExit {
        var signal: UnsafeMutablePointer<CChar>?
        var length = 0
        libssh2_channel_get_exit_signal(channel, &signal, &length, nil, nil, nil, nil)
        guard let signal else { return .status(libssh2_channel_get_exit_status(channel)) }
        defer { libssh2_free(session, signal) }
        return .signal(neutralised(UnsafeRawBufferPointer(start: signal, count: length), limit: 32))
    }

    /// Says goodbye to the channel and forgets it once the server has answered.
    func free(_ channel: OpaquePointer) -> Outcome { outcome(libssh2_channel_free(channel)) }
}
