/// The door of every connection: deadlines, the allow-lists, and the turn from HTTP to a websocket.
import NIOCore
import NIOHTTP1

/// Stands between the HTTP decoder and the HTTP library, and sees one request at a time.
///
/// What comes first on a connection decides what it becomes: the HTTP library's handlers are put in with the first
/// ordinary request, and never for a websocket. A later request may still become a websocket, as reverse proxies reuse
/// connections; the library's handlers then stay behind, idle, until the connection ends.
final class RequestGate: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// What a connection may turn into; called on its event loop.
    struct Ways {
        /// Puts the HTTP library's handlers behind the gate.
        var startHTTP: () throws -> Void
        /// The websocket's handler; nil where there are too many.
        var makeSocket: (SocketOpening) -> WebSocketHandler?
        /// The connection is a websocket from its first request on.
        var becameSocket: () -> Void
        /// It ended before its first request.
        var ended: () -> Void
    }

    /// The handlers before the gate, which leave when a websocket begins.
    struct Codec {
        var encoder: HTTPResponseEncoder
        var decoder: ByteToMessageHandler<HTTPRequestDecoder>
        var pipelining: HTTPServerPipelineHandler
    }

    private enum State {
        /// Until the next request's head.
        case head
        /// A request is passed on; its body is coming, `left` bytes of it may.
        case body(left: Int, isLast: Bool)
        /// The response is awaited; `isLast` closes after it.
        case response(isLast: Bool)
        /// The end of a websocket's request is awaited.
        case upgrade(HTTPHeaders, SocketOpening)
        /// HTTP's handlers are leaving; bytes behind the request wait.
        case switching([NIOAny])
        /// Refused, or over; what still comes is dropped.
        case over
    }

    /// How long a client may read a last response before the connection is closed under it.
    private static let closeWithin = TimeAmount.seconds(2)

    private let admission: Admission
    private let limits: WebConfiguration.Limits
    private let sockets: [String: [String]]
    private let securityFields: [(name: String, value: String)]
    private let codec: Codec
    private let ways: Ways
    private let peer: String

    private var state = State.head
    private var hasHTTP = false
    private var deadline: Scheduled<Void>?

    init(rules: WebChannel.Rules, peer: String, codec: Codec, ways: Ways) {
        admission = rules.admission
        limits = rules.limits
        sockets = rules.sockets
        securityFields = rules.securityFields
        self.peer = peer
        self.codec = codec
        self.ways = ways
    }

    // MARK: Inbound

    func handlerAdded(context: ChannelHandlerContext) {
        expect(within: limits.headWithin, context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if !hasHTTP { ways.ended() }
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .switching(let waiting) = state {
            state = .switching(waiting + [data])
            return
        }
        switch unwrapInboundIn(data) {
        case .head(let head): received(head, context)
        case .body(let bytes): received(bytes, context)
        case .end(let trailers): ended(trailers, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch (state, error) {
        case (.head, let error as HTTPParserError), (.body, let error as HTTPParserError):
            let isLong = error == .headerOverflow
            refuse(
                Refusal(
                    status: isLong ? 431 : 400,
                    sentence: isLong
                        ? "The request's header is too long. Send less."
                        : "The request is not well-formed HTTP/1.1. Use a client that follows it."
                ),
                context
            )
        case (.over, _): break
        default: context.close(promise: nil)
        }
    }

    private func received(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard case .head = state else { return }
        if let refusal = admission.refusal(of: head, peer: peer) {
            refuse(refusal, context)
            return
        }
        if let length = head.headers.first(name: "content-length").flatMap(Int.init), length > limits.bodyBytes {
            refuse(Refusal(status: 413, sentence: "The request's body is larger than any needed here."), context)
            return
        }
        var head = head
        var isLast = !head.isKeepAlive
        switch WebSocketUpgrade(head, sockets: sockets) {
        case .none: break
        case .foreign:
            // The decoder stops at any upgrade, so nothing after this request could be read.
            head.headers.remove(name: "upgrade")
            head.headers.remove(name: "http2-settings")
            isLast = true
        case .refused(let refusal):
            refuse(refusal, context)
            return
        case .accepted(let fields, let subprotocol):
            let opening = SocketOpening(
                client: admission.client(forwarded: head.headers["x-forwarded-for"], peer: peer),
                origin: Admission.page(of: head.headers.first(name: "origin")),
                subprotocol: subprotocol
            )
            state = .upgrade(fields, opening)
            return
        }
        if isLast { head.headers.replaceOrAdd(name: "connection", value: "close") }
        if !hasHTTP {
            do { try ways.startHTTP() } catch {
                context.close(promise: nil)
                return
            }
            hasHTTP = true
        }
        state = .body(left: limits.bodyBytes, isLast: isLast)
        expect(within: limits.bodyWithin, context)
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    private func received(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        guard case .body(let left, let isLast) = state else { return }
        guard bytes.readableBytes <= left else {
            refuse(Refusal(status: 413, sentence: "The request's body is larger than any needed here."), context)
            return
        }
        state = .body(left: left - bytes.readableBytes, isLast: isLast)
        context.fireChannelRead(wrapInboundOut(.body(bytes)))
    }

    private func ended(_ trailers: HTTPHeaders?, _ context: ChannelHandlerContext) {
        switch state {
        case .body(_, let isLast):
            state = .response(isLast: isLast)
            expect(within: limits.responseWithin, context)
            context.fireChannelRead(wrapInboundOut(.end(trailers)))
        case .upgrade(let fields, let opening): upgrade(fields, opening, context)
        default: break
        }
    }

    // MARK: Outbound

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let isLast: Bool
        switch state {
        case .body(_, let last), .response(let last): isLast = last
        case .head, .upgrade, .switching, .over:
            // A refusal was sent instead; what the library still answers goes nowhere.
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(var head):
            if isLast { head.headers.replaceOrAdd(name: "connection", value: "close") }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body(let body):
            context.write(wrapOutboundOut(.body(body)), promise: promise)
        case .end(let trailers):
            // Answered before the request's end, or for the last time: nothing after it is of interest.
            var isOver = isLast
            if case .body = state { isOver = true }
            state = isOver ? .over : .head
            if isOver {
                expect(within: Self.closeWithin, context)
            } else {
                expect(within: limits.idleWithin, context)
            }
            context.writeAndFlush(wrapOutboundOut(.end(trailers)), promise: promise)
        }
    }

    private func refuse(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        state = .over
        var headers = HTTPHeaders(securityFields.map { ($0.name, $0.value) })
        let body = ByteBuffer(string: refusal.sentence + "\n")
        headers.add(name: "content-type", value: "text/plain; charset=utf-8")
        headers.add(name: "content-length", value: "\(body.readableBytes)")
        headers.add(name: "cache-control", value: "no-store")
        headers.add(name: "connection", value: "close")
        for (name, value) in refusal.fields.sorted(by: { $0.key < $1.key }) { headers.add(name: name, value: value) }
        let head = HTTPResponseHead(
            version: .http1_1,
            status: HTTPResponseStatus(statusCode: refusal.status),
            headers: headers
        )
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        // Closed a little later: closing at once over unread bytes would make the kernel take the answer back.
        context.close(mode: .output, promise: nil)
        expect(within: Self.closeWithin, context)
    }

    // MARK: Websockets

    private func upgrade(_ fields: HTTPHeaders, _ opening: SocketOpening, _ context: ChannelHandlerContext) {
        guard let socket = ways.makeSocket(opening) else {
            let refusal = Refusal(
                status: 503,
                sentence: "There are too many websockets now. Come back in a few seconds.",
                fields: ["retry-after": "5"]
            )
            refuse(refusal, context)
            return
        }
        state = .switching([])
        deadline?.cancel()
        let pipeline = context.pipeline.syncOperations
        // Without this a client that vanished would keep its half of the connection for ever.
        try? context.channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
        let held = NIOLoopBound((gate: self, context: context, socket: socket), eventLoop: context.eventLoop)
        pipeline.removeHandler(codec.pipelining).and(pipeline.removeHandler(codec.decoder)).whenComplete { result in
            let (gate, context, socket) = held.value
            switch result {
            case .success: gate.switchOver(fields, socket, context)
            case .failure: context.close(promise: nil)
            }
        }
    }

    private func switchOver(_ fields: HTTPHeaders, _ socket: WebSocketHandler, _ context: ChannelHandlerContext) {
        guard case .switching(let waiting) = state else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: fields)
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        let pipeline = context.pipeline.syncOperations
        pipeline.removeHandler(codec.encoder, promise: nil)
        do { try pipeline.addHandler(socket, position: .after(self)) } catch {
            context.close(promise: nil)
            return
        }
        if !hasHTTP { ways.becameSocket() }
        hasHTTP = true
        for data in waiting { context.fireChannelRead(data) }
        state = .over
        pipeline.removeHandler(self, promise: nil)
    }

    // MARK: Deadlines

    private func expect(within milliseconds: Int64, _ context: ChannelHandlerContext) {
        expect(within: .milliseconds(milliseconds), context)
    }

    private func expect(within time: TimeAmount, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
    }
}

/// What is known of a websocket when it opens.
struct SocketOpening: Sendable, Equatable {
    /// The client's address; with trusted proxies what they say.
    var client: String
    var origin: String?
    var subprotocol: String
}
