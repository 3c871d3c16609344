import Glibc
import NIOCore

/// The bytes between libssh2 and the event loop's channel; libssh2's callbacks find it by the session's abstract pointer.
///
/// libssh2 takes from `inbound` what has arrived and is told EAGAIN when that is empty. What it sends is always taken
/// whole: a packet that is half sent when the server asks for new keys would stop the session for good (libssh2#2110),
/// and here that cannot happen. What is sent stays bounded because the session writes data only while the channel takes
/// them, and each write is one packet.
final class Pipe {
    var inbound: ByteBuffer
    var outbound: ByteBuffer
    /// What the server said with its goodbye.
    var goodbye: String?
    /// Set when the session is to be freed: from then on libssh2 is told that the stream is gone, or it would wait.
    var isDead = false
    /// What somebody else has sent already, and libssh2 sends first; it goes no further than here.
    private var ahead: ArraySlice<UInt8>
    /// All bytes that went through either way; tells whether anything moves.
    private(set) var moved: UInt64 = 0

    init(_ allocator: ByteBufferAllocator, ahead: [UInt8] = []) {
        self.ahead = ahead[...]
        inbound = allocator.buffer(capacity: 0)
        outbound = allocator.buffer(capacity: 0)
    }

    func arrived(_ bytes: inout ByteBuffer) {
        moved &+= UInt64(bytes.readableBytes)
        if inbound.readableBytes == 0 { swap(&inbound, &bytes) } else { inbound.writeBuffer(&bytes) }
    }

    /// What there is to send, once.
    func takeOutbound() -> ByteBuffer? {
        guard outbound.readableBytes > 0 else { return nil }
        defer { outbound = ByteBuffer() }
        return outbound
    }

    fileprivate func receive(into target: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(target.count, inbound.readableBytes)
        guard count > 0, !isDead else { return isDead ? -Int(ECONNRESET) : -Int(EAGAIN) }
        inbound.withUnsafeReadableBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        inbound.moveReaderIndex(forwardBy: count)
        return count
    }

    fileprivate func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard !isDead else { return -Int(ECONNRESET) }
        moved &+= UInt64(bytes.count)
        var rest = UnsafeRawBufferPointer(rebasing: bytes[...])
        while let byte = ahead.first, byte == rest.first {
            ahead.removeFirst()
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
        }
        outbound.writeBytes(rest)
        return bytes.count
    }
}

/// libssh2's `abstract`: a pointer to the pointer given at `libssh2_session_init_ex`.
typealias Abstract = UnsafeMutablePointer<UnsafeMutableRawPointer?>

extension Pipe {
    private static func found(by abstract: Abstract?) -> Pipe? {
        abstract?.pointee.map { Unmanaged<Pipe>.fromOpaque($0).takeUnretainedValue() }
    }

    /// `LIBSSH2_CALLBACK_RECV`: bytes taken, or a negative errno.
    static let receiving: @convention(c) (Int32, UnsafeMutableRawPointer?, Int, Int32, Abstract?) -> Int = {
        _,
        target,
        length,
        _,
        abstract in
        guard let pipe = found(by: abstract), let target else { return -Int(EBADF) }
        return pipe.receive(into: UnsafeMutableRawBufferPointer(start: target, count: length))
    }

    /// `LIBSSH2_CALLBACK_SEND`: all bytes, always.
    static let sending: @convention(c) (Int32, UnsafeRawPointer?, Int, Int32, Abstract?) -> Int = {
        _,
        source,
        length,
        _,
        abstract in
        guard let pipe = found(by: abstract), let source else { return -Int(EBADF) }
        return pipe.send(UnsafeRawBufferPointer(start: source, count: length))
    }

    /// `LIBSSH2_CALLBACK_DISCONNECT`: keeps what the server said.
    static let disconnected:
        @convention(c) (
            OpaquePointer?, Int32, UnsafePointer<CChar>?, Int32, UnsafePointer<CChar>?, Int32, Abstract?
        ) -> Void = { _, _, text, length, _, _, abstract in
            guard let pipe = found(by: abstract), let text, length > 0 else { return }
            pipe.goodbye = neutralised(UnsafeRawBufferPointer(start: text, count: Int(length)))
        }
}
