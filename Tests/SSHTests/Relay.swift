import NIOCore
import NIOPosix
import Synchronization

/// Stands between a client and a real server, and keeps from the client what the server says from some moment on.
final class Relay: Sendable {
    let port: Int
    private let listener: any Channel
    private let passing: Passing

    /// How many more pieces of the server's the client gets; nil without an end.
    private final class Passing: Sendable {
        let left = Mutex<Int?>(nil)

        func isNextLetThrough() -> Bool {
            left.withLock { left in
                guard let rest = left else { return true }
                left = max(0, rest - 1)
                return rest > 0
            }
        }
    }

    init(to server: Int) async throws {
        let passing = Passing()
        let group = MultiThreadedEventLoopGroup.singleton
        listener = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop)
                    .channelInitializer { far in
                        far.eventLoop.makeCompletedFuture {
                            let copier = Copier(to: client) { passing.isNextLetThrough() }
                            try far.pipeline.syncOperations.addHandler(copier)
                        }
                    }
                    .connect(host: "127.0.0.1", port: server)
                    .flatMapThrowing { far in
                        try client.pipeline.syncOperations.addHandler(Copier(to: far) { true })
                    }
                    .flatMap { client.setOption(.autoRead, value: true) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.passing = passing
        port = listener.localAddress!.port!
    }

    deinit { listener.close(promise: nil) }

    /// The client gets so many more pieces, each of which may hold several packets, and then nothing.
    func stop(after pieces: Int = 0) { passing.left.withLock { $0 = pieces } }
}

private final class Copier: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let other: any Channel
    private let isLetThrough: @Sendable () -> Bool

    init(to other: any Channel, isLetThrough: @escaping @Sendable () -> Bool) {
        self.other = other
        self.isLetThrough = isLetThrough
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isLetThrough() { other.writeAndFlush(unwrapInboundIn(data), promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
}
