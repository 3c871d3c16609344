/// Turns messages into bytes and back, in the three notations that WAMP's basic profile binds.
package import Notation

/// A notation of messages, unbatched, as negotiated by websocket subprotocol.
package enum Serializer: String, Sendable, CaseIterable {
    case json
    case msgpack
    case cbor

    /// What a client's message may hold; no honest one comes near.
    package static let limits = NotationLimits(depth: 32, elements: 100_000)

    package init?(subprotocol: String) {
        guard let found = Self.allCases.first(where: { $0.subprotocol == subprotocol }) else { return nil }
        self = found
    }

    package var subprotocol: String { "wamp.2.\(rawValue)" }

    /// Whether websocket messages are binary instead of text.
    package var isBinary: Bool { self != .json }

    package func decode(
        _ bytes: UnsafeRawBufferPointer,
        limits: NotationLimits = Serializer.limits
    ) throws(Violation) -> Message {
        let value: Value
        do throws(NotationError) {
            switch self {
            case .json:
                let text = try JSON.decode(bytes, limits: limits)
                value = BinaryText.mayStand(in: bytes) ? BinaryText.unfold(text) : text
            case .msgpack: value = try MessagePack.decode(bytes, limits: limits)
            case .cbor: value = try CBOR.decode(bytes, limits: limits)
            }
        } catch {
            throw Violation("The message cannot be decoded: \(error).")
        }
        return try Message(value)
    }

    package func decode(
        _ bytes: [UInt8],
        limits: NotationLimits = Serializer.limits
    ) throws(Violation) -> Message {
        try bytes.withUnsafeBufferPointer { (buffer) throws(Violation) in
            try decode(UnsafeRawBufferPointer(buffer), limits: limits)
        }
    }

    package func encode(_ message: Message, into bytes: inout [UInt8]) {
        switch self {
        case .json: JSON.encode(message.value, into: &bytes)
        case .msgpack: MessagePack.encode(message.value, into: &bytes)
        case .cbor: CBOR.encode(message.value, into: &bytes)
        }
    }

    package func encode(_ message: Message) -> [UInt8] {
        var bytes: [UInt8] = []
        encode(message, into: &bytes)
        return bytes
    }
}
