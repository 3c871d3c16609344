/// A message that many websockets get: encoded once per serializer, by whoever needs it first.
import NIOCore
import Synchronization
import WAMP

final class SharedFrame: Sendable {
    let message: Message
    private let census: Census
    private let frames = Mutex<[Serializer: ByteBuffer]>([:])

    init(_ message: Message, census: Census) {
        self.message = message
        self.census = census
    }

    func encoded(as serializer: Serializer) -> ByteBuffer {
        frames.withLock { frames in
            if let frame = frames[serializer] { return frame }
            let frame = Self.encode(message, as: serializer)
            frames[serializer] = frame
            census.eventEncoded(serializer)
            return frame
        }
    }

    /// A whole websocket frame.
    static func encode(_ message: Message, as serializer: Serializer) -> ByteBuffer {
        WebSocketFrame.encode(serializer.isBinary ? .binary : .text, serializer.encode(message))
    }
}

/// Remembers the frame asked for last: most of a loop's sockets speak alike, and need neither lock nor look-up.
struct FrameReader {
    private let shared: SharedFrame
    private var last: (serializer: Serializer, frame: ByteBuffer)?

    init(_ shared: SharedFrame) {
        self.shared = shared
    }

    var message: Message { shared.message }

    subscript(serializer: Serializer) -> ByteBuffer {
        mutating get {
            if let last, last.serializer == serializer { return last.frame }
            let frame = shared.encoded(as: serializer)
            last = (serializer, frame)
            return frame
        }
    }
}
