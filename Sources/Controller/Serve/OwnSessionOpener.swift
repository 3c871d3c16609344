/// Opens a session for one command where no controller runs.
import Logging
import Seedbox

func sessionOpener() -> any SessionOpener { OwnSessionOpener() }

private struct OwnSessionOpener: SessionOpener {
    func open(_ box: Configuration.Box, of configuration: Configuration, logger: Logger) async throws -> OwnSession {
        let tor = try await CommandTor.start(configuration, logger: logger)
        do {
            let session = try await tor.open(box, of: configuration)
            return OwnSession(connection: session.connection, greeted: session.greeted) {
                await session.end()
                await tor.end()
            }
        } catch {
            await tor.end()
            throw error
        }
    }
}
