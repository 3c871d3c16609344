import NIOCore
import NIOPosix
import Testing

@testable import SSH

/// Servers that are none, or stop half-way.
struct HostileServerTests {
    /// Listens, says `greeting` to who comes, and closes or keeps silent.
    private func connect(
        to greeting: [UInt8],
        close: Bool,
        change: (inout SSHConfiguration.Deadlines) -> Void = { _ in }
    ) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Greeter(greeting, close: close))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { server.close(promise: nil) }
        let key = try PrivateKey(Array(KeyTests.privateText.utf8))
        var configuration = SSHConfiguration(user: "nobody", key: key, hostKey: .pinned([key.publicKey]))
        change(&configuration.deadlines)
        let port = server.localAddress!.port!
        try await within(30) { [configuration] in
            _ = try await SSHConnection.open(on: Client.channel(port: port), configuration)
        }
    }

    @Test func `A silent server is given up at the deadline of its greeting`() async throws {
        let error = await #expect(throws: SSHError.self) {
            try await connect(to: [], close: false) { $0.banner = .milliseconds(200) }
        }
        #expect(error?.code == .timedOut)
        #expect(
            error?.message
                == "The SSH server's greeting took longer than 200 ms. Nothing that speaks SSH has answered."
        )
    }

    @Test func `A server that stops after its greeting is given up at the deadline of the key exchange`() async throws {
        let error = await #expect(throws: SSHError.self) {
            try await connect(to: Array("SSH-2.0-OpenSSH_9.2\r\n".utf8), close: false) {
                $0.handshake = .milliseconds(200)
            }
        }
        #expect(error?.code == .timedOut)
        #expect(error?.message == "The SSH key exchange took longer than 200 ms.")
    }

    @Test func `A server that closes at once is a lost connection with its words`() async throws {
        let error = await #expect(throws: SSHError.self) {
            try await connect(to: Array("Not allowed at this time\r\n".utf8), close: true)
        }
        #expect(error?.code == .connectionLost)
        #expect(error?.message.contains("Not allowed at this time") == true)
    }

    @Test func `A server that closes after its banner is a lost connection`() async throws {
        let error = await #expect(throws: SSHError.self) {
            try await connect(to: Array("SSH-2.0-OpenSSH_9.2\r\n".utf8), close: true)
        }
        #expect(error?.code == .connectionLost)
    }

    enum Garbage: String, CaseIterable {
        case web, zeroes, escapes

        var bytes: [UInt8] {
            switch self {
            case .web:
                Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8) + Array(repeating: UInt8(ascii: "x"), count: 9_000)
            case .zeroes: Array(repeating: 0, count: 10_000)
            case .escapes: Array("\u{1B}[2Jevil\r\n".utf8) + (0..<6_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            }
        }
    }

    @Test(arguments: Garbage.allCases)
    func `Garbage is no SSH server`(greeting: Garbage) async throws {
        let error = await #expect(throws: SSHError.self) { try await connect(to: greeting.bytes, close: false) }
        #expect(error?.code == .notSSH)
        #expect(error?.message.contains("\u{1B}") == false)
    }

    @Test func `Garbage after the banner fails the handshake`() async throws {
        let greeting = Array("SSH-2.0-x\r\n".utf8) + (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let error = await #expect(throws: SSHError.self) { try await connect(to: greeting, close: false) }
        #expect(error?.code == .handshakeFailed)
    }
}

private final class Greeter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let greeting: [UInt8]
    private let close: Bool

    init(_ greeting: [UInt8], close: Bool) {
        self.greeting = greeting
        self.close = close
    }

    func channelActive(context: ChannelHandlerContext) {
        // One that closes waits for the client's first bytes, so that somebody hears its words.
        if !close { context.writeAndFlush(NIOAny(ByteBuffer(bytes: greeting)), promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard close else { return }
        context.writeAndFlush(NIOAny(ByteBuffer(bytes: greeting)), promise: nil)
        context.close(mode: .output, promise: nil)
    }
}
