/// Where Transmission's RPC is and how long to wait for it.

import Glibc

package struct RPCConfiguration: Sendable, Hashable {
    /// A numeric address: the static agent carries no resolver.
    package var host = "127.0.0.1"
    package var port = 9091
    package var path = "/transmission/rpc"
    /// The account, where the daemon demands one.
    package var user: String?
    package var password: String?
    /// A connection on loopback is made at once or not at all.
    package var connectDeadline = Duration.seconds(5)
    /// Transmission answers nothing while it moves or checks files on a slow disk, and never answers some bad requests.
    package var replyDeadline = Duration.seconds(60)
    /// Two hundred thousand torrents in table form stay under it.
    package var largestReply = 64 << 20

    package init() {}

    /// Reads `http://ADDRESS[:PORT][/PATH]`; `localhost` stands for 127.0.0.1. Nil where it is something else.
    package init?(url: String) {
        self.init()
        let scheme = "http://"
        guard url.hasPrefix(scheme) else { return nil }
        var rest = url.dropFirst(scheme.count)
        if let slash = rest.firstIndex(of: "/") {
            let given = String(rest[slash...])
            guard given.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
            if given != "/" { path = given }
            rest = rest[..<slash]
        }
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            rest = rest[rest.index(after: end)...]
        } else {
            let colon = rest.firstIndex(of: ":") ?? rest.endIndex
            host = String(rest[..<colon])
            rest = rest[colon...]
        }
        if host == "localhost" { host = "127.0.0.1" }
        if !rest.isEmpty {
            guard rest.first == ":", let port = Int(rest.dropFirst()), (1...65_535).contains(port) else { return nil }
            self.port = port
        }
        guard !host.isEmpty, host.utf8.allSatisfy(Self.isAddressByte) else { return nil }
    }

    /// `ADDRESS:PORT`, an IPv6 address in brackets.
    package var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether nothing that is said there leaves this machine: 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, host, &bytes) == 1 { return bytes[0] == 127 }
        return inet_pton(AF_INET6, host, &bytes) == 1 && bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "."), UInt8(ascii: ":"):
            true
        default: false
        }
    }
}
