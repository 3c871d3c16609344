package import NIOCore
package import Notation

/// One frame of the protocol: a call's id, 0 for the connection itself, and what it says.
package struct Frame: Sendable, Hashable {
    package var call: UInt32
    package var body: Body

    package init(_ body: Body, call: UInt32 = 0) {
        self.call = call
        self.body = body
    }

    package enum Body: Sendable, Hashable {
        case hello(Hello)
        case call(procedure: String, arguments: Value, cost: Int)
        case reply(Value)
        case failure(WireFailure)
        case event(Value, cost: Int)
        case data(lane: UInt8, ByteBuffer)
        case end(lane: UInt8)
        case credit(UInt32)
        case cancel
        case ping(UInt64)
        case pong(UInt64)
        case goodbye(WireFailure)
    }

    /// The second field of a frame.
    package enum Kind: UInt8, Sendable, CaseIterable {
        case hello = 0x01
        case call, reply, failure, event, data, end, credit, cancel, ping, pong, goodbye
    }
}

extension Frame {
    /// The first bytes of a stream, in both directions.
    package static let preamble: [UInt8] = Array("FARSEED\n".utf8)
    /// Length, type and call id.
    package static let headerBytes = 9
    /// What the length field may say: type, id and payload.
    package static let lengthBounds = 5...262_144
    /// The most bytes of a payload.
    package static let maximumPayload = lengthBounds.upperBound - 5

    /// What an event or data frame with `payload` bytes takes from the credit: its whole length.
    ///
    /// The header counts, so that many tiny frames cannot make the receiver hold many times what it granted.
    package static func cost(payload: Int) -> Int { headerBytes + payload }

    /// The payload of a call frame.
    package static func payload(calling procedure: String, _ arguments: Value) -> [UInt8] {
        CBOR.encode(["procedure": .string(procedure), "arguments": arguments])
    }

    package var kind: Kind {
        switch body {
        case .hello: .hello
        case .call: .call
        case .reply: .reply
        case .failure: .failure
        case .event: .event
        case .data: .data
        case .end: .end
        case .credit: .credit
        case .cancel: .cancel
        case .ping: .ping
        case .pong: .pong
        case .goodbye: .goodbye
        }
    }

    /// Writes the frame; its payload must be within `maximumPayload`, which the caller has checked.
    package func encode(into buffer: inout ByteBuffer) {
        switch body {
        case .hello(let hello):
            buffer.writeFrame(.hello, call: call, payload: CBOR.encode(hello.value))
        case .call(let procedure, let arguments, _):
            buffer.writeFrame(.call, call: call, payload: Self.payload(calling: procedure, arguments))
        case .reply(let value):
            buffer.writeFrame(.reply, call: call, payload: CBOR.encode(value))
        case .failure(let failure):
            buffer.writeFrame(.failure, call: call, payload: CBOR.encode(failure.value))
        case .event(let value, _):
            buffer.writeFrame(.event, call: call, payload: CBOR.encode(value))
        case .data(let lane, let bytes):
            buffer.writeFrameHeader(.data, call: call, payload: 1 + bytes.readableBytes)
            buffer.writeInteger(lane)
            buffer.writeImmutableBuffer(bytes)
        case .end(let lane):
            buffer.writeFrameHeader(.end, call: call, payload: 1)
            buffer.writeInteger(lane)
        case .credit(let bytes):
            buffer.writeFrameHeader(.credit, call: call, payload: 4)
            buffer.writeInteger(bytes)
        case .cancel:
            buffer.writeFrameHeader(.cancel, call: call, payload: 0)
        case .ping(let token):
            buffer.writeFrameHeader(.ping, call: call, payload: 8)
            buffer.writeInteger(token)
        case .pong(let token):
            buffer.writeFrameHeader(.pong, call: call, payload: 8)
            buffer.writeInteger(token)
        case .goodbye(let failure):
            buffer.writeFrame(.goodbye, call: call, payload: CBOR.encode(failure.value))
        }
    }
}

extension ByteBuffer {
    /// Writes a frame whose payload is encoded already.
    package mutating func writeFrame(_ kind: Frame.Kind, call: UInt32, payload: [UInt8]) {
        writeFrameHeader(kind, call: call, payload: payload.count)
        writeBytes(payload)
    }

    package mutating func writeFrameHeader(_ kind: Frame.Kind, call: UInt32, payload: Int) {
        precondition(payload <= Frame.maximumPayload, "A payload must be measured before it is sent.")
        writeInteger(UInt32(5 + payload))
        writeInteger(kind.rawValue)
        writeInteger(call)
    }
}

extension WireFailure {
    package var value: Value { ["code": .string(code), "message": .string(message)] }

    package init?(_ value: Value) {
        guard let code = value["code"]?.string, let message = value["message"]?.string else { return nil }
        self.init(code: code, message: message)
    }
}
