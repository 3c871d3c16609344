/// A websocket's peer is asked whether it is there when it gives no sign of that, and no more often.
import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import Web

@Suite struct KeepAliveTests {
    /// Pinged after 30 s, after 300 s in any case, ended 45 s later.
    private static let limits = WebConfiguration.Limits()

    /// A machine at the second that it was made in, and what was acknowledged at which second.
    private struct Peer {
        var machine = KeepAlive(KeepAliveTests.limits, at: .uptimeNanoseconds(0))
        var acknowledgedAt: Int64?

        mutating func looked(_ second: Int64) -> KeepAlive.Action {
            let age = acknowledgedAt.map { TimeAmount.seconds(second - $0) }
            return machine.looked(at: .at(second)) { age }
        }

        mutating func heard(_ second: Int64) { machine.heard(at: .at(second)) }
    }

    @Test("Who is silent is pinged after half a minute, and gone 45 s later")
    func silent() {
        var peer = Peer()
        #expect(peer.machine.first == .seconds(30))
        #expect(peer.looked(30) == .ping(.seconds(30)))
        #expect(peer.looked(60) == .wait(.seconds(15)))
        #expect(peer.looked(75) == .end)
    }

    @Test("Who sends anything stays")
    func answering() {
        var peer = Peer()
        peer.heard(20)
        #expect(peer.looked(30) == .wait(.seconds(20)))
        #expect(peer.looked(50) == .ping(.seconds(30)))
        peer.heard(51)
        #expect(peer.looked(80) == .wait(.seconds(1)))
        #expect(peer.looked(81) == .ping(.seconds(30)))
        #expect(peer.looked(111) == .wait(.seconds(15)))
    }

    @Test("Who acknowledges events is not pinged, but for now and then")
    func acknowledging() {
        var peer = Peer()
        for second in stride(from: 30 as Int64, to: 300, by: 15) {
            peer.acknowledgedAt = second - 2
            #expect(peer.looked(second) == .wait(.seconds(15)))
        }
        peer.acknowledgedAt = 299
        #expect(peer.looked(300) == .ping(.seconds(30)))
        // What a system acknowledges is no answer of its program.
        peer.acknowledgedAt = 330
        #expect(peer.looked(330) == .wait(.seconds(15)))
        #expect(peer.looked(345) == .end)
    }

    @Test("Half a minute counts from the last acknowledgement")
    func rarelyAcknowledging() {
        var peer = Peer()
        peer.acknowledgedAt = 12
        #expect(peer.looked(30) == .wait(.seconds(12)))
        #expect(peer.looked(42) == .ping(.seconds(30)))
    }

    @Test("The system tells when all was acknowledged, and nothing of who does not read")
    func acknowledged() async throws {
        let pair = try TCPPair()
        let begun = ContinuousClock.now
        try pair.write(1)
        var age = try await pair.age { $0 != nil }
        // The system counts in ticks of some milliseconds.
        #expect(age ?? .seconds(60) <= .milliseconds(10) + (ContinuousClock.now - begun).amount)
        age = try await pair.age { $0 ?? .zero > .milliseconds(200) }
        #expect(age ?? .seconds(60) <= .milliseconds(10) + (ContinuousClock.now - begun).amount)

        while pair.writeMore() {}
        #expect(TCPAcknowledgement.age(pair.server) == nil)
        try await within {
            while TCPAcknowledgement.age(pair.server) == nil {
                if pair.read() <= 0 { try await Task.sleep(for: .milliseconds(1)) }
            }
        }
        #expect(TCPAcknowledgement.age(-1) == nil)
    }

    @Test("A live websocket is pinged, stays where it answers, and ends where it does not")
    func live() async throws {
        try await LiveServer.with {
            $0.limits.pingAfter = 100
            $0.limits.pongWithin = 3_000
        } _: { live in
            let (silent, answering) = (try await TestSocket.open(live), try await TestSocket.open(live))
            for _ in 0..<5 {
                #expect(try await answering.frame() == ServerFrame(opcode: 9, payload: []))
                try await answering.client.send(clientFrame(10, []))
            }
            #expect(try await silent.frame() == ServerFrame(opcode: 9, payload: []))
            #expect(try await silent.frame() == nil)
            answering.close()
        }
    }

