/// The opening handshake of a websocket (RFC 6455, section 4.2), judged without any input or output.
import Crypto
import NIOHTTP1

/// What a request for a websocket amounts to.
enum WebSocketUpgrade: Equatable {
    /// No such request: HTTP goes on.
    case none
    /// Another protocol is asked for beside HTTP, such as h2c; it is answered as plain HTTP.
    case foreign
    case refused(Refusal)
    /// The fields of the 101 response, and the subprotocol chosen.
    case accepted(HTTPHeaders, subprotocol: String)

    /// Ends every key before hashing (RFC 6455, section 1.3).
    private static let suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// - Parameter sockets: the paths of websockets, each with its subprotocols.
    init(_ head: HTTPRequestHead, sockets: [String: [String]]) {
        let wanted = head.headers[canonicalForm: "upgrade"].map { $0.lowercased() }
        guard !wanted.isEmpty else {
            self = .none
            return
        }
        let connection = head.headers[canonicalForm: "connection"].map { $0.lowercased() }
        guard wanted.contains("websocket"), connection.contains("upgrade"), head.method == .GET,
            let subprotocols = sockets[String(head.uri.prefix { $0 != "?" })]
        else {
            self = .foreign
            return
        }
        guard head.version == .http1_1, head.headers["sec-websocket-version"] == ["13"] else {
            self = .refused(
                Refusal(
                    status: 426,
                    sentence: "Only version 13 of the websocket protocol is spoken here. Use a client that speaks it.",
                    fields: ["sec-websocket-version": "13", "upgrade": "websocket"]
                )
            )
            return
        }
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, let key = keys.first, Self.isSixteenBytes(key),
            !head.headers.contains(name: "content-length"), !head.headers.contains(name: "transfer-encoding")
        else {
            self = .refused(
                Refusal(
                    status: 400,
                    sentence: "The websocket's opening is malformed. Use a client that follows RFC 6455."
                )
            )
            return
        }
        let offered = head.headers[canonicalForm: "sec-websocket-protocol"].map(String.init)
        guard let chosen = offered.first(where: subprotocols.contains) else {
            let list = subprotocols.joined(separator: ", ")
            self = .refused(
                Refusal(status: 400, sentence: "None of the offered subprotocols is spoken here. Offer one of \(list).")
            )
            return
        }
        let digest = Insecure.SHA1.hash(data: Array((key + Self.suffix).utf8))
        var fields = HTTPHeaders()
        fields.add(name: "upgrade", value: "websocket")
        fields.add(name: "connection", value: "upgrade")
        fields.add(name: "sec-websocket-accept", value: Base64.encode(digest))
        fields.add(name: "sec-websocket-protocol", value: chosen)
        self = .accepted(fields, subprotocol: chosen)
    }

    /// Base64 of 16 bytes: 22 characters and two signs of padding.
    private static func isSixteenBytes(_ key: String) -> Bool {
        let bytes = Array(key.utf8)
        return bytes.count == 24 && bytes[22] == 0x3D && bytes[23] == 0x3D
            && bytes[..<22].allSatisfy { Base64.isDigit($0) }
    }
}
