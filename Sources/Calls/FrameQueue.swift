import NIOCore
import Wire

/// The encoded frames that wait to be written, the urgent ones first.
struct FrameQueue: Sendable {
    /// Bytes beyond which senders wait. It is what a pong may stand behind in the stream at most, besides one frame.
    private static let bound = 131_072
    /// Bytes of urgent frames beyond which nothing is read from the peer that would add to them.
    private static let urgentBound = 65_536
    /// Bytes that are written at a time.
    private static let chunk = 32_768

    private var urgent = ByteBuffer()
    private var chunks = CircularBuffer<ByteBuffer>()
    private var bytes = 0

    var isEmpty: Bool { bytes == 0 && urgent.readableBytes == 0 }
    var hasSpace: Bool { bytes < Self.bound }
    /// As much as is written at a time.
    var hasChunk: Bool { bytes >= Self.chunk }
    var hasUrgentSpace: Bool { urgent.readableBytes < Self.urgentBound }

    /// Queues what stands before everything else in the stream, or overtakes what waits.
    mutating func appendUrgent(_ frame: Frame) { frame.encode(into: &urgent) }

    mutating func appendPreamble(_ hello: Hello) {
        urgent.writeBytes(Frame.preamble)
        Frame(.hello(hello)).encode(into: &urgent)
    }

    mutating func append(_ frame: Frame) {
        appending { frame.encode(into: &$0) }
    }

    mutating func append(_ kind: Frame.Kind, call: UInt32, payload: [UInt8]) {
        appending { $0.writeFrame(kind, call: call, payload: payload) }
    }

    /// The next bytes to write; nil where nothing waits.
    mutating func take() -> ByteBuffer? {
        var next: ByteBuffer?
        if urgent.readableBytes > 0 {
            next = urgent
            urgent = ByteBuffer()
        }
        guard let chunk = chunks.popFirst() else { return next }
        bytes -= chunk.readableBytes
        guard var both = next else { return chunk }
        both.writeImmutableBuffer(chunk)
        return both
    }

    /// Drops what waits, for a goodbye that must not stand behind it.
    mutating func removeAll() {
        chunks = CircularBuffer()
        bytes = 0
    }

    private mutating func appending(_ write: (inout ByteBuffer) -> Void) {
        if chunks.last.map({ $0.readableBytes >= Self.chunk }) ?? true { chunks.append(ByteBuffer()) }
        let last = chunks.index(before: chunks.endIndex)
        let before = chunks[last].readableBytes
        write(&chunks[last])
        bytes += chunks[last].readableBytes - before
    }
}
