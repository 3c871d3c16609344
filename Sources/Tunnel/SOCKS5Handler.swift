/// Runs a SOCKS5 request at the head of a channel and then leaves its pipeline to whoever comes next.
import NIOCore

/// Added before the channel is active, with its automatic reading off. What the host sends before somebody behind this
/// handler reads is kept for them: it may come in one piece with tor's reply.
final class SOCKS5Handler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// More than any reply has; a peer that sends more before the end of the dialogue is no SOCKS port.
    private static let mostBytes = 1_024

    private enum State {
        case asking
        /// The stream is open and nobody has read from it yet.
        case connected
        /// Whoever comes next has begun to read.
        case handedOver
        case failed
    }

    /// How long the answers may take that tor gives by itself, and the one that waits for a circuit.
    struct Deadlines {
        var dialogue = TimeAmount.seconds(10)
        var circuit = TimeAmount.seconds(90)
    }

    private var client: SOCKS5Client
    private let deadlines: Deadlines
    private var deadline: Scheduled<Void>?
    private let connected: EventLoopPromise<Void>
    private var inbound = ByteBuffer()
    private var state = State.asking

    init(_ request: SOCKS5Client.Request, deadlines: Deadlines = Deadlines(), connected: EventLoopPromise<Void>) {
        self.deadlines = deadlines
        client = SOCKS5Client(request)
        self.connected = connected
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    private func begin(_ context: ChannelHandlerContext) {
        setDeadline(context, deadlines.dialogue)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: SOCKS5Client.greeting)), promise: nil)
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .asking:
            inbound.writeImmutableBuffer(unwrapInboundIn(data))
            goOn(context)
        case .connected: inbound.writeImmutableBuffer(unwrapInboundIn(data))
        case .handedOver: context.fireChannelRead(data)
        case .failed: break
        }
    }

    private func goOn(_ context: ChannelHandlerContext) {
        while case .asking = state {
            switch client.received(&inbound) {
            case .send(let bytes):
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
                setDeadline(context, client.isRequesting ? deadlines.circuit : deadlines.dialogue)
            case .wait:
                if inbound.readableBytes > Self.mostBytes { fail(context, .notSOCKS) }
                return
            case .connected:
                state = .connected
                deadline?.cancel()
                connected.succeed()
            case .fail(let failure): fail(context, failure)
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch state {
        case .asking: context.read()
        case .connected, .failed: break
        case .handedOver: context.fireChannelReadComplete()
        }
    }

    /// Somebody behind us wants bytes.
    func read(context: ChannelHandlerContext) {
        switch state {
        case .asking, .failed: return
        case .handedOver: return context.read()
        case .connected: state = .handedOver
        }
        guard inbound.readableBytes > 0 else { return context.read() }
        let first = inbound
        inbound = ByteBuffer()
        context.fireChannelRead(wrapInboundOut(first))
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .asking = state, case .fail(let failure) = client.closed() { fail(context, failure) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard case .asking = state else { return context.fireErrorCaught(error) }
        state = .failed
        deadline?.cancel()
        connected.fail(error)
        context.close(promise: nil)
    }

    private func setDeadline(_ context: ChannelHandlerContext, _ amount: TimeAmount) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: amount) { [weak self] in
            guard let self, case .asking = self.state, case .fail(let failure) = self.client.timedOut() else { return }
            self.fail(context, failure)
        }
    }

    private func fail(_ context: ChannelHandlerContext, _ failure: SOCKSFailure) {
        state = .failed
        deadline?.cancel()
        connected.fail(failure)
        context.close(promise: nil)
    }
}
