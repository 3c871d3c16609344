/// What the commands of `farseed user` share: the database, the audit log, and the daemon that is told of changes.
import Calls
import Foundation
import Notation
import Seedbox
import Store
import Web

struct UserDesk: Sendable {
    let ledger: Ledger
    let configuration: Configuration

    var now: Int64 { Int64(Date.now.timeIntervalSince1970 * 1000) }

    /// Opens the database of the state directory, which is made where it is missing, and closes it after `body`.
    static func with<Success: Sendable>(
        _ choice: BoxChoice,
        _ body: (UserDesk) async throws -> Success
    ) async throws -> Success {
        let configuration = try choice.load(acceptMissingFiles: true)
        try StateDirectory.prepare(configuration.stateDirectory)
        let ledger = try await Ledger.open(LedgerConfiguration(path: StateDirectory.database(configuration)))
        do {
            let success = try await body(UserDesk(ledger: ledger, configuration: configuration))
            try ledger.close()
            return success
        } catch {
            try? ledger.close()
            throw error
        }
    }

    /// Does it and writes down that it was done, or how it failed.
    ///
    /// Whoever may write to the state directory is the owner; the user of this machine is where it came from.
    func audited<Success: Sendable>(
        _ action: String,
        _ target: String,
        _ body: () async throws -> Success
    ) async throws -> Success {
        func entry(_ outcome: String) -> AuditEntry {
            AuditEntry(
                at: now,
                who: Owner.name,
                origin: Self.origin,
                action: action,
                target: target,
                outcome: outcome
            )
        }
        do {
            let success = try await body()
            try await ledger.audit.append(entry("ok"))
            return success
        } catch let problem as Problem {
            // Its own failure counts more than that it could not be written down.
            try? await ledger.audit.append(entry(problem.code.rawValue))
            throw problem
        }
    }

    /// Makes a running daemon close the sockets of sessions that have ended; without one there are none.
    func tellDaemon() async throws {
        do {
            _ = try await ask("user.changed")
        } catch {
            OutputFile.error.print(
                "farseed: The change is made, but the daemon did not take note; open pages of ended sessions close "
                    + "within 30 seconds, or with a restart of `farseed serve`."
            )
        }
    }

    /// Where the page is, without a slash at its end.
    func page() async throws -> String {
        if let origin = configuration.web.allowedOrigins.first { return origin }
        if let page = try await ask("page")?["page"]?.string { return page }
        let web = configuration.web
        guard web.port != 0 else {
            throw Problem(.controllerAbsent, "The page gets its port when it starts. Start `farseed serve` first.")
        }
        return web.server.pageAddress(port: web.port)
    }

    private func ask(_ procedure: String) async throws -> Value? {
        guard let connection = try await ControlSocket.connect(configuration.controlSocket) else { return nil }
        return try await Backend.greeting(connection) { try await connection.call(procedure) }
    }

    static func sessions(_ count: Int) -> String { "\(count) session\(count == 1 ? "" : "s")" }

    /// Where the command line's own jobs and entries come from.
    ///
    /// By number: a name may have to be asked from a directory server, past Tor.
    static var origin: String { "command line of user \(getuid())" }
}
