/// For commands that only the daemon can answer, because it alone keeps what they are about.
import Calls
import Seedbox

enum Daemon {
    static func with<Success: Sendable>(
        _ options: BoxOptions,
        _ body: @Sendable (CallConnection) async throws -> Success
    ) async throws -> Success {
        let configuration = try options.load(acceptMissingFiles: true)
        guard let connection = try await ControlSocket.connect(configuration.controlSocket) else {
            throw Problem(
                .controllerAbsent,
                "No daemon answers at \(visible(configuration.controlSocket)); it alone keeps the jobs. Start it with "
                    + "`farseed serve`."
            )
        }
        return try await Backend.driven(connection) {
            _ = try await ControlSocket.greeted(connection)
            return try await body(connection)
        }
    }
}
