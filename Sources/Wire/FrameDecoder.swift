package import NIOCore
import Notation

/// Turns a stream's bytes into frames, however they are cut.
///
/// It holds at most one unfinished frame besides what was appended last. After an error it takes nothing more.
package struct FrameDecoder: Sendable {
    /// The most bytes of a stream that is not Farseed's that are kept for the error.
    package static let maximumReceived = 1_024
    /// Data shorter than this is copied out, so that a few bytes do not keep a whole read alive.
    private static let smallData = 4_096
    /// What a caller's arguments may hold; other payloads are bounded by their length alone.
    private static let argumentLimits = NotationLimits(elements: 65_536)
    /// What a hello or a failure may hold.
    private static let smallLimits = NotationLimits(depth: 8, elements: 1_024)

    private enum State {
        /// The preamble has not come yet.
        case preamble
        /// The preamble came; the hello did not.
        case greeting
        case frames
        case failed(WireError)
    }

    private var state = State.preamble
    private var buffer = ByteBuffer()

    package init() {}

    package mutating func append(_ bytes: ByteBuffer) {
        if case .failed = state { return }
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.discardReadBytes()
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole frame; nil where more bytes are needed.
    package mutating func next() throws(WireError) -> Frame? {
        do throws(WireError) {
            if case .failed(let error) = state { throw error }
            if case .preamble = state {
                guard try readPreamble() else { return nil }
                state = .greeting
            }
            guard let frame = try readFrame() else { return nil }
            if case .greeting = state { state = .frames }
            return frame
        } catch {
            state = .failed(error)
            buffer.clear()
            throw error
        }
    }

    /// The stream has ended: throws unless that is between two frames.
    package mutating func finish() throws(WireError) {
        switch state {
        case .failed(let error):
            throw error
        case .preamble:
            let received = Array(buffer.readableBytesView.prefix(Self.maximumReceived))
            throw WireError(.notGreeted, "The stream ended before the peer's greeting.", received: received)
        case .greeting:
            throw WireError(.notGreeted, "The stream ended within the peer's greeting.")
        case .frames:
            guard buffer.readableBytes == 0 else {
                throw WireError(.truncated, "The stream ended within a frame.")
            }
        }
    }

    private mutating func readPreamble() throws(WireError) -> Bool {
        let expected = Frame.preamble
        guard buffer.readableBytesView.prefix(expected.count).elementsEqual(expected.prefix(buffer.readableBytes))
        else {
            throw WireError(
                .notFarseed,
                "The stream does not begin as Farseed's.",
                received: Array(buffer.readableBytesView.prefix(Self.maximumReceived))
            )
        }
        guard buffer.readableBytes >= expected.count else { return false }
        buffer.moveReaderIndex(forwardBy: expected.count)
        return true
    }

    private mutating func readFrame() throws(WireError) -> Frame? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else { return nil }
        guard Frame.lengthBounds.contains(Int(length)) else {
            throw WireError(.badLength, "A frame claims \(length) bytes; \(Frame.lengthBounds) are allowed.")
        }
        guard buffer.readableBytes >= 4 + Int(length) else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        guard var frame = buffer.readSlice(length: Int(length)),
            let type = frame.readInteger(as: UInt8.self), let call = frame.readInteger(as: UInt32.self)
        else { preconditionFailure("The length was checked to cover type and call id.") }
        guard let kind = Frame.Kind(rawValue: type) else {
            throw WireError(.unknownType, "A frame has the unknown type \(type).")
        }
        switch kind {
        case .hello, .ping, .pong, .goodbye:
            guard call == 0 else { throw Self.misplaced(kind, "with a call id") }
        case .call, .reply, .failure, .event, .data, .end, .credit, .cancel:
            guard call != 0 else { throw Self.misplaced(kind, "without a call id") }
        }
        return Frame(try Self.body(kind, &frame), call: call)
    }

    private static func body(_ kind: Frame.Kind, _ payload: inout ByteBuffer) throws(WireError) -> Frame.Body {
        let size = payload.readableBytes
        switch kind {
        case .hello:
            return .hello(try Hello(value(kind, payload, smallLimits)))
        case .call:
            let map = try value(kind, payload, argumentLimits)
            guard let procedure = map["procedure"]?.string else { throw malformed(kind, "no procedure") }
            return .call(procedure: procedure, arguments: map["arguments"] ?? .null, cost: size)
        case .reply:
            return .reply(try value(kind, payload, NotationLimits()))
        case .failure:
            guard let failure = WireFailure(try value(kind, payload, smallLimits)) else {
                throw malformed(kind, "no code and message")
            }
            return .failure(failure)
        case .event:
            return .event(try value(kind, payload, NotationLimits()), cost: Frame.cost(payload: size))
        case .data:
            guard let lane = payload.readInteger(as: UInt8.self) else { throw malformed(kind, "no lane") }
            if payload.readableBytes < smallData { payload = ByteBuffer(bytes: payload.readableBytesView) }
            return .data(lane: lane, payload.slice())
        case .end:
            guard size == 1, let lane = payload.readInteger(as: UInt8.self) else { throw malformed(kind, "no lane") }
            return .end(lane: lane)
        case .credit:
            guard size == 4, let bytes = payload.readInteger(as: UInt32.self) else {
                throw malformed(kind, "no number of 4 bytes")
            }
            return .credit(bytes)
        case .cancel:
            guard size == 0 else { throw malformed(kind, "a payload") }
            return .cancel
        case .ping, .pong:
            guard size == 8, let token = payload.readInteger(as: UInt64.self) else {
                throw malformed(kind, "not 8 bytes")
            }
            return kind == .ping ? .ping(token) : .pong(token)
        case .goodbye:
            guard let failure = WireFailure(try value(kind, payload, smallLimits)) else {
                throw malformed(kind, "no code and message")
            }
            return .goodbye(failure)
        }
    }

    private static func value(
        _ kind: Frame.Kind,
        _ payload: ByteBuffer,
        _ limits: NotationLimits
    ) throws(WireError) -> Value {
        let result = payload.withUnsafeReadableBytes { bytes -> Result<Value, NotationError> in
            do throws(NotationError) {
                return .success(try CBOR.decode(bytes, limits: limits))
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let value):
            return value
        case .failure(let error):
            throw WireError(.malformed, "The payload of a frame of type \(kind) does not decode: \(error).")
        }
    }

    private static func malformed(_ kind: Frame.Kind, _ what: String) -> WireError {
        WireError(.malformed, "A frame of type \(kind) has \(what).")
    }

    private static func misplaced(_ kind: Frame.Kind, _ how: String) -> WireError {
        WireError(.misplaced, "A frame of type \(kind) came \(how).")
    }
}
