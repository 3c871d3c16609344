/// What a command talks to: the running daemon, or an own session with one seedbox's agent.
import Calls
import Foundation
import Logging
import Notation
import Seedbox

struct Backend: Sendable {
    enum Way: Sendable, Equatable {
        /// Through the control socket; every procedure takes the seedbox's name.
        case daemon
        /// Straight to the agent of the one seedbox.
        case agent
    }

    let way: Way
    let connection: CallConnection
    /// Nil where several are configured and none was chosen.
    let box: String?
    let configuration: Configuration

    /// Connects, runs `body` and disconnects. Without a daemon a session is opened, where there is a box to open.
    static func with<Success: Sendable>(
        _ options: BoxOptions,
        needsBox: Bool = true,
        opener: any SessionOpener = sessionOpener(),
        _ body: @Sendable (Backend) async throws -> Success
    ) async throws -> Success {
        let configuration = try options.load(acceptMissingFiles: true)
        if let connection = try await ControlSocket.connect(configuration.controlSocket) {
            return try await driven(connection) {
                _ = try await ControlSocket.greeted(connection)
                let box = try await chosenBox(options, configuration, daemon: connection, needed: needsBox)
                return try await body(
                    Backend(way: .daemon, connection: connection, box: box, configuration: configuration)
                )
            }
        }
        // The own session needs the secrets too, so now their faults count.
        let complete = try options.load()
        let box = try ownBox(options.box, complete)
        let session = try await opener.open(box, of: complete, logger: options.logger) { _ in }
        do {
            let success = try await body(
                Backend(way: .agent, connection: session.connection, box: box.name, configuration: complete)
            )
            await session.end()
            return success
        } catch {
            let reason = await reason(of: error, session)
            await session.end()
            throw reason
        }
    }

    /// Why a command failed whose session has ended: where no agent has greeted, that is the reason.
    private static func reason(of error: any Error, _ session: OwnSession) async -> any Error {
        guard session.connection.isOver, !Task.isCancelled else { return error }
        do {
            try await session.greeted()
            return error
        } catch {
            return error
        }
    }

    /// Drives `connection` while `body` runs; an error of the connection explains one that came of it.
    static func driven<Success: Sendable>(
        _ connection: CallConnection,
        _ body: @Sendable () async throws -> Success
    ) async throws -> Success {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // Whoever waits on the connection gets its error; it is not needed twice.
                try? await connection.run()
            }
            do {
                let success = try await body()
                await connection.close()
                return success
            } catch {
                await connection.close()
                throw error
            }
        }
    }

    private static func chosenBox(
        _ options: BoxOptions,
        _ configuration: Configuration,
        daemon: CallConnection,
        needed: Bool
    ) async throws -> String? {
        if let box = options.box { return box }
        var names = configuration.boxes.map(\.name)
        if names.isEmpty, needed {
            names = DaemonReport(try await daemon.call("status")).boxes.map(\.name)
        }
        if names.count == 1 { return names[0] }
        if needed { throw ambiguous(names) }
        return nil
    }

    static func ownBox(_ name: String?, _ configuration: Configuration) throws -> Configuration.Box {
        guard configuration.path != nil else {
            throw Problem(
                .configurationInvalid,
                "No daemon runs and no farseed.toml was found. Write one with `farseed init`, or name it with --config."
            )
        }
        let names = configuration.boxes.map(\.name)
        if let name {
            guard let box = configuration.boxes.first(where: { $0.name == name }) else {
                let near = nearest(to: name, in: names).map { " Did you mean \"\($0)\"?" } ?? ""
                throw Problem(.notFound, "There is no seedbox \"\(visible(name, atMost: 40))\" in farseed.toml.\(near)")
            }
            return box
        }
        guard configuration.boxes.count == 1 else { throw ambiguous(names) }
        return configuration.boxes[0]
    }

    private static func ambiguous(_ names: [String]) -> Problem {
        names.isEmpty
            ? Problem(.configurationInvalid, "No seedbox is configured. Add a [box.NAME] section to farseed.toml.")
            : Problem(.ambiguous, "There are several seedboxes: \(names.joined(separator: ", ")). Choose with --box.")
    }
}

