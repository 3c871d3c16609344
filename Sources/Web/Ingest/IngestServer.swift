/// Events from local programs by ZeroMQ: a PULL socket whose messages `{"topic": "…", "data": …}` are published.
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle

/// Where events are taken from, and which.
package struct IngestConfiguration: Sendable, Equatable {
    /// A loopback address: whoever reaches it may publish.
    package var host: String
    /// 0 for any free one.
    package var port: Int
    /// URI prefixes, each with its dot at the end; other topics are refused.
    package var topics: [String]
    package var limits = Limits()

    package init(host: String, port: Int, topics: [String]) {
        self.host = host
        self.port = port
        self.topics = topics
    }

    package struct Limits: Sendable, Equatable {
        package var messageBytes = 64 * 1_024
        /// Of all senders together, in the long run and at once. What is above waits in the senders.
        package var messagesPerSecond = 1_000
        package var messageBurst = 2_000
        package var connections = 16
        /// From a connection's start to the end of its handshake, in milliseconds.
        package var readyWithin: Int64 = 10_000
    }
}

package final class IngestServer: Service {
    private let configuration: IngestConfiguration
    private let loop: any EventLoop
    private let gate: NIOLoopBoundBox<IngestGate>
    private let bound: EventLoopPromise<SocketAddress>

    package init(configuration: IngestConfiguration, group: any EventLoopGroup, realm: Realm, logger: Logger) {
        self.configuration = configuration
        loop = group.next()
        gate = .makeBoxSendingValue(IngestGate(configuration, realm: realm, logger: logger), eventLoop: loop)
        bound = loop.makePromise(of: SocketAddress.self)
    }

    /// Where it listens, once it does.
    package var boundAddress: SocketAddress {
        get async throws { try await bound.futureResult.get() }
    }

    /// Takes events until cancelled or asked to stop.
    ///
    /// - Throws: `WebError` where it cannot listen.
    package func run() async throws {
        // All connections share one loop, so that one measure of their rate is enough.
        let bootstrap = ServerBootstrap(group: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { [gate] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(IngestHandler(gate.value))
                }
            }
        let server: any Channel
        do {
            server = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
        } catch {
            bound.fail(error)
            throw WebError(
                .listenFailed,
                "Cannot listen for events on \(configuration.host) port \(configuration.port): \(error). Another "
                    + "program may use it; choose another port for [ingest], or stop that program.",
                cause: error
            )
        }
        if let address = server.localAddress { bound.succeed(address) } else { bound.fail(ChannelError.eof) }
        // Throws where this is cancelled, which is an end as good as any.
        try? await gracefulShutdown()
        try? await server.close()
        let gone = loop.flatSubmit { [gate, loop] in EventLoopFuture.andAllComplete(gate.value.closeAll(), on: loop) }
        try? await gone.get()
    }
}
