/// Runs a SOCKS5 request at the head of a channel and then leaves its pipeline to whoever comes next.
import NIOCore

/// Added before the channel is active; `connected` succeeds with the bytes that the host has sent already.
final class SOCKS5Handler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// More than any reply has; a peer that sends more before the end of the dialogue is no SOCKS port.
    private static let mostBytes = 1_024

    private var client: SOCKS5Client
    private let connected: EventLoopPromise<Void>
    private var inbound = ByteBuffer()
    private var isOver = false

    init(_ request: SOCKS5Client.Request, connected: EventLoopPromise<Void>) {
        client = SOCKS5Client(request)
        self.connected = connected
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) { begin(context) }

    private func begin(_ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: SOCKS5Client.greeting)), promise: nil)
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return context.fireChannelRead(data) }
        inbound.writeImmutableBuffer(unwrapInboundIn(data))
        while !isOver {
            switch client.received(&inbound) {
            case .send(let bytes):
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
            case .wait:
                if inbound.readableBytes > Self.mostBytes { return fail(context, .notSOCKS) }
                return
            case .connected:
                isOver = true
                connected.succeed()
            case .fail(let failure):
                return fail(context, failure)
            }
        }
        if inbound.readableBytes > 0 { context.fireChannelRead(wrapInboundIn(inbound)) }
        inbound.clear()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Nobody behind us reads before the dialogue is over.
        if isOver { context.fireChannelReadComplete() } else { context.read() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isOver, case .fail(let failure) = client.closed() { fail(context, failure) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isOver else { return context.fireErrorCaught(error) }
        isOver = true
        connected.fail(error)
        context.close(promise: nil)
    }

    private func fail(_ context: ChannelHandlerContext, _ failure: SOCKSFailure) {
        isOver = true
        connected.fail(failure)
        context.close(promise: nil)
    }

    private func wrapInboundIn(_ bytes: ByteBuffer) -> NIOAny { NIOAny(bytes) }
}
