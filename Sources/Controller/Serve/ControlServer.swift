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
        let admitted = try members.map(Self.group)
        unlink(path)
        // Nobody but the owner may connect, from the first moment on.
        let mask = umask(0o177)
        defer { umask(mask) }
        do {
            listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: Self.backlog)
                .bind(unixDomainSocketPath: path) { channel in
                    PeerCredentials.of(channel).and(ChannelByteStream.install(on: channel))
                }
        } catch let error as IOError {
            throw Problem(
                .configurationInvalid,
                "The control socket \(visible(path)) cannot be made: \(systemReason(error.errnoCode)). Make its directory "
                    + "for this user, or give another path by `socket` in [control]."
            )
        }
        if let admitted, chown(path, uid_t.max, admitted) != 0 || chmod(path, 0o660) != 0 {
            let reason = systemReason(errno)
            unlink(path)
            throw Problem(
                .configurationInvalid,
                "The control socket cannot be given to the `group` of [control]: \(reason). Correct it in farseed.toml."
            )
        }
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

    /// The group to give the socket to: looked at before there is one, which strangers might find in the meantime.
    private static func group(_ members: String) throws(Problem) -> gid_t {
        guard case .group(let id) = LocalAccount("@" + members) else {
            throw Problem(
                .configurationInvalid,
                "This machine has no group \"\(visible(members))\", to which `group` of [control] gives the control "
                    + "socket. Correct it in farseed.toml."
            )
        }
        var own = [gid_t](repeating: 0, count: Int(max(0, getgroups(0, nil))))
        let count = getgroups(Int32(own.count), &own)
        guard geteuid() == 0 || getegid() == id || own.prefix(Int(max(0, count))).contains(id) else {
            throw Problem(
                .configurationInvalid,
                "The daemon's user is not in the group \"\(visible(members))\", to which `group` of [control] gives the "
                    + "control socket. Add it by `usermod -aG`, or correct farseed.toml."
            )
        }
        return id
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
