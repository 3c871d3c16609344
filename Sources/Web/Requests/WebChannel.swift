/// A connection of the server: TLS, HTTP's codec, the gate, and then either the HTTP library or a websocket.
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOSSL

struct WebChannel: ServerChildChannel, HTTPChannelHandler {
    /// The channel is registered only once it is set up, so what it becomes is known later.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let way: EventLoopFuture<Way>
    }

    enum Way: Sendable {
        case http(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>, peer: String)
        /// Everything happens in its handler; nothing is to be awaited.
        case socket
    }

    /// What all connections share.
    struct Rules: Sendable {
        var admission: Admission
        var limits: WebConfiguration.Limits
        var census: Census
        var tls: TLSFiles?
        /// Whether tor brings the connections, each with a line that tells its circuit.
        var isOnion: Bool
        /// The paths of websockets, each with its subprotocols.
        var sockets: [String: [String]]
        var securityFields: [(name: String, value: String)]
        /// The user of a new websocket; called on its event loop.
        var makeUser: @Sendable (SocketOpening, any EventLoop) -> any WebSocketUser
    }

    let responder: HTTPChannelHandler.Responder
    let rules: Rules

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let promise = channel.eventLoop.makePromise(of: Way.self)
        let value = channel.eventLoop.makeSucceededFuture(Value(channel: channel, way: promise.futureResult))
        do {
            if rules.isOnion {
                // Who is waited for takes a place, too.
                let (census, nobody) = (rules.census, "")
                guard census.admitConnection(from: nobody, isShared: true) else { throw ChannelError.ioOnClosedChannel }
                let line = CircuitLine(
                    within: rules.limits.headWithin,
                    entered: { peer in
                        census.connectionClosed(from: nobody)
                        try enter(channel, peer: peer, promise)
                    },
                    ended: { isWaiting in
                        if isWaiting { census.connectionClosed(from: nobody) }
                        promise.fail(ChannelError.eof)
                    }
                )
                try channel.pipeline.syncOperations.addHandler(line)
            } else {
                try enter(channel, peer: channel.remoteAddress?.ipAddress ?? "", promise)
            }
        } catch {
            promise.fail(error)
            channel.close(promise: nil)
        }
        return value
    }

    private func enter(_ channel: any Channel, peer: String, _ promise: EventLoopPromise<Way>) throws {
        guard rules.census.admitConnection(from: peer, isShared: rules.admission.isShared(peer)) else {
            throw ChannelError.ioOnClosedChannel
        }
        let census = rules.census
        channel.closeFuture.whenComplete { _ in census.connectionClosed(from: peer) }
        try configure(channel, peer: peer, promise)
    }

    func handle(value: Value, logger: Logger) async {
        let way = try? await withTaskCancellationHandler {
            try await value.way.get()
        } onCancel: {
            value.channel.close(promise: nil)
        }
        guard case .http(let channel, let peer) = way else { return }
        await RequestSource.$connection.withValue(peer) { await handleHTTP(asyncChannel: channel, logger: logger) }
    }

    private func configure(_ channel: any Channel, peer: String, _ promise: EventLoopPromise<Way>) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls = rules.tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls.context)) }
        var decoderLimits = NIOHTTPDecoderLimitConfiguration()
        decoderLimits.maxHeaderFieldSize = rules.limits.headerBytes
        decoderLimits.maxHeaderListSize = rules.limits.headerBytes
        decoderLimits.maxHeaderFieldCount = rules.limits.headerFields
        let codec = RequestGate.Codec(
            encoder: HTTPResponseEncoder(),
            decoder: ByteToMessageHandler(
                HTTPRequestDecoder(
                    leftOverBytesStrategy: .forwardBytes,
                    limitConfiguration: decoderLimits
                )
            ),
            pipelining: HTTPServerPipelineHandler()
        )
        let (rules, secure) = (rules, rules.tls != nil)
        let ways = RequestGate.Ways(
            startHTTP: {
                try channel.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: secure))
                let wrapped = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(isOutboundHalfClosureEnabled: true)
                )
                promise.succeed(.http(wrapped, peer: peer))
            },
            makeSocket: { opening in
                guard rules.census.admitSocket() else { return nil }
                return WebSocketHandler(
                    limits: rules.limits,
                    isPlain: !secure,
                    user: rules.makeUser(opening, channel.eventLoop)
                )
            },
            becameSocket: { promise.succeed(.socket) },
            ended: { promise.fail(ChannelError.eof) }
        )
        try pipeline.addHandlers([codec.encoder, codec.decoder, codec.pipelining])
        try pipeline.addHandler(RequestGate(rules: rules, peer: peer, codec: codec, ways: ways))
    }
}
