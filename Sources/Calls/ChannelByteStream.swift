package import NIOCore
import Synchronization

/// A byte stream over a channel of swift-nio: a socket, a pair of pipes, a channel within a channel.
///
/// It reads only what is asked for: the channel's automatic reading is switched off. A write returns when its bytes
/// have left the process.
package final class ChannelByteStream: ByteStream {
    private let channel: any Channel
    private let inbox: Inbox

    private init(_ channel: any Channel, _ inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    /// Puts the stream at the end of the channel's pipeline; in its initializer, so that nothing is read before.
    package static func install(on channel: any Channel) -> EventLoopFuture<ChannelByteStream> {
        let inbox = Inbox()
        return channel.setOption(.autoRead, value: false).flatMap {
            channel.eventLoop.submit {
                try channel.pipeline.syncOperations.addHandler(Handler(inbox: inbox))
                return ChannelByteStream(channel, inbox)
            }
        }
    }

    package func read() async throws -> ByteBuffer? {
        try Task.checkCancellation()
        let token = inbox.token()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if inbox.wait(continuation, token) { channel.read() }
            }
        } onCancel: {
            inbox.cancel(token)
        }
    }

    package func write(_ bytes: ByteBuffer) async throws {
        try await channel.writeAndFlush(bytes)
    }

    package func close() async {
        // An error says that it is closed already.
        try? await channel.close()
    }
}

/// What was read and not asked for yet, or who asked and waits: never both.
private final class Inbox: Sendable {
    typealias Continuation = CheckedContinuation<ByteBuffer?, any Error>

    private enum State {
        case idle
        /// Read beyond what was asked for: one read of a channel may bring several buffers.
        case full(ByteBuffer)
        case waiting(Continuation, UInt64)
        case ended(rest: ByteBuffer?, (any Error)?)
    }

    private struct Box {
        var state = State.idle
        var lastToken: UInt64 = 0
        var cancelled: UInt64?
    }

    private let box = Mutex(Box())

    func token() -> UInt64 {
        box.withLock { box in
            box.lastToken += 1
            return box.lastToken
        }
    }

    /// True where the channel is to read.
    func wait(_ continuation: Continuation, _ token: UInt64) -> Bool {
        let answer: Result<ByteBuffer?, any Error>? = box.withLock { box in
            switch box.state {
            case .idle:
                if box.cancelled == token { return .failure(CancellationError()) }
                box.state = .waiting(continuation, token)
                return nil
            case .full(let bytes):
                box.state = .idle
                return .success(bytes)
            case .waiting:
                preconditionFailure("A byte stream has one reader.")
            case .ended(let rest?, let error):
                box.state = .ended(rest: nil, error)
                return .success(rest)
            case .ended(nil, let error?):
                return .failure(error)
            case .ended(nil, nil):
                return .success(nil)
            }
        }
        guard let answer else { return true }
        continuation.resume(with: answer)
        return false
    }

    func cancel(_ token: UInt64) {
        let continuation: Continuation? = box.withLock { box in
            box.cancelled = token
            guard case .waiting(let continuation, token) = box.state else { return nil }
            box.state = .idle
            return continuation
        }
        continuation?.resume(throwing: CancellationError())
    }

    func received(_ bytes: ByteBuffer) {
        let continuation: Continuation? = box.withLock { box in
            switch box.state {
            case .idle:
                box.state = .full(bytes)
            case .full(var before):
                // Out of the state while it grows, so that it is not copied.
                box.state = .idle
                before.writeImmutableBuffer(bytes)
                box.state = .full(before)
            case .waiting(let continuation, _):
                box.state = .idle
                return continuation
            case .ended:
                break
            }
            return nil
        }
        continuation?.resume(returning: bytes)
    }

    func ended(_ error: (any Error)?) {
        let continuation: Continuation? = box.withLock { box in
            switch box.state {
            case .idle: box.state = .ended(rest: nil, error)
            case .full(let rest): box.state = .ended(rest: rest, error)
            case .waiting(let continuation, _):
                box.state = .ended(rest: nil, error)
                return continuation
            case .ended: break
            }
            return nil
        }
        if let error { continuation?.resume(throwing: error) } else { continuation?.resume(returning: nil) }
    }

    /// True while somebody waits for bytes.
    var isWaiting: Bool {
        box.withLock { box in
            if case .waiting = box.state { true } else { false }
        }
    }
}

/// The end of the pipeline.
private final class Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let inbox: Inbox

    init(inbox: Inbox) { self.inbox = inbox }

    func channelActive(context: ChannelHandlerContext) {
        // A read before this moment found no socket to read from.
        if inbox.isWaiting { context.read() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        inbox.received(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // A read that brought nothing, or only a part of what a handler before this one needs.
        if inbox.isWaiting { context.read() }
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { inbox.ended(nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        inbox.ended(nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        inbox.ended(error)
        context.close(promise: nil)
    }
}
