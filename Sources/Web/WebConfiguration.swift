/// What the web server is told: where it listens, whom it answers, and how much it takes.
import WAMP

package struct WebConfiguration: Sendable {
    /// Certificate chain and private key, both PEM files.
    package struct TLS: Sendable {
        package var certificateFile: String
        package var keyFile: String

        package init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    package var host: String
    /// 0 for any free one.
    package var port: Int
    /// Names, with or without a port, that a request's Host may have besides loopback's; without one of these a page
    /// that rebinds its own name to this address gets nothing.
    package var allowedHosts: [String]
    /// Origins, such as `https://box.example`, that may use the service besides the one that the request's Host names.
    package var allowedOrigins: [String]
    /// Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    package var trustedProxies: [String]
    package var tls: TLS?
    /// An address of loopback where tor brings the clients of an onion service, each connection with the line of
    /// `HiddenServiceExportCircuitID haproxy`; by plain HTTP, as Tor encrypts.
    package var onion: (host: String, port: Int)?
    /// Lets a program read the figures, as `Authorization: Bearer`; nil: only people who are logged in.
    package var metricsToken: String?
    /// Whether clients of WAMP v1 are served, at a path of their own.
    package var servesLegacy: Bool
    package var limits: Limits

    package init(
        host: String = "127.0.0.1",
        port: Int = 8080,
        allowedHosts: [String] = [],
        allowedOrigins: [String] = [],
        trustedProxies: [String] = [],
        tls: TLS? = nil,
        onion: (host: String, port: Int)? = nil,
        metricsToken: String? = nil,
        servesLegacy: Bool = false,
        limits: Limits = Limits()
    ) {
        self.host = host
        self.port = port
        self.allowedHosts = allowedHosts
        self.allowedOrigins = allowedOrigins
        self.trustedProxies = trustedProxies
        self.tls = tls
        self.onion = onion
        self.metricsToken = metricsToken
        self.servesLegacy = servesLegacy
        self.limits = limits
    }

    /// What holds for the clients of the onion service: no TLS, and nobody between tor and us who is believed.
    var forOnion: WebConfiguration? {
        guard let onion else { return nil }
        var configuration = self
        (configuration.host, configuration.port) = onion
        configuration.tls = nil
        configuration.trustedProxies = []
        return configuration
    }

    /// The page's address for a browser on this machine, without a slash at its end.
    package func pageAddress(port: Int) -> String {
        let host = ["0.0.0.0", "::"].contains(host) ? "127.0.0.1" : host
        return "\(tls == nil ? "http" : "https")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }

    /// The paths of websockets, each with its subprotocols, of which the client's order decides.
    var sockets: [String: [String]] {
        var sockets = ["/ws": Serializer.allCases.map(\.subprotocol)]
        if servesLegacy { sockets["/ws/v1"] = [Dialect.legacySubprotocol] }
        return sockets
    }

    /// Bounds against clients that take more than their share; times in milliseconds.
    package struct Limits: Sendable {
        /// Connections of all clients together.
        package var connections = 8_192
        /// Connections from one address; loopback and trusted proxies count as many addresses and have only the total.
        package var connectionsPerAddress = 64
        /// Websockets of one user.
        package var socketsPerUser = 256
        /// Websockets that have not shown who they are.
        package var unauthenticatedSockets = 256
        /// All header fields of a request together.
        package var headerBytes = 16_384
        package var headerFields = 100
        /// A request's body; the largest we need is a token.
        package var bodyBytes = 4_096
        /// From the connection's start to the end of its first request's head.
        package var headWithin: Int64 = 10_000
        /// From one response to the end of the next request's head.
        package var idleWithin: Int64 = 60_000
        /// From the head to the end of a request's body, and then to the end of its response.
        package var bodyWithin: Int64 = 15_000
        package var responseWithin: Int64 = 120_000
        /// From a websocket's start to its welcome.
        package var welcomeWithin: Int64 = 10_000
        /// The largest message of a websocket before and after its welcome.
        package var greetingBytes = 8_192
        package var messageBytes = 1 << 20
        /// Nesting and elements of a message.
        package var messageDepth = 32
        package var messageElements = 100_000
        /// Messages a second that a websocket may send in the long run, and at once.
        package var messagesPerSecond = 200
        package var messageBurst = 1_000
        /// Subscriptions of one session.
        package var subscriptions = 1_024
        /// Bytes of events kept for a reader that does not keep up, before its newest state replaces them.
        package var conflateBytes = 256 * 1_024
        /// Bytes of answers kept for it before it is sent away, and how long it may read nothing.
        package var backlogBytes = 4 << 20
        package var backlogWithin: Int64 = 30_000
        /// A websocket whose peer sends nothing and acknowledges nothing for so long is pinged, and one that sends nothing
        /// for the longer time in any case; it ends where then nothing comes within the last time.
        package var pingAfter: Int64 = 30_000
        package var pingAtLatest: Int64 = 300_000
        package var pongWithin: Int64 = 45_000
        /// Logins that may fail from one address within a minute.
        package var failedLogins = 10

        package init() {}
    }
}
