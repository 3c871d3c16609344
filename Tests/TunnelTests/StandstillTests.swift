// How long a tor is waited for that has said why it does not go on.
import Foundation
import Logging
import NIOCore
import NIOPosix
import Seedbox
import Testing

@testable import Tunnel

@Suite struct StandstillTests {
    private func status(_ percent: Int, _ warning: String?) -> Tor.Status {
        var news = TorNews()
        news.bootstrap = percent
        news.warning = warning
        return Tor.Status(news: news)
    }

    @Test func `Patience shrinks from the reason on, whatever its words, and is whole again with each step ahead`() {
        var standstill = Standstill(.seconds(20))
        func left(_ percent: Int, _ warning: String?, at now: Int64) -> Duration {
            standstill.remaining(status(percent, warning), at: .seconds(now))
        }
        #expect(left(10, nil, at: 0) == .seconds(20) && left(10, nil, at: 100) == .seconds(20))
        #expect(left(10, "No route", at: 101) == .seconds(20))
        #expect(left(10, "Refused", at: 111) == .seconds(10))
        #expect(left(15, "Refused", at: 112) == .seconds(20))
        #expect(left(15, "Refused", at: 132) == .zero)
        #expect(left(15, nil, at: 133) == .seconds(20))
        #expect(left(15, "Refused", at: 140) == .seconds(20))
        #expect(standstill.remaining(Tor.Status(isStarting: true), at: .seconds(150)) == .seconds(20))
        #expect(left(15, "Refused", at: 160) == .seconds(20))
    }

    @Test(.timeLimit(.minutes(1)))
    func `Whoever waits for a tor that stands still waits no longer than that`() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let path = NSTemporaryDirectory() + "/standstill-\(getpid()).sock"
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StuckControlPort())
                }
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        let source = Tor.Source.given(
            socks: .unix(path: "/nowhere"),
            control: .unix(path: path),
            credential: .password("secret")
        )
        let tor = Tor(source, group: group, logger: Logger(label: "test"))
        let running = Task { try await tor.run() }
        await tor.told(within: .seconds(30))
        await tor.usable(within: .seconds(600), stillness: .milliseconds(200))
        #expect(!tor.status.isUsable)
        #expect(tor.status.bootstrapProblem?.message.hasPrefix("Tor cannot go on at 10 %: No route (NOROUTE).") == true)
        running.cancel()
        _ = await running.result
        try await server.close()
    }
}

/// Of a tor that has come as far as 10 %.
private final class StuckControlPort: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Each question comes in one piece: the next is asked after the answer.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let phase = #"PROGRESS=10 TAG=x SUMMARY="x" WARNING="No route" REASON=NOROUTE"#
        let facts = "250-status/bootstrap-phase=WARN BOOTSTRAP \(phase)\r\n"
        let isAsked = String(buffer: unwrapInboundIn(data)).hasPrefix("GETINFO")
        let answer = (isAsked ? facts : "") + "250 OK\r\n"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
    }
}
