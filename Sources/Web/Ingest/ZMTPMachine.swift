/// The receiving end of ZeroMQ's wire protocol, version 3.0 (ZMTP, ZeroMQ RFC 23) with the NULL mechanism: a PULL
/// socket that PUSH sockets of any libzmq since version 4 connect to. Pure: bytes in, outputs out.
import NIOCore

struct ZMTPMachine {
    enum Output: Equatable {
        case send([UInt8])
        /// The peer is a PUSH socket and may send.
        case ready
        case message([UInt8])
        /// A message of several frames, of which none is kept.
        case passedOver
        /// The last output: the peer speaks something else, or sends more than it may. Close.
        case failure(String)
    }

    /// Sent first, unasked: signature, version 3.0, mechanism NULL, not a server.
    static let greeting: [UInt8] =
        [0xFF] + zeros(8) + [0x7F, 3, 0] + Array("NULL".utf8) + zeros(16) + zeros(32)
    /// Sent when the peer's greeting is there.
    static let ready = command("READY", property("Socket-Type", "PULL"))

    private static let more: UInt8 = 1
    private static let long: UInt8 = 2
    private static let command: UInt8 = 4

    private enum State {
        case greeting
        case handshake
        case open
        case failed
    }

    private struct Frame {
        var flags: UInt8
        var body: [UInt8]
    }

    private struct Failure: Error {
        var sentence: String

        init(_ sentence: String) { self.sentence = sentence }
    }

    private let maximumMessage: Int
    private var state = State.greeting
    private var buffer = ByteBuffer()
    /// Frames of a message that is passed over are still coming.
    private var isInside = false

    init(maximumMessage: Int) { self.maximumMessage = maximumMessage }

    mutating func received(_ bytes: ByteBuffer) {
        var bytes = bytes
        buffer.discardReadBytes()
        buffer.writeBuffer(&bytes)
    }

    /// What the bytes amount to, one by one; nil until more come.
    mutating func next() -> Output? {
        do throws(Failure) {
            switch state {
            case .failed: return nil
            case .greeting: return try greet()
            case .handshake: return try shakeHands()
            case .open: return try take()
            }
        } catch {
            state = .failed
            return .failure(error.sentence)
        }
    }

    private mutating func greet() throws(Failure) -> Output? {
        let bytes = buffer.readableBytesView.prefix(Self.greeting.count)
        let start = Array(bytes.prefix(12))
        guard start.first ?? 0xFF == 0xFF, start.count < 10 || start[9] & 1 == 1, start.count < 11 || start[10] >= 3
        else { throw Failure("it does not speak ZMTP 3") }
        guard bytes.count == Self.greeting.count else { return nil }
        guard Array(bytes.dropFirst(12).prefix(20)) == Array(Self.greeting[12..<32]) else {
            throw Failure("it asks for a security mechanism; only NULL is spoken here")
        }
        buffer.moveReaderIndex(forwardBy: Self.greeting.count)
        state = .handshake
        return .send(Self.ready)
    }

    private mutating func shakeHands() throws(Failure) -> Output? {
        guard let frame = try frame() else { return nil }
        guard frame.flags & Self.command != 0, let properties = Self.body(of: "READY", in: frame.body),
            Self.value(of: "socket-type", in: properties) == Array("PUSH".utf8)
        else { throw Failure("it is no PUSH socket") }
        state = .open
        return .ready
    }

    private mutating func take() throws(Failure) -> Output? {
        while let frame = try frame() {
            if frame.flags & Self.command != 0 {
                // A heartbeat: two bytes of its lifetime, then what the answer must repeat.
                guard let ping = Self.body(of: "PING", in: frame.body), ping.count >= 2 else { continue }
                return .send(Self.command("PONG", Array(ping.dropFirst(2).prefix(16))))
            }
            let isLast = frame.flags & Self.more == 0
            defer { isInside = !isLast }
            if isLast { return isInside ? .passedOver : .message(frame.body) }
        }
        return nil
    }

    private mutating func frame() throws(Failure) -> Frame? {
        let start = buffer.readerIndex
        guard let flags: UInt8 = buffer.getInteger(at: start) else { return nil }
        guard flags <= 7, flags & Self.command == 0 || flags & Self.more == 0 else {
            throw Failure("it sent a frame that is none of ZMTP's")
        }
        let isLong = flags & Self.long != 0
        let size: UInt64? =
            isLong
            ? buffer.getInteger(at: start + 1) : (buffer.getInteger(at: start + 1) as UInt8?).map(UInt64.init)
        guard let size else { return nil }
        guard size <= UInt64(maximumMessage) else {
            throw Failure("a message is larger than \(maximumMessage) bytes")
        }
        let head = isLong ? 9 : 2
        guard let body = buffer.getBytes(at: start + head, length: Int(size)) else { return nil }
        buffer.moveReaderIndex(forwardBy: head + Int(size))
        return Frame(flags: flags, body: body)
    }

    // MARK: Commands

    /// A whole frame.
    static func command(_ name: String, _ body: [UInt8]) -> [UInt8] {
        let content = [UInt8(name.utf8.count)] + Array(name.utf8) + body
        return [command, UInt8(content.count)] + content
    }

    static func property(_ name: String, _ value: String) -> [UInt8] {
        [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.utf8.count)] + Array(value.utf8)
    }

    /// What follows the command's name; nil where it is another command.
    private static func body(of name: String, in bytes: [UInt8]) -> ArraySlice<UInt8>? {
        let head = [UInt8(name.utf8.count)] + Array(name.utf8)
        return bytes.starts(with: head) ? bytes[head.count...] : nil
    }

    /// - Parameter name: in lower case, as names are compared so.
    private static func value(of name: String, in properties: ArraySlice<UInt8>) -> [UInt8]? {
        var rest = ByteBuffer(bytes: properties)
        while let known = rest.readLengthPrefixedString(UInt8.self) {
            guard let value = rest.readLengthPrefixedBytes(UInt32.self) else { return nil }
            if known.lowercased() == name { return value }
        }
        return nil
    }

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
}

extension ByteBuffer {
    fileprivate mutating func readLengthPrefixedBytes<Size: FixedWidthInteger>(_: Size.Type) -> [UInt8]? {
        guard let size: Size = readInteger(), let size = Int(exactly: size) else { return nil }
        return readBytes(length: size)
    }

    fileprivate mutating func readLengthPrefixedString<Size: FixedWidthInteger>(_ size: Size.Type) -> String? {
        readLengthPrefixedBytes(size).map { String(decoding: $0, as: UTF8.self) }
    }
}