// MARK: - Procedures

extension Backend {
    /// The arguments of a procedure with the seedbox's name where the daemon needs it.
    func arguments(_ arguments: [String: Value], _ patience: Duration? = nil) -> Value {
        guard way == .daemon else { return .map(arguments) }
        var arguments = arguments
        if let box { arguments["box"] = .string(box) }
        if let patience { arguments["patience"] = .int(patience.components.seconds * 1000) }
        return .map(arguments)
    }

    /// What the daemon says of itself and its links; without one, what our own session shows.
    func status() async throws -> DaemonReport { DaemonReport(try await connection.call("status")) }

    /// A program on the seedbox; its input and output are lanes 0, 1 and 2.
    ///
    /// The daemon waits for the link as long as `patience` lasts.
    func exec(_ argv: [String], patience: Duration? = nil) async throws -> OutgoingCall {
        try await connection.open("exec", arguments(["argv": .array(argv.map { .string($0) })], patience))
    }

    func watch(_ topics: [String]) async throws -> OutgoingCall {
        try await connection.open("watch", arguments(["topics": .array(topics.map { .string($0) })]))
    }

    /// All torrents now.
    func torrents(patience: Duration? = nil) async throws -> TorrentListing {
        switch way {
        case .daemon: try await daemonTorrents(patience)
        case .agent: try await agentTorrents()
        }
    }

    /// The daemon sends what it has, however old, and ends with the link's state.
    private func daemonTorrents(_ patience: Duration?) async throws -> TorrentListing {
        let call = try await connection.open("torrents", arguments([:], patience))
        var mirror = Mirror(epoch: 0)
        for await input in call.events {
            if case .event(let value) = input, let event = Event(value) { _ = mirror.received(event) }
        }
        let link = try await call.result()["link"]
        guard let listing = listing(of: mirror, link: link) else {
            throw link?["problem"].flatMap(Problem.init)
                ?? Problem(
                    .linkDown,
                    "The daemon has no data of this seedbox yet: the link is still being built. `farseed status` shows "
                        + "how far it is."
                )
        }
        return listing
    }

    /// Watches until the first snapshot is whole.
    private func agentTorrents() async throws -> TorrentListing {
        let call = try await watch(["torrents", "daemon"])
        var mirror = Mirror(epoch: 0)
        for await input in call.events {
            guard case .event(let value) = input, let event = Event(value) else { continue }
            _ = mirror.received(event)
            if case .daemon(let status, _) = event { try Self.check(status) }
            if let listing = listing(of: mirror, link: nil) {
                call.cancel()
                return listing
            }
        }
        _ = try await call.result()
        throw Problem(.agentFailed, "The agent ended the watch without a snapshot. Look at its log on the seedbox.")
    }

    private func listing(of mirror: Mirror, link: Value?) -> TorrentListing? {
        guard let position = mirror.agentPosition else { return nil }
        return TorrentListing(
            box: box ?? "",
            table: TorrentTable(position: position, torrents: mirror.table.torrents),
            daemon: mirror.daemon,
            link: link
        )
    }

    /// A busy daemon is waited for; one that is down or locked has no data to wait for.
    static func check(_ status: DaemonStatus) throws {
        switch status.state {
        case .up, .busy: return
        case .down:
            throw Problem(.transmissionDown, sentence(status, "Transmission does not answer on the seedbox."))
        case .unauthorized:
            throw Problem(
                .transmissionUnauthorized,
                sentence(status, "Transmission demands a password from the agent.")
            )
        }
    }

    private static func sentence(_ status: DaemonStatus, _ otherwise: String) -> String {
        status.message.isEmpty ? otherwise : status.message
    }
}
