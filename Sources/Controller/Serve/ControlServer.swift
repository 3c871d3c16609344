/// The unix socket through which the command line reaches the controller; it speaks the frames of `Docs/Wire.md`.
import Calls
import Glibc
import Logging
import NIOCore
import NIOPosix
import Seedbox
import ServiceLifecycle
import Wire

struct ControlServer: Service {
    private let path: String
    private let listener: NIOAsyncChannel<(PeerCredentials, ChannelByteStream), Never>
    private let grants: [Configuration.Control.Grant]
    private let handler: @Sendable (ControlCaller) -> ControlHandler
    private let logger: Logger

    /// Commands that may wait to be let in; a command line uses one connection.
    private static let backlog: Int32 = 256

    /// Listens at `path`; fails where another controller does so already.
    ///
    /// To be awaited before anything else runs: the process's file mode mask is another one meanwhile.
    ///
    /// - Parameters:
    ///   - members: the group whose members may connect besides the owner.
    ///   - grants: their roles.
    ///   - handler: what answers to one caller.
    init(
        path: String,
        members: String?,
        grants: [Configuration.Control.Grant],
        group: any EventLoopGroup,
        logger: Logger,
        handler: @escaping @Sendable (ControlCaller) -> ControlHandler
    ) async throws {
        self.path = path
        self.grants = grants
        self.handler = handler
        self.logger = logger
        try await Self.refuseSecondController(path)
        unlink(path)
        // Nobody but the owner may connect, from the first moment on.
        let mask = umask(0o177)
        defer { umask(mask) }
        listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Self.backlog)
            .bind(unixDomainSocketPath: path) { channel in
                PeerCredentials.of(channel).and(ChannelByteStream.install(on: channel))
            }
        if let members { try Self.admit(members, to: path) }
    }

    func run() async throws {
        defer { unlink(path) }
        try await listener.executeThenClose { connections in
            try await withThrowingDiscardingTaskGroup { tasks in
                for try await (peer, stream) in connections.cancelOnGracefulShutdown() {
                    tasks.addTask {
                        do {
                            let caller = try await ControlCaller.of(peer, grants: grants)
                            let connection = CallConnection(
                                stream: stream,
                                hello: Hello(software: Farseed.software, capabilities: ["exec", "torrents", "watch"]),
                                side: .callee,
                                handler: handler(caller)
                            )
                            try await connection.run()
                        } catch {
                            logger.debug("A command's connection ended", metadata: ["error.type": "\(type(of: error))"])
                        }
                    }
                }
                tasks.cancelAll()
            }
        }
    }

    private static func admit(_ members: String, to path: String) throws {
        guard let entry = getgrnam(members), chown(path, uid_t.max, entry.pointee.gr_gid) == 0, chmod(path, 0o660) == 0
        else {
            throw Problem(
                .configurationInvalid,
                "The control socket cannot be given to the `group` of [control]: there is no such group, or this user "
                    + "is not in it. Correct it in farseed.toml."
            )
        }
    }

    private static func refuseSecondController(_ path: String) async throws {
        guard let connection = try? await ControlSocket.connect(path) else { return }
        await connection.close()
        throw Problem(
            .conflict,
            "A controller runs already on this state directory and answers at its control socket. "
                + "Stop it first, or give this one another state directory by XDG_STATE_HOME."
        )
    }
}