    @Test("Who has not read all that was sent when it is asked gets the ping behind that")
    func slow() async throws {
        let (looks, look) = AsyncStream<Bool>.makeStream()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.socketOption(.so_sndbuf), value: 16_384)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Starter(look)) }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        let client = try await RawClient.connect(port: try #require(server.localAddress?.port))
        try await client.setReading(false)
        try await client.send([0])
        let wasFull = try await within {
            for await wasFull in looks { return wasFull }
            return false
        }
        #expect(wasFull)
        try await client.setReading(true)
        let socket = TestSocket(client: client)
        var frame = try await socket.frame()
        while frame?.opcode == 2 { frame = try await socket.frame() }
        #expect(frame == ServerFrame(opcode: 9, payload: []))
        client.close()
        try await server.close()
    }
}

/// Makes a websocket of the connection once the client has sent something.
private final class Starter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let look: AsyncStream<Bool>.Continuation
    private var isStarted = false

    init(_ look: AsyncStream<Bool>.Continuation) { self.look = look }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isStarted else { return }
        isStarted = true
        var limits = WebConfiguration.Limits()
        limits.pingAfter = 100
        limits.pingAtLatest = 100
        let user = Filler(context.eventLoop, look)
        try? context.pipeline.syncOperations.addHandler(WebSocketHandler(limits: limits, isPlain: true, user: user))
    }
}

/// Sends more than the channel takes until the first look at the peer is over; tells whether it was full then.
private final class Filler: WebSocketUser {
    private static let frame = WebSocketFrame.encode(.binary, [UInt8](repeating: 0, count: 60_000))
    /// Tasks of an event loop run in the order of their times, and this one is after that of the look.
    private static let untilLooked = TimeAmount.milliseconds(400)

    private let eventLoop: any EventLoop
    private let look: AsyncStream<Bool>.Continuation
    private var socket: WebSocketHandler?

    init(_ eventLoop: any EventLoop, _ look: AsyncStream<Bool>.Continuation) {
        self.eventLoop = eventLoop
        self.look = look
    }

    func opened(_ socket: WebSocketHandler) {
        self.socket = socket
        fill()
        eventLoop.assumeIsolated().scheduleTask(in: Self.untilLooked) { [self] in
            self.socket = nil
            look.yield(!socket.isWritable)
        }
    }

    func becameWritable() { fill() }
    func received(_ opcode: WebSocketOpcode, _ message: ByteBuffer) {}
    func directChanged(_ descriptor: NIOBSDSocket.Handle?) {}
    func closed() { socket = nil }

    private func fill() {
        while let socket, socket.isWritable { socket.send(Self.frame) }
    }
}

extension NIODeadline {
    fileprivate static func at(_ second: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(second) }
}

extension Duration {
    fileprivate var amount: TimeAmount { .nanoseconds(Int64(self / .nanoseconds(1))) }
}

/// Two ends of a TCP connection over loopback; the server's does not block.
private final class TCPPair: Sendable {
    let server: CInt
    private let client: CInt

    init() throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        client = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let client = client
        let isConnected = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, address, &size) == 0 && connect(client, address, size) == 0
            }
        }
        try #require(isConnected)
        server = accept(listener, nil, nil)
        try #require(fcntl(server, F_SETFL, O_NONBLOCK) == 0)
    }

    deinit {
        close(server)
        close(client)
    }

    func write(_ count: Int) throws {
        try #require(send(server, [UInt8](repeating: 0, count: count), count, CInt(MSG_NOSIGNAL)) == count)
    }

    /// False once nobody has room.
    func writeMore() -> Bool { send(server, [UInt8](repeating: 0, count: 65_536), 65_536, CInt(MSG_NOSIGNAL)) > 0 }

    /// How much the client took, without waiting.
    func read() -> Int {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        return recv(client, &bytes, bytes.count, CInt(MSG_DONTWAIT))
    }

    /// Waits until what the system tells is as wanted.
    func age(_ isWanted: @escaping @Sendable (TimeAmount?) -> Bool) async throws -> TimeAmount? {
        try await within { [self] in
            while true {
                let age = TCPAcknowledgement.age(server)
                if isWanted(age) { return age }
                try await Task.sleep(for: .milliseconds(2))
            }
        }
    }
}
