/// The cases of the Autobahn test-suite itself, over real sockets, by a runner of PyPI that a person has installed.
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import TestSupport
import Testing

@testable import Web

/// Sends every message back as it came.
private final class Echo: WebSocketUser {
    private var socket: WebSocketHandler?

    func opened(_ socket: WebSocketHandler) { self.socket = socket }
    func received(_ opcode: WebSocketOpcode, _ message: ByteBuffer) {
        socket?.send(WebSocketFrame.encode(opcode, message.readableBytesView))
    }
    func becameWritable() {}
    func directChanged(_ descriptor: NIOBSDSocket.Handle?) {}
    func closed() { socket = nil }
}

/// Answers the opening of a websocket without a subprotocol, and leaves its place to it.
private final class Opening: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The largest message of group 9, and its frame's head.
    private static let limits = {
        var limits = WebConfiguration.Limits()
        limits.greetingBytes = (16 << 20) + 16
        return limits
    }()

    private var text = ""

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        text += String(buffer: unwrapInboundIn(data))
        guard text.hasSuffix("\r\n\r\n") else { return }
        var lines = text.split(separator: "\r\n")
        let words = lines.removeFirst().split(separator: " ")
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: String(words[1]))
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 1)
            head.headers.add(name: String(parts[0]), value: String(parts[1].trimmingSpaces))
        }
        head.headers.replaceOrAdd(name: "sec-websocket-protocol", value: "echo")
        guard case .accepted(let fields, _) = WebSocketUpgrade(head, sockets: [head.uri: ["echo"]]) else {
            context.close(promise: nil)
            return
        }
        var answer = "HTTP/1.1 101 Switching Protocols\r\n"
        for (name, value) in fields where name != "sec-websocket-protocol" { answer += "\(name): \(value)\r\n" }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer + "\r\n")), promise: nil)
        let socket = WebSocketHandler(limits: Self.limits, isPlain: true, user: Echo())
        do { try context.pipeline.syncOperations.addHandler(socket, position: .after(self)) } catch {
            context.close(promise: nil)
        }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

/// Where the runner is, such as `.../bin/kosoku`; these tests are for it alone.
private let runner = getenv("FARSEED_KOSOKU").map { String(cString: $0) }

@Suite struct AutobahnCaseTests {
    @Test(
        "kosoku passes us in every case of the groups 1 to 7, 9 and 10",
        .enabled(if: runner != nil, "FARSEED_KOSOKU names no runner of the Autobahn test-suite's cases")
    )
    func everyCase() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Opening()) }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        let port = try #require(server.localAddress?.port)
        let groups = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"].flatMap { ["--include", $0] }
        // What it says goes to standard error, which the child keeps.
        let shell = "exec \"$@\" --outdir \"$(mktemp -d)\" >&2"
        let child = try Child(["sh", "-c", shell, "sh", try #require(runner), "127.0.0.1:\(port)"] + groups)
        #expect(child.wait(for: "cases passed", within: 600), "\(child.text)")
        child.end()
        try await server.close()
        try await group.shutdownGracefully()
    }
}
