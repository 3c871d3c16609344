package import NIOCore

/// Whom to log in as, whom to trust, and how long each step may take.
package struct SSHConfiguration: Sendable {
    /// Which host keys are accepted.
    package enum HostKeyPolicy: Sendable {
        /// These and no other.
        case pinned([HostKey])
        /// Any; the closure is told which, before the login. Only where the owner asked for it.
        case acceptNew(@Sendable (HostKey) -> Void)
    }

    /// How long each phase may take. Over Tor a round trip can take 2 s and more, and each has several.
    package struct Deadlines: Sendable {
        /// The server's first line: 1 round trip, and whatever sshd needs to start.
        package var banner: TimeAmount = .seconds(45)
        /// The key exchange after it: 2 round trips.
        package var handshake: TimeAmount = .seconds(60)
        /// Service request, key offer, signature: 3 round trips.
        package var login: TimeAmount = .seconds(45)
        /// Opening a channel: 1 round trip, after those asked for before it.
        package var channelOpen: TimeAmount = .seconds(45)
        /// Starting a command: 1 round trip and the start of a process.
        package var exec: TimeAmount = .seconds(45)
        /// The goodbye of a channel or of the connection; after it the descriptor is closed.
        package var close: TimeAmount = .seconds(5)
        /// No byte either way although there is something to send and the line is free: more than any re-key takes.
        package var stall: TimeAmount = .seconds(60)

        package init() {}
    }

    package var user: String
    package var key: PrivateKey
    package var hostKey: HostKeyPolicy
    /// zlib on the whole connection: fewer bytes over Tor, more work on both sides.
    package var compression = false
    /// Bytes that the server may send on a channel ahead of its reader: 3 MB/s at 0.7 s round-trip time.
    package var window = 2 << 20
    package var deadlines = Deadlines()
    /// True where whoever opened the stream has sent `identification` on it already.
    package var isIdentified = false

    /// Our identification string and its line end, which begin the stream: RFC 4253, section 4.2.
    package static let identification = Array("SSH-2.0-Farseed\r\n".utf8)

    package init(user: String, key: PrivateKey, hostKey: HostKeyPolicy) {
        self.user = user
        self.key = key
        self.hostKey = hostKey
    }
}
