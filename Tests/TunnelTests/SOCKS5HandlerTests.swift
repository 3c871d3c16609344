// The handler in a channel: nothing that the host sends early is lost to whoever reads later.
import NIOCore
import NIOEmbedded
import Seedbox
import Testing

@testable import Tunnel

@Suite struct SOCKS5HandlerTests {
    private let request = SOCKS5Client.Request(host: "a.onion", port: 22, username: "u", password: "p")

    /// Collects what comes, as SSH's handler does once it is added.
    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var bytes: [UInt8] = []

        func handlerAdded(context: ChannelHandlerContext) { context.read() }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes += unwrapInboundIn(data).readableBytesView
        }

        func channelReadComplete(context: ChannelHandlerContext) { context.read() }
    }

    @Test("A host that speaks with tor's reply, and before anybody listens, is heard whole", arguments: [true, false])
    func early(inOnePiece: Bool) throws {
        let channel = EmbeddedChannel()
        let connected = channel.eventLoop.makePromise(of: Void.self)
        try channel.pipeline.syncOperations.addHandler(SOCKS5Handler(request, connected: connected))
        channel.connect(to: try SocketAddress(unixDomainSocketPath: "/socks"), promise: nil)
        let reply: [UInt8] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        let pieces: [[UInt8]] =
            inOnePiece ? [reply + Array("SSH-2.0-x".utf8)] : [reply, Array("SSH-".utf8), Array("2.0-x".utf8)]
        for piece in [[5, 2], [1, 0]] + pieces { try channel.writeInbound(ByteBuffer(bytes: piece)) }
        try connected.futureResult.wait()

        let collector = Collector()
        try channel.pipeline.syncOperations.addHandler(collector)
        #expect(collector.bytes == Array("SSH-2.0-x".utf8))
        try channel.writeInbound(ByteBuffer(string: "more"))
        #expect(collector.bytes == Array("SSH-2.0-xmore".utf8))
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    @Test("A refusal fails the promise and closes the channel")
    func refusal() throws {
        let channel = EmbeddedChannel()
        let connected = channel.eventLoop.makePromise(of: Void.self)
        try channel.pipeline.syncOperations.addHandler(SOCKS5Handler(request, connected: connected))
        channel.connect(to: try SocketAddress(unixDomainSocketPath: "/socks"), promise: nil)
        for piece in [[5, 2], [1, 0], [5, 0xF4, 0, 1]] as [[UInt8]] {
            try channel.writeInbound(ByteBuffer(bytes: piece))
        }
        #expect(throws: SOCKSFailure.reply(.authorizationMissing)) { try connected.futureResult.wait() }
        #expect(!channel.isActive)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    @Test(
        "A port that stops in the middle of the dialogue is given up at the deadline of that step",
        arguments: [
            (0, 1, .silent, "says nothing"), (1, 1, .silent, "says nothing"), (2, 5, .noCircuit, "no circuit"),
        ] as [(Int, Int64, SOCKSFailure, String)]
    )
    func stops(answers: Int, seconds: Int64, failure: SOCKSFailure, words: String) throws {
        let channel = EmbeddedChannel()
        let connected = channel.eventLoop.makePromise(of: Void.self)
        let deadlines = SOCKS5Handler.Deadlines(dialogue: .seconds(1), circuit: .seconds(5))
        let handler = SOCKS5Handler(request, deadlines: deadlines, connected: connected)
        try channel.pipeline.syncOperations.addHandler(handler)
        channel.connect(to: try SocketAddress(unixDomainSocketPath: "/socks"), promise: nil)
        for piece in [[5, 2], [1, 0]].prefix(answers) as ArraySlice<[UInt8]> {
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(900))
            try channel.writeInbound(ByteBuffer(bytes: piece))
        }
        channel.embeddedEventLoop.advanceTime(by: .seconds(seconds) - .milliseconds(1))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!channel.isActive)
        #expect(throws: failure) { try connected.futureResult.wait() }
        #expect(failure.problem.message.contains(words))
        let hop: Dialer.Stage = failure == .silent ? .socks : .circuit
        #expect(DialFailure(failure, to: "a.onion", isTorReady: true).stage == hop)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    @Test("A connection that is made is not ended by the deadline of its making")
    func inTime() throws {
        let channel = EmbeddedChannel()
        let connected = channel.eventLoop.makePromise(of: Void.self)
        try channel.pipeline.syncOperations.addHandler(SOCKS5Handler(request, connected: connected))
        channel.connect(to: try SocketAddress(unixDomainSocketPath: "/socks"), promise: nil)
        for piece in [[5, 2], [1, 0], [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]] as [[UInt8]] {
            try channel.writeInbound(ByteBuffer(bytes: piece))
        }
        channel.embeddedEventLoop.advanceTime(by: .hours(24))
        try connected.futureResult.wait()
        #expect(channel.isActive)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }
}
