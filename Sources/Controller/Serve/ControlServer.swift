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
    let path: String
    let handler: ControlHandler
    let group: any EventLoopGroup
    let logger: Logger

    /// Connections at once; a command line uses one.
    private static let mostConnections = 256

    /// Listens; fails where another controller does so already.
    func bind() async throws -> NIOAsyncChannel<ChannelByteStream, Never> {
        try await refuseSecondController()
        unlink(path)
        // Nobody but the owner may connect, from the first moment on.
        let mask = umask(0o177)
        defer { umask(mask) }
        return try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Int32(Self.mostConnections))
            .bind(unixDomainSocketPath: path) { ChannelByteStream.install(on: $0) }
    }

    func run() async throws {
        let server = try await bind()
        defer { unlink(path) }
        try await server.executeThenClose { connections in
            try await withThrowingDiscardingTaskGroup { tasks in
                for try await stream in connections.cancelOnGracefulShutdown() {
                    tasks.addTask {
                        let connection = CallConnection(
                            stream: stream,
                            hello: Hello(software: Farseed.software, capabilities: ["exec", "torrents", "watch"]),
                            side: .callee,
                            handler: handler
                        )
                        do {
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

    private func refuseSecondController() async throws {
        guard let connection = try? await ControlSocket.connect(path) else { return }
        await connection.close()
        throw Problem(
            .conflict,
            "A controller runs already on this state directory and answers at its control socket. "
                + "Stop it first, or give this one another state directory by XDG_STATE_HOME."
        )
    }
}
