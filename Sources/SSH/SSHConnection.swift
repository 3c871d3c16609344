package import NIOCore

/// How far the opening of a connection has come.
package enum SSHProgress: Sendable {
    /// Keys are exchanged and the host key was accepted.
    case handshaken(HostKey)
    case loggedIn
}

/// An SSH connection over a stream that is already there; runs on the channel's event loop.
///
/// It fails once and for good; a new one needs a new channel. Let go of without `close()`, it is closed.
package final class SSHConnection: Sendable {
    /// Why the connection ended, once it has.
    package let closed: EventLoopFuture<SSHError>
    private let channel: any Channel
    private let session: NIOLoopBound<Session>

    private init(_ channel: any Channel, _ session: NIOLoopBound<Session>, closed: EventLoopFuture<SSHError>) {
        self.channel = channel
        self.session = session
        self.closed = closed
    }

    deinit {
        let session = session
        session.eventLoop.execute { session.value.close() }
    }

    /// Takes a connected channel, shakes hands, checks the host key and logs in.
    ///
    /// The channel belongs to the connection from then on and is closed when this throws. Its `autoRead` must be off
    /// from the beginning, so that a greeting which comes early waits for its reader.
    package static func open(
        on channel: any Channel,
        _ configuration: SSHConfiguration,
        progress: @escaping @Sendable (SSHProgress) -> Void = { _ in }
    ) async throws -> SSHConnection {
        let loop = channel.eventLoop
        let ready = loop.makePromise(of: Void.self)
        let start = loop.submit {
            do {
                let session = try Session(configuration, on: channel, ready: ready, progress: progress)
                let bound = NIOLoopBound(session, eventLoop: loop)
                do {
                    try channel.pipeline.syncOperations.addHandler(SessionHandler(session))
                } catch {
                    session.lost(error)
                }
                return (bound, session.closed.futureResult)
            } catch {
                ready.fail(error)
                channel.close(promise: nil)
                throw error
            }
        }
        return try await withTaskCancellationHandler {
            let (session, closed) = try await start.get()
            try await ready.futureResult.get()
            return SSHConnection(channel, session, closed: closed)
        } onCancel: {
            start.whenSuccess { $0.0.value.close() }
        }
    }

    /// Runs a command; its exit, its streams and its end are the channel's.
    ///
    /// Commands are opened one after the other, a round trip each. An `eager` one is given out before the server has
    /// accepted it, which saves a round trip; a refusal is then thrown by the first read.
    package func exec(_ command: String, eager: Bool = false) async throws -> SSHChannel {
        let session = session
        let state = NIOLoopBoundBox<ChannelState>.makeBoxSendingValue(
            ChannelState(command: Array(command.utf8), isEager: eager),
            eventLoop: session.eventLoop
        )
        try await session.eventLoop.cancellable { (started: EventLoopPromise<Void>) in
            session.value.exec(state.value, started)
        } cancelled: { started in
            session.value.close(state.value, nil)
            started.fail(CancellationError())
        }
        return SSHChannel(self, session, state)
    }

    /// Bytes that went through until now, both ways, as they are on the wire.
    package var carried: UInt64 {
        get async {
            let session = session
            return (try? await session.eventLoop.submit { session.value.pipe.moved }.get()) ?? 0
        }
    }

    /// Says goodbye, and returns once the descriptor is closed, which a deadline ensures.
    package func close() async {
        let session = session
        session.eventLoop.execute { session.value.close() }
        try? await channel.closeFuture.get()
    }
}

/// The pipeline's end: tells the session what the channel does.
private final class SessionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let session: Session

    init(_ session: Session) { self.session = session }

    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return session.lost(nil) }
        session.begin(context)
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) { session.detached() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        session.received(&bytes)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        session.drive()
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { session.drive() }
    }

    func channelInactive(context: ChannelHandlerContext) { session.lost(nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { session.lost(error) }
}
