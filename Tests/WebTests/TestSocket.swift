/// A websocket and a WAMP session of the tests, over bytes of their own making.
import NIOCore
import Notation
import Testing
import WAMP

@testable import Web

struct ServerFrame: Sendable, Equatable {
    var opcode: UInt8
    var payload: [UInt8]

    var text: String { String(decoding: payload, as: UTF8.self) }
    /// Of a close frame.
    var code: UInt16? { opcode == 8 && payload.count >= 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : nil }
}

/// The bytes cut as a network may: into pieces of so many.
func pieces(of bytes: [UInt8], _ size: Int) -> [ByteBuffer] {
    stride(from: 0, to: bytes.count, by: min(size, max(bytes.count, 1)))
        .map { ByteBuffer(bytes: bytes[$0..<($0 + min(size, bytes.count - $0))]) }
}

/// A frame as a client sends it, masked.
func clientFrame(_ opcode: UInt8, _ payload: [UInt8], final: Bool = true) -> [UInt8] {
    let mask: [UInt8] = [0x11, 0x22, 0x33, 0x44]
    var bytes: [UInt8] = [(final ? 0x80 : 0) | opcode]
    if payload.count <= 125 {
        bytes.append(0x80 | UInt8(payload.count))
    } else if payload.count <= 0xFFFF {
        bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    } else {
        bytes.append(0x80 | 127)
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(payload.count >> shift & 0xFF)) }
    }
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
}

struct TestSocket: Sendable {
    static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    let client: RawClient
    /// What its messages are written in.
    var serializer = Serializer.json

    static func upgradeFields(_ origin: String?, subprotocol: String = "wamp.2.json") -> [(String, String)] {
        var fields = [
            ("upgrade", "websocket"), ("connection", "keep-alive, Upgrade"), ("sec-websocket-version", "13"),
            ("sec-websocket-key", key), ("sec-websocket-protocol", subprotocol),
        ]
        if let origin { fields.append(("origin", origin)) }
        return fields
    }

    static func open(
        _ live: LiveServer,
        path: String = "/ws",
        subprotocol: String = "wamp.2.json"
    ) async throws -> TestSocket {
        let client = try await live.connect()
        let response = try await client.request(
            "GET",
            path,
            host: live.host,
            upgradeFields(live.origin, subprotocol: subprotocol)
        )
        try #require(response.status == 101)
        return TestSocket(client: client, serializer: Serializer(subprotocol: subprotocol) ?? .json)
    }

    /// Opens a session as the owner.
    static func session(
        _ live: LiveServer,
        cookie: String? = nil,
        serializer: Serializer = .json
    ) async throws -> TestSocket {
        let ticket: String
        if let cookie {
            ticket = try await live.ticket(cookie: cookie)
        } else {
            ticket = try await live.ticket(cookie: live.login())
        }
        let socket = try await open(live, subprotocol: serializer.subprotocol)
        let answer = try await socket.greet(user: "owner", ticket: ticket)
        try #require(answer?.array?.first == 2)
        return socket
    }

    /// HELLO and AUTHENTICATE; the WELCOME or ABORT.
    func greet(user: String, ticket: String) async throws -> Value? {
        let hello: Value = [
            1, "farseed",
            ["roles": ["subscriber": [:], "caller": [:]], "authmethods": ["ticket"], "authid": .string(user)],
        ]
        try await send(hello)
        guard let challenge = try await message(), challenge.array?.first == 4 else { return nil }
        try await send([5, .string(ticket), [:]])
        return try await message()
    }

    func send(_ message: Value) async throws {
        switch serializer {
        case .json: try await client.send(clientFrame(1, JSON.encode(message)))
        case .msgpack: try await client.send(clientFrame(2, MessagePack.encode(message)))
        case .cbor: try await client.send(clientFrame(2, CBOR.encode(message)))
        }
    }

    func frame() async throws -> ServerFrame? {
        try await client.next { bytes in
            guard bytes.count >= 2 else { return nil }
            var (length, size) = (Int(bytes[1] & 0x7F), 2)
            if length == 126 {
                guard bytes.count >= 4 else { return nil }
                (length, size) = (Int(bytes[2]) << 8 | Int(bytes[3]), 4)
            } else if length == 127 {
                guard bytes.count >= 10 else { return nil }
                (length, size) = (bytes[2..<10].reduce(0) { $0 << 8 | Int($1) }, 10)
            }
            guard bytes.count >= size + length else { return nil }
            let frame = ServerFrame(opcode: bytes[0] & 0x0F, payload: Array(bytes[size..<size + length]))
            bytes.removeFirst(size + length)
            return frame
        }
    }

    /// The next WAMP message; nil once the connection is over.
    func message() async throws -> Value? {
        while let frame = try await frame() {
            switch (frame.opcode, serializer) {
            case (1, .json): return try JSON.decode(frame.payload)
            case (2, .msgpack): return try MessagePack.decode(frame.payload)
            case (2, .cbor): return try CBOR.decode(frame.payload)
            default: break
            }
            if frame.opcode == 8 { return nil }
        }
        return nil
    }

    /// The close frame's code; nil where the connection ended without.
    func closeCode() async throws -> UInt16? {
        while let frame = try await frame() {
            if let code = frame.code { return code }
        }
        return nil
    }

    /// Subscribes; the subscription.
    func subscribe(_ topic: String, id: Int64, options: Value = ["get_retained": true]) async throws -> Int64 {
        try await send([32, .int(id), options, .string(topic)])
        let answer = try await message()?.array
        try #require(answer?.count == 3 && answer?[0] == 33)
        return try #require(answer?[2].int)
    }

    func close() { client.close() }
}
