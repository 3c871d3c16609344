/// A websocket's channel handler: frames in and out, keep-alive, orderly close, all on the channel's event loop.
import Glibc
import NIOCore

/// Who uses a websocket. All calls come on its event loop.
protocol WebSocketUser: AnyObject {
    func opened(_ socket: WebSocketHandler)
    func received(_ opcode: WebSocketOpcode, _ message: ByteBuffer)
    func becameWritable()
    /// The socket's descriptor as long as nothing waits in the channel, else nil: a whole frame may be written to it
    /// at once then. What is left of one goes to `sendRest`.
    func directChanged(_ descriptor: NIOBSDSocket.Handle?)
    /// The last call; the socket is gone.
    func closed()
}

final class WebSocketHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = Never
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How long the peer may take to answer a close frame.
    static let closeWithin = TimeAmount.seconds(5)
    /// Peers whose turns come within this time of each other are looked at together: waking up costs more than a look.
    private static let lookEvery: UInt64 = 100_000_000
    private static let ping = WebSocketFrame.encode(.ping, [])

    private enum State {
        case open
        /// A close frame was sent; the peer's is awaited until the task fires.
        case closing(Scheduled<Void>)
        /// Both sides closed, or the channel is gone.
        case closed
    }

    private var machine: WebSocketMachine
    private let user: any WebSocketUser
    private var state = State.open
    private var context: ChannelHandlerContext?
    private var keepAlive: KeepAlive
    private var nextLook: Scheduled<Void>?
    /// The peer does not read: nothing more is read from it, so that it cannot make answers pile up.
    private var isReadHeld = false
    /// Whether bytes given to the channel become the socket's as they are, without TLS.
    private let isPlain: Bool
    /// The socket itself. Good as long as the channel is active.
    private var descriptor: NIOBSDSocket.Handle?
    /// The same, while the websocket is open and nothing waits in the channel; nil also where that is not known. It is
    /// taken back before anything is given to the channel and before the channel is closed. Where the channel closes
    /// by itself, after the peer's end or a fault, it tells `channelInactive` before it runs anything else of ours; so
    /// whoever has this on the event loop never has another connection's.
    private var direct: NIOBSDSocket.Handle? {
        didSet { if direct != oldValue { user.directChanged(direct) } }
    }

    init(limits: WebConfiguration.Limits, isPlain: Bool, user: any WebSocketUser) {
        machine = WebSocketMachine(maximumMessage: limits.greetingBytes)
        keepAlive = KeepAlive(limits, at: .now())
        self.isPlain = isPlain
        self.user = user
    }

    /// False from `close` on, or since the peer has closed.
    var isOpen: Bool { if case .open = state { true } else { false } }

    /// False while more is queued than the channel's high-water mark.
    var isWritable: Bool { context?.channel.isWritable ?? false }

    /// Bytes that wait for the peer to read.
    var queuedBytes: Int {
        guard let context else { return 0 }
        return (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Raised once the peer has shown who it is.
    var maximumMessage: Int {
        get { machine.maximumMessage }
        set { machine.maximumMessage = newValue }
    }

    /// Sends a complete frame. After `close` nothing is sent any more.
    func send(_ frame: ByteBuffer) {
        guard case .open = state, let context else { return }
        direct = nil
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }

    /// Sends a complete frame by one system call where that may be, so that the next of those that many get may be, too.
    func deliver(_ frame: ByteBuffer) {
        guard case .open = state, let context else { return }
        guard isPlain, let descriptor, context.channel.isActive, queuedBytes == 0 else {
            send(frame)
            return
        }
        direct = descriptor
        let sent = frame.withUnsafeReadableBytes { Self.write($0, to: descriptor) }
        if sent < frame.readableBytes { sendRest(of: frame, after: sent) }
    }

    /// Writes a frame that many get to a socket of `directChanged` by one system call: for an event to thousands the
    /// channel's way, made for any handlers and buffers, would cost as much again. Gives the bytes taken, or -1.
    static func write(_ frame: UnsafeRawBufferPointer, to descriptor: NIOBSDSocket.Handle) -> Int {
        Glibc.send(descriptor, frame.baseAddress, frame.count, Int32(MSG_NOSIGNAL))
    }

    /// What `write` did not take is the channel's, which waits for room. After a fault it gets all, meets the fault
    /// too, and closes.
    func sendRest(of frame: ByteBuffer, after sent: Int) {
        var rest = frame
        rest.moveReaderIndex(forwardBy: max(0, sent))
        send(rest)
    }

    /// Says why and ends the connection once the peer has answered, or after a few seconds.
    func close(_ code: UInt16, _ reason: String = "") {
        guard case .open = state, let context else { return }
        direct = nil
        context.writeAndFlush(wrapOutboundOut(WebSocketFrame.close(code, reason)), promise: nil)
        let deadline = context.eventLoop.assumeIsolated().scheduleTask(in: Self.closeWithin) { [weak self] in
            guard let self else { return }
            drop()
        }
        state = .closing(deadline)
        if isReadHeld {
            isReadHeld = false
            context.read()
        }
    }

    /// Says why and closes the connection, without waiting for the peer.
    func closeAtOnce(_ code: WebSocketCloseCode, _ reason: String) -> EventLoopFuture<Void>? {
        guard let context else { return nil }
        send(WebSocketFrame.close(code.rawValue, reason))
        end(context)
        return context.channel.closeFuture
    }

    func close(_ code: WebSocketCloseCode, _ reason: String = "") { close(code.rawValue, reason) }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let pipeline = context.pipeline.syncOperations
        descriptor = try? pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
        keepAlive.heard(at: .now())
        look(context, in: keepAlive.first)
        user.opened(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish()
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent: close(.goingAway, "The server is stopping; come back.")
        case ChannelEvent.inputClosed: end(context)
        default: break
        }
    }

    /// Whoever closes the channel; our own closing takes `direct` back first.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        direct = nil
        context.close(mode: mode, promise: promise)
    }

    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable || isClosing {
            context.read()
        } else {
            isReadHeld = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        if isReadHeld {
            isReadHeld = false
            context.read()
        }
        if case .open = state { user.becameWritable() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        keepAlive.heard(at: .now())
        if case .closed = state { return }
        machine.received(unwrapInboundIn(data))
        while let output = machine.next() {
            switch output {
            case .message(let opcode, let bytes):
                if case .open = state { user.received(opcode, bytes) }
            case .ping(let payload):
                deliver(WebSocketFrame.encode(.pong, payload.readableBytesView))
            case .pong: break
            case .close(let code):
                closeReceived(code, context)
            case .failure(let code, let sentence):
                close(code, sentence)
            }
        }
    }

    // MARK: Ends

    private var isClosing: Bool { !isOpen }

    /// The peer's close: echoed where it came first; then the server closes the connection (RFC 6455, 7.1.1).
    private func closeReceived(_ code: UInt16?, _ context: ChannelHandlerContext) {
        switch state {
        case .open:
            let echo = code.map { WebSocketFrame.close($0) } ?? WebSocketFrame.encode(.close, [])
            direct = nil
            context.writeAndFlush(wrapOutboundOut(echo), promise: nil)
        case .closing(let deadline): deadline.cancel()
        case .closed: return
        }
        state = .closed
        end(context)
    }

    private func end(_ context: ChannelHandlerContext) {
        direct = nil
        context.close(promise: nil)
    }

    private func drop() {
        if let context { end(context) }
    }

    private func finish() {
        guard context != nil else { return }
        direct = nil
        context = nil
        descriptor = nil
        if case .closing(let deadline) = state { deadline.cancel() }
        state = .closed
        nextLook?.cancel()
        nextLook = nil
        user.closed()
    }

    private func look(_ context: ChannelHandlerContext, in delay: TimeAmount) {
        let time = (NIODeadline.now() + delay).uptimeNanoseconds
        let turn = NIODeadline.uptimeNanoseconds((time + Self.lookEvery - 1) / Self.lookEvery * Self.lookEvery)
        nextLook = context.eventLoop.assumeIsolated().scheduleTask(deadline: turn) { [weak self] in
            guard let self, let context = self.context else { return }
            let acknowledged = { [descriptor] in descriptor.flatMap { TCPAcknowledgement.age($0) } }
            switch keepAlive.looked(at: .now(), acknowledged: acknowledged) {
            case .wait(let delay): look(context, in: delay)
            case .ping(let delay):
                // Also to one who reads slowly, behind what waits for it already: nobody is ended who was not asked.
                deliver(Self.ping)
                look(context, in: delay)
            case .end: end(context)
            }
        }
    }
}
