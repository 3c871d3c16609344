package import NIOCore

/// What a command wrote.
package enum SSHRead: Sendable, Hashable {
    case stdout(ByteBuffer)
    case stderr(ByteBuffer)
}

/// How a command ended.
package enum SSHExit: Sendable, Hashable {
    case status(Int32)
    /// The signal's name without `SIG`.
    case signal(String)
}

/// A command that runs on the server, and its standard streams.
///
/// One task may read at a time. The server sends at most a window ahead of the reader. Let go of without `close()`, it is
/// closed.
package final class SSHChannel: Sendable {
    private let session: NIOLoopBound<Session>
    private let state: NIOLoopBoundBox<ChannelState>
    /// Kept, as the connection is closed when nobody holds it.
    private let connection: SSHConnection

    init(_ connection: SSHConnection, _ session: NIOLoopBound<Session>, _ state: NIOLoopBoundBox<ChannelState>) {
        self.connection = connection
        self.session = session
        self.state = state
    }

    deinit {
        let (session, state) = (session, state)
        session.eventLoop.execute { session.value.close(state.value, nil) }
    }

    /// The next bytes; nil once the command has closed both outputs. Throws when the connection ends before.
    package func read() async throws -> SSHRead? {
        try await onLoop { (session, state, promise: EventLoopPromise<SSHRead?>) in
            session.read(state, promise)
        } cancelled: { (_, state, promise) in
            // Only who still waits is let go; bytes already handed over are not lost.
            guard state.reader?.futureResult === promise.futureResult else { return }
            state.reader = nil
            promise.fail(CancellationError())
        }
    }

    /// Writes to standard input; returns once all bytes are on their way, which is when the server has room for them.
    ///
    /// Bytes of a cancelled write may still be sent.
    package func write(_ bytes: ByteBuffer) async throws {
        try await onLoop { (session, state, promise: EventLoopPromise<Void>) in
            session.write(state, ChannelState.Write(bytes: bytes, accepted: promise))
        } cancelled: { (_, _, promise) in
            promise.fail(CancellationError())
        }
    }

    /// Ends standard input, after what was written before.
    package func sendEOF() async throws {
        try await onLoop { (session, state, promise: EventLoopPromise<Void>) in
            session.sendEnd(state, promise)
        } cancelled: { (_, _, promise) in
            promise.fail(CancellationError())
        }
    }

    /// How the command ended; waits until it has, while somebody reads.
    package func exit() async throws -> SSHExit {
        try await onLoop { (session, state, promise: EventLoopPromise<SSHExit>) in
            session.exit(state, promise)
        } cancelled: { (_, _, promise) in
            promise.fail(CancellationError())
        }
    }

    /// Closes the channel whatever the command does, and returns once the server has agreed or the deadline passed.
    package func close() async {
        let (session, state) = (session, state)
        let promise = session.eventLoop.makePromise(of: Void.self)
        session.eventLoop.execute { session.value.close(state.value, promise) }
        try? await promise.futureResult.get()
    }

    /// Closes the channel as well, and does not wait for the server to agree: that would take a round trip.
    package func abandon() {
        let (session, state) = (session, state)
        session.eventLoop.execute { session.value.close(state.value, nil) }
    }

    private func onLoop<Result: Sendable>(
        _ start: @escaping @Sendable (Session, ChannelState, EventLoopPromise<Result>) -> Void,
        cancelled: @escaping @Sendable (Session, ChannelState, EventLoopPromise<Result>) -> Void
    ) async throws -> Result {
        let (session, state) = (session, state)
        return try await session.eventLoop.cancellable { promise in
            start(session.value, state.value, promise)
        } cancelled: { promise in
            cancelled(session.value, state.value, promise)
        }
    }
}
