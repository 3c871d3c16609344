/// Which requests are answered at all: by the name they ask for, the origin they come from, and their shape.
import NIOHTTP1

/// Why a request is not answered; the sentence goes out as the body.
struct Refusal: Error, Equatable {
    var status: Int
    var sentence: String
    /// Header fields besides those of every response.
    var fields: [String: String] = [:]
}

/// The allow-lists of one server. Pure: the same request always gets the same verdict.
///
/// The Host list stops DNS rebinding: a foreign page that points its own name at this address still sends that name.
/// The Origin list stops foreign pages, and pages of other ports on the same machine, which share our cookies.
struct Admission: Sendable {
    /// The longest request target; our longest path is far shorter.
    static let longestTarget = 2_048
    private static let loopbackNames: Set<String> = ["localhost", "127.0.0.1", "[::1]"]

    private let hosts: Set<String>
    private let origins: Set<String>
    private let proxies: Set<String>
    private let isTLS: Bool

    init(_ configuration: WebConfiguration) {
        var hosts = Self.loopbackNames.union(configuration.allowedHosts.map { $0.lowercased() })
        if !["0.0.0.0", "::", ""].contains(configuration.host) {
            hosts.insert(configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host.lowercased())
        }
        self.hosts = hosts
        origins = Set(configuration.allowedOrigins.map { $0.lowercased() })
        proxies = Set(configuration.trustedProxies)
        isTLS = configuration.tls != nil
    }

    /// Nil where the request may go on.
    func refusal(of head: HTTPRequestHead, peer: String) -> Refusal? {
        guard [.GET, .HEAD, .POST].contains(head.method) else {
            return Refusal(
                status: 405,
                sentence: "This method is not used here. Use GET, HEAD or POST.",
                fields: ["allow": "GET, HEAD, POST"]
            )
        }
        guard head.uri.utf8.count <= Self.longestTarget else {
            return Refusal(status: 414, sentence: "The address is longer than anything here. Check it.")
        }
        guard head.uri.hasPrefix("/") else {
            return Refusal(status: 400, sentence: "The request's target is no path. This is no proxy; ask for a path.")
        }
        let named = head.headers["host"]
        guard named.count == 1, let host = named.first?.lowercased() else {
            return Refusal(status: 400, sentence: "A request must have one Host field. Send exactly one.")
        }
        guard hosts.contains(host) || hosts.contains(Self.withoutPort(host)) else {
            return Refusal(
                status: 421,
                sentence: "Farseed does not answer to this name. If it should, add the name to allowed_hosts."
            )
        }
        let origins = head.headers["origin"]
        guard origins.count <= 1 else {
            return Refusal(status: 400, sentence: "A request may have one Origin field. Send at most one.")
        }
        if let origin = origins.first?.lowercased(), !isAllowed(origin: origin, host: host, head, peer: peer) {
            return Refusal(
                status: 403,
                sentence: "Pages of this origin may not use Farseed. If they should, add it to allowed_origins."
            )
        }
        return nil
    }

    private func isAllowed(origin: String, host: String, _ head: HTTPRequestHead, peer: String) -> Bool {
        if origins.contains(origin) { return true }
        let proto = head.headers["x-forwarded-proto"]
        let isSecure = isSecure(forwarded: proto.count == 1 ? proto.first : nil, peer: peer)
        if Self.isProgram(origin: origin) { return origin == "\(isSecure ? "wss" : "ws")://\(host)" }
        return origin == "\(isSecure ? "https" : "http")://\(host)"
    }

    /// Whether this is what a program says for an origin: no page has an address by websocket, and some WAMP libraries
    /// send the one that they connect to.
    private static func isProgram(origin: String) -> Bool { origin.hasPrefix("ws://") || origin.hasPrefix("wss://") }

    /// The origin of the page that opens a websocket; nil where no page does.
    static func page(of origin: String?) -> String? {
        guard let origin, !isProgram(origin: origin.lowercased()) else { return nil }
        return origin
    }

    /// Whether the browser's side of the connection is TLS: ours, or a trusted proxy's.
    func isSecure(forwarded: String?, peer: String) -> Bool {
        isTLS || (proxies.contains(peer) && forwarded?.lowercased() == "https")
    }

    /// The client's address: the peer's, or what trusted proxies say; of a chain the last that no trusted proxy has.
    func client(forwarded: [String], peer: String) -> String {
        guard proxies.contains(peer) else { return peer }
        let chain = forwarded.flatMap { $0.split(separator: ",") }.map { $0.trimmingSpaces }
        guard let client = chain.last(where: { !proxies.contains($0) }), client.utf8.count <= 45,
            client.utf8.allSatisfy({ $0.isAddressByte })
        else { return peer }
        return client
    }

    /// Loopback and proxies stand for many clients and have no bound of their own.
    func isShared(_ address: String) -> Bool {
        address == "127.0.0.1" || address == "::1" || address.isEmpty || proxies.contains(address)
    }

    private static func withoutPort(_ host: String) -> String {
        guard let colon = host.lastIndex(of: ":"), !host[colon...].contains("]"),
            host[host.index(after: colon)...].utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return host }
        return String(host[..<colon])
    }
}

extension UInt8 {
    /// May stand in a numeric IPv4 or IPv6 address.
    fileprivate var isAddressByte: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66, 0x2E, 0x3A: true
        default: false
        }
    }
}

extension StringProtocol {
    /// Without the spaces and tabs at both ends.
    var trimmingSpaces: String {
        var part = self[...]
        while let first = part.utf8.first, first == 0x20 || first == 0x09 { part = part.dropFirst() }
        while let last = part.last, last == " " || last == "\t" { part = part.dropLast() }
        return String(part)
    }
}
