/// The websocket frames that the server writes (RFC 6455, section 5.2): whole, unmasked, without extensions.
package import NIOCore

/// What a frame carries.
package enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    var isControl: Bool { rawValue >= 0x8 }
}

/// Why a websocket is closed (RFC 6455, section 7.4, and IANA's registry).
package enum WebSocketCloseCode: UInt16, Sendable {
    case normal = 1000
    case goingAway = 1001
    case protocolError = 1002
    case unacceptableData = 1003
    case notText = 1007
    case policyViolation = 1008
    case messageTooBig = 1009
    case internalError = 1011
    /// The server restarts; come back.
    case serviceRestart = 1012
    /// The server sheds load or the reader is too slow; come back later.
    case tryAgainLater = 1013

    /// Codes that may stand in a close frame.
    static func isLegal(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

package enum WebSocketFrame {
    /// A complete frame in one buffer, ready to be written to any number of sockets.
    package static func encode(_ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(payload.count + 10)
        buffer.writeInteger(0x80 | opcode.rawValue)
        switch payload.count {
        case ...125:
            buffer.writeInteger(UInt8(payload.count))
        case ...0xFFFF:
            buffer.writeInteger(UInt8(126))
            buffer.writeInteger(UInt16(payload.count))
        default:
            buffer.writeInteger(UInt8(127))
            buffer.writeInteger(UInt64(payload.count))
        }
        buffer.writeBytes(payload)
        return buffer
    }

    /// A close frame; the reason is cut to what fits, at a character's end.
    package static func close(_ code: UInt16, _ reason: String = "") -> ByteBuffer {
        var payload = [UInt8(code >> 8), UInt8(code & 0xFF)]
        for character in reason {
            guard payload.count + character.utf8.count <= 125 else { break }
            payload += character.utf8
        }
        return encode(.close, payload)
    }
}
