/// The client's side of SOCKS5: RFC 1928 with the username and password of RFC 1929, by domain name only.
package import NIOCore

/// A pure machine: bytes in, what to do out. Tor keeps streams with different credentials on different circuits.
package struct SOCKS5Client: Sendable {
    /// What a request is made of; the name is resolved by tor, never here.
    package struct Request: Sendable, Hashable {
        package var host: String
        package var port: UInt16
        package var username: String
        package var password: String
        /// The stream's first bytes, sent with the request: tor passes them on as soon as there is a circuit.
        package var ahead: [UInt8]

        package init(host: String, port: UInt16, username: String, password: String, ahead: [UInt8] = []) {
            precondition((1...255).contains(host.utf8.count), "SOCKS5 names have 1 to 255 bytes.")
            precondition((1...255).contains(username.utf8.count), "SOCKS5 user names have 1 to 255 bytes.")
            precondition((1...255).contains(password.utf8.count), "SOCKS5 passwords have 1 to 255 bytes.")
            self.host = host
            self.port = port
            self.username = username
            self.password = password
            self.ahead = ahead
        }
    }

    package enum Action: Sendable, Hashable {
        case send([UInt8])
        case wait
        /// The stream to the host is open; what comes next is the host's.
        case connected
        case fail(SOCKSFailure)
    }

    private enum State {
        /// We have sent the methods: 05 01 02.
        case choosing
        /// We have sent the credentials.
        case authenticating
        /// We have sent CONNECT.
        case requesting
        /// Connected or failed.
        case over
    }

    private let request: Request
    private var state = State.choosing

    package init(_ request: Request) { self.request = request }

    /// The first bytes. Only method 2 is offered: without credentials tor would share circuits.
    package static let greeting: [UInt8] = [0x05, 0x01, 0x02]

    /// Takes what has arrived; consumes a whole reply or nothing.
    package mutating func received(_ bytes: inout ByteBuffer) -> Action {
        switch state {
        case .choosing: choosing(&bytes)
        case .authenticating: authenticating(&bytes)
        case .requesting: requesting(&bytes)
        case .over: .wait
        }
    }

    /// The peer closed before the dialogue was over.
    package mutating func closed() -> Action { fail(.closed) }

    /// The dialogue is over but for the answer that waits for a circuit.
    var isRequesting: Bool {
        if case .requesting = state { true } else { false }
    }

    /// The deadline of what is being waited for has passed.
    package mutating func timedOut() -> Action {
        if case .requesting = state { fail(.noCircuit) } else { fail(.silent) }
    }

    private mutating func choosing(_ bytes: inout ByteBuffer) -> Action {
        guard let version = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) else { return .wait }
        guard version == 0x05 else { return fail(.notSOCKS) }
        guard let reply = bytes.readBytes(length: 2) else { return .wait }
        switch reply[1] {
        case 0x02: break
        case 0xFF: return fail(.credentialsRefused)
        default: return fail(.notSOCKS)
        }
        state = .authenticating
        let username = Array(request.username.utf8)
        let password = Array(request.password.utf8)
        return .send([0x01, UInt8(username.count)] + username + [UInt8(password.count)] + password)
    }

    private mutating func authenticating(_ bytes: inout ByteBuffer) -> Action {
        guard let reply = bytes.readBytes(length: 2) else { return .wait }
        guard reply[0] == 0x01 else { return fail(.notSOCKS) }
        guard reply[1] == 0x00 else { return fail(.credentialsRefused) }
        state = .requesting
        let host = Array(request.host.utf8)
        return .send(
            [0x05, 0x01, 0x00, 0x03, UInt8(host.count)] + host
                + [UInt8(request.port >> 8), UInt8(truncatingIfNeeded: request.port)] + request.ahead
        )
    }

    private mutating func requesting(_ bytes: inout ByteBuffer) -> Action {
        guard let head = bytes.getBytes(at: bytes.readerIndex, length: 4) else {
            if let version = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self), version != 0x05 {
                return fail(.notSOCKS)
            }
            return .wait
        }
        guard head[0] == 0x05 else { return fail(.notSOCKS) }
        guard head[1] == 0x00 else {
            // A refusal is final whatever address follows; a proxy may leave that out.
            return fail(SOCKSReply(rawValue: head[1]).map { .reply($0) } ?? .unknownReply(head[1]))
        }
        let addressLength: Int
        switch head[3] {
        case 0x01: addressLength = 4
        case 0x04: addressLength = 16
        case 0x03:
            guard let length = bytes.getInteger(at: bytes.readerIndex + 4, as: UInt8.self) else { return .wait }
            addressLength = 1 + Int(length)
        default: return fail(.notSOCKS)
        }
        guard bytes.readSlice(length: 4 + addressLength + 2) != nil else { return .wait }
        state = .over
        return .connected
    }

    private mutating func fail(_ failure: SOCKSFailure) -> Action {
        if case .over = state { return .wait }
        state = .over
        return .fail(failure)
    }
}
