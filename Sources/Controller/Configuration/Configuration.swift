/// What `farseed.toml` says, checked: where the daemon listens, how it reaches Tor, and which seedboxes there are.
struct Configuration: Sendable, Equatable {
    /// The file it was read from; nil where there is none and the defaults stand.
    var path: String?
    /// Where the database, tor's own directory and the control socket live.
    var stateDirectory: String
    var control = Control()
    var web = Web()
    var tor = Tor()
    var link = LinkTiming()
    /// In alphabetical order of their names.
    var boxes: [Box] = []
    /// In alphabetical order of their names.
    var workers: [Worker] = []
    /// Nil: no events are taken by ZeroMQ.
    var ingest: Ingest?

    /// The socket through which commands reach the daemon.
    struct Control: Sendable, Equatable {
        /// Absolute path; nil: `control.sock` in the state directory.
        var socket: String?
        /// Members of this group may use the socket too; nil: only the daemon's user (and root).
        var group: String?
        /// What the users whom `group` lets in may do.
        var grants: [Grant] = []
    }

    /// The HTTP and websocket server.
    struct Web: Sendable, Equatable {
        var host = "127.0.0.1"
        /// 0 lets the system choose.
        var port = 8080
        /// Values of the `Host` header that are answered besides the address listened on; names without port.
        var allowedHosts: [String] = []
        /// Origins that may open websockets besides the server's own, such as `https://seed.example`.
        var allowedOrigins: [String] = []
        /// PEM file of the certificate chain; nil serves plain HTTP.
        var certificate: String?
        var certificateKey: String?
        /// Addresses of reverse proxies whose `X-Forwarded-*` headers are believed.
        var trustedProxies: [String] = []
        /// Where tor brings the clients of an onion service; a TCP address of loopback.
        var onionListen: SocketAddressText?
        /// File with the token by which programs read `/metrics`; nil: only people who are logged in.
        var metricsTokenFile: String?
        /// Serves clients of WAMP v1 too.
        var servesLegacy = false
        /// Ends WAMP sessions whose request numbers do not count from 1.
        var demandsSequentialRequests = false
        /// URI prefixes, each with its dot at the end, that anybody may subscribe to without a login.
        var openTopics: [String] = []
    }

    /// How Tor is reached.
    struct Tor: Sendable, Equatable {
        /// Nil: an own tor child runs in the state directory.
        var socks: SocketAddressText?
        /// The control port of the tor given by `socks`; nil: the link works without its news.
        var control: SocketAddressText?
        /// File with the control port's password; nil: cookie or none.
        var controlPasswordFile: String?
        /// The program of the own child; nil: `tor` in `$PATH`.
        var binary: String?
        /// File whose lines are appended to the own child's torrc.
        var include: String?
    }

    /// The link's timing where it departs from the defaults; each nil is a default of the Tunnel target.
    struct LinkTiming: Sendable, Equatable {
        /// Silence after which the agent is probed.
        var probeAfter: Duration?
        /// Silence after which a second session is begun, at the least.
        var suspectAfter: Duration?
        /// How many round trips that is at the least.
        var suspectFactor: Int?
        /// Silence after which the link counts as dead, at the least.
        var deadAfter: Duration?
        /// How many round trips that is at the least.
        var deadFactor: Int?
        /// The bound of the first pause between two attempts; it doubles from pause to pause.
        var retryAtLeast: Duration?
        /// The longest pause between two attempts.
        var retryAtMost: Duration?
        /// The pause after a fault that only the owner can mend.
        var retryFault: Duration?
        /// Least time between the beginnings of two attempts.
        var spacing: Duration?
        /// How long an attempt may take before another is begun beside it.
        var rivalAfter: Duration?
        /// Deadline for tor's answer to an attempt.
        var connectWithin: Duration?
        /// Deadline from the log-in to the agent's greeting.
        var greetWithin: Duration?
        /// Keeps a second session warm on another circuit.
        var standby = false
        /// Bytes after which a session is replaced.
        var recycleAfter: UInt64?
        /// Compresses the SSH stream.
        var compression = true
    }

    /// One seedbox.
    struct Box: Sendable, Equatable {
        /// Lower-case letters, digits and `_`; part of every topic's name.
        var name: String
        /// Onion addresses, or names and addresses reached through an exit; tried in turn.
        var addresses: [String]
        var port = 22
        var user: String
        /// File of the ed25519 private key in OpenSSH's format.
        var key: String
        /// Accepted host keys, each as `ssh-ed25519 AAAA…`.
        var hostKeys: [String]
        /// File with the key of onion client authorization; nil where the service demands none.
        var clientAuth: String?
    }

    /// A program that may enter the subscription service by a secret or key of its own.
    struct Worker: Sendable, Equatable {
        enum Proof: Sendable, Equatable {
            /// File of the secret that WAMP-CRA is played with.
            case secretFile(String)
            /// 64 hex digits: an Ed25519 key for WAMP-Cryptosign.
            case publicKey(String)
        }

        /// As a seedbox's.
        var name: String
        /// `owner`, `operator`, `viewer` or `guest`.
        var role = "guest"
        var proof: Proof
        /// URI prefixes, each with its dot at the end.
        var procedures: [String] = []
        var topics: [String] = []
    }

    /// Events that local programs push by ZeroMQ.
    struct Ingest: Sendable, Equatable {
        /// A loopback address.
        var host: String
        /// 0 lets the system choose.
        var port: Int
        /// URI prefixes, each with its dot at the end.
        var topics: [String]
    }

    init(path: String? = nil, stateDirectory: String) {
        self.path = path
        self.stateDirectory = stateDirectory
    }

    /// Where the daemon listens for commands.
    var controlSocket: String { control.socket ?? stateDirectory + "/control.sock" }
}

/// A TCP address or the path of a unix socket, as `127.0.0.1:9050` or `unix:/run/tor/socks`.
enum SocketAddressText: Sendable, Hashable, CustomStringConvertible {
    case tcp(host: String, port: Int)
    case unix(path: String)

    var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Nil where `text` is neither `host:port`, `[address]:port` nor `unix:/path`.
    init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard path.hasPrefix("/"), path.utf8.count <= Self.longestUnixPath else { return nil }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace }) else { return nil }
        self = .tcp(host: String(host), port: port)
    }

    /// `sun_path` of Linux holds 108 bytes with its end.
    static let longestUnixPath = 107
}
