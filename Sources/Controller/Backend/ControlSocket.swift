/// Reaches the daemon through its control socket.
import Calls
import NIOCore
import NIOPosix
import Seedbox
import Wire

enum ControlSocket {
    /// A daemon that does not even greet within this time hangs; the socket is local.
    private static let greeting = Duration.seconds(10)
    private static let connecting = TimeAmount.seconds(5)

    private static let daemonEnded = Problem(
        .connectionLost,
        "The daemon has ended while this was under way. If it does not come back by itself, start `farseed serve`."
    )

    /// Connects; nil where no daemon listens. The caller drives the connection with `run()`.
    static func connect(_ path: String) async throws -> CallConnection? {
        do {
            let stream = try await ClientBootstrap(group: CommandThread.loop)
                .connectTimeout(connecting)
                .connect(unixDomainSocketPath: path) { ChannelByteStream.install(on: $0) }
            return CallConnection(
                stream: stream,
                hello: Hello(software: Farseed.software),
                side: .caller,
                loss: daemonEnded
            )
        } catch let error as IOError {
            switch error.errnoCode {
            case ENOENT, ECONNREFUSED, ENOTDIR: return nil
            case EACCES, EPERM:
                throw Problem(
                    .notPermitted,
                    "The daemon's control socket \(visible(path)) may not be used by this user. Join its group (`group` "
                        + "in [control] of farseed.toml), or run as the daemon's user."
                )
            default:
                throw Problem(
                    .controllerAbsent,
                    "The daemon's control socket \(visible(path)) cannot be reached: \(systemReason(error.errnoCode)). "
                        + "Is `farseed serve` in order?"
                )
            }
        }
    }

    /// Whether a daemon listens there whom we may reach.
    static func isOpen(_ path: String) async -> Bool {
        guard let daemon = try? await connect(path) else { return false }
        // What is not driven does not close.
        try? await Backend.driven(daemon) {}
        return true
    }

    /// Waits for the daemon's greeting.
    static func greeted(_ connection: CallConnection) async throws -> Hello {
        try await within(
            greeting,
            on: CommandThread.loop,
            orThrow: Problem(
                .controllerAbsent,
                "The daemon does not answer on its control socket. Restart `farseed serve`."
            )
        ) {
            try await connection.peerHello()
        }
    }
}
