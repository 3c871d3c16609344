/// One HTTP request and its reply on a connection of its own.

import NIOCore
import NIOHTTP1
import NIOPosix

/// Transmission's keep-alive connections stall for 40 ms on large replies; a fresh connection on loopback does not.
struct HTTPExchange: Sendable {
    let configuration: RPCConfiguration
    let group: any EventLoopGroup

    struct Reply: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: ByteBuffer
    }

    /// `onSending` is called when the connection stands, before the first byte leaves.
    func post(
        _ body: [UInt8],
        headers extra: [(String, String)],
        _ onSending: () -> Void = {}
    ) async throws(TransmissionError) -> Reply {
        let loop = group.next()
        let promise = loop.makePromise(of: Reply.self)
        let address: SocketAddress
        do {
            address = try SocketAddress(ipAddress: configuration.host, port: configuration.port)
        } catch {
            promise.fail(error)
            throw TransmissionError(
                .down,
                "\(configuration.host) is not a numeric address. Give rpc-url one, such as http://127.0.0.1:9091."
            )
        }
        let largest = configuration.largestReply
        let deadline = TimeAmount(configuration.replyDeadline)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .connectTimeout(TimeAmount(configuration.connectDeadline))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(
                            ReplyCollector(promise: promise, largest: largest, deadline: deadline)
                        )
                    }
                }
                .connect(to: address)
                .get()
        } catch {
            promise.fail(error)
            throw TransmissionError(
                .down,
                "Nothing answers at \(configuration.authority): transmission-daemon is not running there, or its "
                    + "rpc-port differs. Start it, or set rpc-url in agent.conf."
            )
        }
        onSending()
        var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: configuration.path)
        head.headers.add(name: "Host", value: configuration.authority)
        head.headers.add(name: "Content-Type", value: "application/json")
        head.headers.add(name: "Content-Length", value: String(body.count))
        head.headers.add(name: "Connection", value: "close")
        for (name, value) in extra { head.headers.add(name: name, value: value) }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(channel.allocator.buffer(bytes: body))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        do {
            return try await withTaskCancellationHandler {
                try await promise.futureResult.get()
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch let error as TransmissionError {
            throw Task.isCancelled ? TransmissionError(.cancelled, "The request was given up.") : error
        } catch {
            throw TransmissionError(.unintelligible, "What listens at \(configuration.authority) does not speak HTTP.")
        }
    }
}

/// Collects a reply up to a size and a time.
private final class ReplyCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<HTTPExchange.Reply>
    private let largest: Int
    private let deadline: TimeAmount
    private var timer: Scheduled<Void>?
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()

    init(promise: EventLoopPromise<HTTPExchange.Reply>, largest: Int, deadline: TimeAmount) {
        self.promise = promise
        self.largest = largest
        self.deadline = deadline
    }

    func channelActive(context: ChannelHandlerContext) {
        let promise = promise
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: deadline) {
            promise.fail(
                TransmissionError(
                    .busy,
                    "Transmission accepted the connection but has not answered in time. It is probably waiting for its "
                        + "disk; the last data stand."
                )
            )
            channel.close(promise: nil)
        }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
        case .body(var part):
            guard body.readableBytes + part.readableBytes <= largest else {
                promise.fail(
                    TransmissionError(.tooLarge, "Transmission's answer is larger than \(largest >> 20) MiB.")
                )
                context.close(promise: nil)
                return
            }
            body.writeBuffer(&part)
        case .end:
            guard let head else { return }
            promise.succeed(HTTPExchange.Reply(status: Int(head.status.code), headers: head.headers, body: body))
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        promise.fail(
            TransmissionError(.down, "Transmission closed the connection without an answer; it may be shutting down.")
        )
    }
}

extension TimeAmount {
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
