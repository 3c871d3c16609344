/// One connection of the ingest: reads only as fast as messages may be taken, so that a fast sender waits.
import NIOCore

final class IngestHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How long reading rests when no message may be taken.
    private static let rest = TimeAmount.milliseconds(20)

    private let gate: IngestGate
    private var machine: ZMTPMachine
    private var context: ChannelHandlerContext?
    private var handshake: Scheduled<Void>?
    /// A message that may not be taken yet, and when it is tried again.
    private var held: [UInt8]?
    private var resting: Scheduled<Void>?

    init(_ gate: IngestGate) {
        self.gate = gate
        machine = ZMTPMachine(maximumMessage: gate.limits.messageBytes)
    }

    func channelActive(context: ChannelHandlerContext) {
        guard gate.enter(context.channel) else {
            context.close(promise: nil)
            return
        }
        self.context = context
        send(ZMTPMachine.greeting, context)
        let deadline = TimeAmount.milliseconds(gate.limits.readyWithin)
        handshake = context.eventLoop.assumeIsolated().scheduleTask(in: deadline) { context.close(promise: nil) }
        context.read()
    }

    func channelInactive(context: ChannelHandlerContext) {
        handshake?.cancel()
        resting?.cancel()
        self.context = nil
        gate.leave(context.channel)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        machine.received(unwrapInboundIn(data))
        if resting == nil { advance(context) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        readMore(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        readMore(context)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func advance(_ context: ChannelHandlerContext) {
        if let message = held {
            guard gate.mayTake() else {
                rest(context)
                return
            }
            held = nil
            gate.publish(message)
        }
        while let output = machine.next() {
            switch output {
            case .send(let bytes): send(bytes, context)
            case .ready: handshake?.cancel()
            case .message(let message):
                guard gate.mayTake() else {
                    held = message
                    rest(context)
                    return
                }
                gate.publish(message)
            case .passedOver: gate.refuse("it has several frames")
            case .failure(let reason):
                gate.refuse(reason)
                context.close(promise: nil)
            }
        }
    }

    private func rest(_ context: ChannelHandlerContext) {
        resting = context.eventLoop.assumeIsolated().scheduleTask(in: Self.rest) { [weak self] in
            guard let self, let context = self.context else { return }
            resting = nil
            advance(context)
            readMore(context)
        }
    }

    /// Nothing is read from a sender that is over its rate, or that does not read what it is answered.
    private func readMore(_ context: ChannelHandlerContext) {
        if resting == nil, context.channel.isWritable { context.read() }
    }

    private func send(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }
}
