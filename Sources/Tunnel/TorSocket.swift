/// Connections to tor's ports on this machine.
import Calls
import NIOCore
import NIOPosix
import Seedbox

extension TorAddress {
    /// A connection to a literal address or a path: nothing is resolved.
    func connect<Output: Sendable>(
        by group: any EventLoopGroup,
        within patience: TimeAmount,
        autoRead: Bool = true,
        _ initialise: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws -> Output {
        let bootstrap = ClientBootstrap(group: group).connectTimeout(patience)
            .channelOption(.autoRead, value: autoRead)
        return switch self {
        case .tcp(let host, let port):
            try await bootstrap.connect(
                to: SocketAddress(ipAddress: host, port: port),
                channelInitializer: initialise
            )
        case .unix(let path):
            try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: initialise)
        }
    }
}

extension Tor {
    /// Its SOCKS port is on this machine and takes connections at once.
    static let connecting = TimeAmount.seconds(10)
    /// Tor answers up to here by itself.
    private static let answering = Duration.seconds(10)

    /// That nothing takes connections where `socks` says.
    static func unreachable(_ socks: TorAddress) -> Problem {
        Problem(
            .socksUnreachable,
            "Tor's SOCKS port \(socks) does not answer. Start tor, or correct `socks` in the configuration."
        )
    }

    /// Goes through the dialogue with the SOCKS port up to the request, which is not made; throws a `Problem`.
    package func probe() async throws {
        let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            channel = try await socks.connect(by: group, within: Self.connecting) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
            }
        } catch {
            try Task.checkCancellation()
            throw Self.unreachable(socks)
        }
        do {
            try await within(Self.answering, orThrow: SOCKSFailure.silent) {
                try await channel.executeThenClose { try await Self.negotiate($0, $1) }
            }
        } catch {
            try Task.checkCancellation()
            throw (error as? SOCKSFailure ?? .closed).problem
        }
    }

    private static func negotiate(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        // The host is never sent.
        var client = SOCKS5Client(
            .init(host: "none", port: 1, username: TorNews.username + "probe", password: Wall.nonce())
        )
        try await outbound.write(ByteBuffer(bytes: SOCKS5Client.greeting))
        var bytes = ByteBuffer()
        for try await piece in inbound {
            bytes.writeImmutableBuffer(piece)
            switch client.received(&bytes) {
            case .send(let answer):
                if client.isRequesting { return }
                try await outbound.write(ByteBuffer(bytes: answer))
            case .fail(let failure): throw failure
            case .wait, .connected: break
            }
        }
        throw SOCKSFailure.closed
    }
}
