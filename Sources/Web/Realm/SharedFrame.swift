/// A message that many websockets get: encoded once per serializer, by whoever needs it first.
import NIOCore
import Synchronization
import WAMP

final class SharedFrame: Sendable {
    let message: Message
    private let frames = Mutex<[Serializer: ByteBuffer]>([:])

    init(_ message: Message) {
        self.message = message
    }

    func encoded(as serializer: Serializer) -> ByteBuffer {
        frames.withLock { frames in
            if let frame = frames[serializer] { return frame }
            let frame = Self.encode(message, as: serializer)
            frames[serializer] = frame
            return frame
        }
    }

    /// A whole websocket frame.
    static func encode(_ message: Message, as serializer: Serializer) -> ByteBuffer {
        WebSocketFrame.encode(serializer.isBinary ? .binary : .text, serializer.encode(message))
    }
}
