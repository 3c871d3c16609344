/// The receiving half of a websocket as RFC 6455 demands it of a server, strict and without extensions.
package import NIOCore

/// Bytes in, messages and control frames out.
///
/// Life: frames are read one after the other; the payload of a data frame is taken as it comes, so that memory grows
/// with what was received and never with what was announced, and text that is not UTF-8 fails at its first bad byte.
/// After a close frame or a fault the machine is deaf: whatever follows is dropped.
package struct WebSocketMachine {
    package enum Output: Equatable {
        case message(WebSocketOpcode, ByteBuffer)
        case ping(ByteBuffer)
        case pong(ByteBuffer)
        /// The peer closes; nil where it gave no code.
        case close(UInt16?)
        /// The peer broke the rules: close with this code and sentence.
        case failure(WebSocketCloseCode, String)
    }

    private enum State {
        /// Before or inside a frame's head.
        case head
        /// Inside a payload of which `left` bytes are missing; `offset` bytes of it were unmasked.
        case payload(Frame, left: Int, offset: Int)
        /// After a close frame or a fault.
        case deaf
    }

    private struct Frame {
        var opcode: WebSocketOpcode
        var isFinal: Bool
        var mask: UInt32
    }

    /// The largest message taken, over all its fragments.
    package var maximumMessage: Int

    private var state = State.head
    /// Bytes that are no whole head yet, or wait to be parsed.
    private var pending = ByteBuffer()
    /// The message whose fragments are being received.
    private var message: (opcode: WebSocketOpcode, bytes: ByteBuffer, text: UTF8Checker)?
    private var control = ByteBuffer()

    package init(maximumMessage: Int) {
        self.maximumMessage = maximumMessage
    }

    package mutating func received(_ bytes: ByteBuffer) {
        if case .deaf = state { return }
        if pending.readableBytes == 0 {
            pending = bytes
        } else {
            pending.writeImmutableBuffer(bytes)
        }
    }

    /// What the bytes received so far hold next; nil when more are needed. Call it until nil.
    package mutating func next() -> Output? {
        while true {
            switch state {
            case .deaf: return nil
            case .head:
                switch head() {
                case .more:
                    // A socket that is silent holds no buffer: it would be most of what a subscriber costs.
                    if pending.readableBytes == 0 { pending = ByteBuffer() }
                    return nil
                case .failure(let code, let sentence): return fail(code, sentence)
                case .frame(let frame, let length): state = .payload(frame, left: length, offset: 0)
                }
            case .payload(let frame, var left, var offset):
                if left > 0 {
                    guard var chunk = pending.readSlice(length: min(left, pending.readableBytes)),
                        chunk.readableBytes > 0
                    else { return nil }
                    chunk.unmask(frame.mask, offset: offset)
                    left -= chunk.readableBytes
                    offset += chunk.readableBytes
                    state = .payload(frame, left: left, offset: offset)
                    if frame.opcode.isControl {
                        control.writeImmutableBuffer(chunk)
                    } else if !append(chunk) {
                        return fail(.notText, "The message is marked as text and is not UTF-8.")
                    }
                }
                guard left == 0 else { return nil }
                state = .head
                if let output = finished(frame) { return output }
            }
        }
    }

    private enum Head {
        case more
        case frame(Frame, length: Int)
        case failure(WebSocketCloseCode, String)
    }

    private mutating func head() -> Head {
        let start = pending.readerIndex
        guard let first = pending.getInteger(at: start, as: UInt8.self) else { return .more }
        guard first & 0x70 == 0 else { return .failure(.protocolError, "A reserved bit is set.") }
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else {
            return .failure(.protocolError, "The frame's opcode is reserved.")
        }
        let isFinal = first & 0x80 != 0
        if opcode.isControl, !isFinal { return .failure(.protocolError, "A control frame is fragmented.") }
        if opcode == .continuation, message == nil {
            return .failure(.protocolError, "A continuation has no beginning.")
        }
        if !opcode.isControl, opcode != .continuation, message != nil {
            return .failure(.protocolError, "A message begins inside another.")
        }
        guard let second = pending.getInteger(at: start + 1, as: UInt8.self) else { return .more }
        guard second & 0x80 != 0 else { return .failure(.protocolError, "A client's frame is not masked.") }
        var length = UInt64(second & 0x7F)
        var size = 2
        if opcode.isControl, length > 125 { return .failure(.protocolError, "A control frame is too long.") }
        if length == 126 {
            guard let long = pending.getInteger(at: start + 2, as: UInt16.self) else { return .more }
            guard long > 125 else { return .failure(.protocolError, "A length is not written the short way.") }
            (length, size) = (UInt64(long), 4)
        } else if length == 127 {
            guard let long = pending.getInteger(at: start + 2, as: UInt64.self) else { return .more }
            guard long > 0xFFFF, long >> 63 == 0 else {
                return .failure(.protocolError, "A length is not written the short way.")
            }
            (length, size) = (long, 10)
        }
        if !opcode.isControl {
            let before = message?.bytes.readableBytes ?? 0
            guard length <= UInt64(max(0, maximumMessage - before)) else {
                return .failure(.messageTooBig, "The message is larger than \(maximumMessage) bytes.")
            }
        }
        guard let mask = pending.getInteger(at: start + size, as: UInt32.self) else { return .more }
        pending.moveReaderIndex(forwardBy: size + 4)
        if opcode.isControl {
            control = ByteBuffer()
        } else if opcode != .continuation {
            message = (opcode, ByteBuffer(), UTF8Checker())
        }
        return .frame(Frame(opcode: opcode, isFinal: isFinal, mask: mask), length: Int(length))
    }

    /// False where text stopped being text.
    private mutating func append(_ chunk: ByteBuffer) -> Bool {
        guard var current = message else { preconditionFailure("A data frame's payload came outside a message.") }
        message = nil
        if current.bytes.readableBytes == 0 {
            current.bytes = chunk
        } else {
            current.bytes.writeImmutableBuffer(chunk)
        }
        let isText = current.opcode != .text || chunk.withUnsafeReadableBytes { current.text.accepts($0) }
        message = current
        return isText
    }

    private mutating func finished(_ frame: Frame) -> Output? {
        switch frame.opcode {
        case .ping: return .ping(control)
        case .pong: return .pong(control)
        case .close: return closed()
        case .text, .binary, .continuation:
            guard frame.isFinal, let whole = message else { return nil }
            message = nil
            guard whole.text.isComplete else {
                return fail(.notText, "The message is marked as text and ends inside a character.")
            }
            return .message(whole.opcode, whole.bytes)
        }
    }

    private mutating func closed() -> Output {
        let length = control.readableBytes
        guard length > 0 else {
            state = .deaf
            return .close(nil)
        }
        guard let code = control.readInteger(as: UInt16.self), WebSocketCloseCode.isLegal(code) else {
            return fail(.protocolError, "The close frame's code is not allowed.")
        }
        var text = UTF8Checker()
        guard control.withUnsafeReadableBytes({ text.accepts($0) }), text.isComplete else {
            return fail(.notText, "The close frame's reason is not UTF-8.")
        }
        state = .deaf
        return .close(code)
    }

    private mutating func fail(_ code: WebSocketCloseCode, _ sentence: String) -> Output {
        state = .deaf
        pending = ByteBuffer()
        message = nil
        return .failure(code, sentence)
    }
}

extension ByteBuffer {
    /// Takes the mask off the readable bytes, the first of which is the payload's `offset`th.
    fileprivate mutating func unmask(_ mask: UInt32, offset: Int) {
        guard mask != 0 else { return }
        // Rotated so that its first byte belongs to the first readable one, in memory's order.
        let turn = UInt32(offset % 4) * 8
        let turned = turn == 0 ? mask : (mask << turn) | (mask >> (32 - turn))
        let word = turned.bigEndian
        let wide = UInt64(word) | UInt64(word) << 32
        withUnsafeMutableReadableBytes { bytes in
            var index = 0
            while index + 8 <= bytes.count {
                let value = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                bytes.storeBytes(of: value ^ wide, toByteOffset: index, as: UInt64.self)
                index += 8
            }
            while index < bytes.count {
                bytes[index] ^= UInt8(truncatingIfNeeded: turned >> (24 - 8 * UInt32(index % 4)))
                index += 1
            }
        }
    }
}
