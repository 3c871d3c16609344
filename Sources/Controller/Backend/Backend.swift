/// What a command talks to: the running daemon, or an own session with one seedbox's agent.
import Calls
import Foundation
import Logging
import Notation
import Seedbox

struct Backend: Sendable {
    enum Road: Sendable {
        /// Through the control socket; every procedure takes the seedbox's name.
        case daemon(CallConnection)
        /// Straight to the agent of the one seedbox, with jobs in our own hands.
        case own(OwnReach, OwnOutbox)
    }

    let road: Road
    /// Nil where several are configured and none was chosen.
    let box: String?
    let configuration: Configuration

    /// Connects, runs `body` and disconnects. Without a daemon a session is opened as soon as `body` needs one.
    ///
    /// Not optimized: the compiler of Swift 6.3.1 crashes where it makes one coroutine of this and what commands pass.
    @_optimize(none)
    static func with<Success: Sendable>(
        _ choice: BoxChoice,
        needsBox: Bool = true,
        _ body: @Sendable (Backend) async throws -> Success
    ) async throws -> Success {
        let configuration = try choice.load(acceptMissingFiles: true)
        if let connection = try await ControlSocket.connect(configuration.controlSocket) {
            return try await greeting(connection) {
                let box = try await chosenBox(choice, configuration, daemon: connection, needed: needsBox)
                return try await body(Backend(road: .daemon(connection), box: box, configuration: configuration))
            }
        }
        // The own session needs the secrets too, so now their faults count.
        let complete = try choice.load()
        let reach = OwnReach(try ownBox(choice.box, complete), of: complete, logger: choice.logger)
        let outbox = OwnOutbox(complete, boxes: [reach], logger: choice.logger)
        do {
            let success = try await body(
                Backend(road: .own(reach, outbox), box: reach.name, configuration: complete)
            )
            await outbox.end()
            await reach.end()
            return success
        } catch {
            let reason = await reach.reason(of: error)
            await outbox.end()
            await reach.end()
            throw reason
        }
    }

    /// What calls are made on; without a daemon, the session with the agent.
    func connection() async throws -> CallConnection {
        switch road {
        case .daemon(let connection): connection
        case .own(let reach, _): try await reach.session().connection
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
        _ choice: BoxChoice,
        _ configuration: Configuration,
        daemon: CallConnection,
        needed: Bool
    ) async throws -> String? {
        if let box = choice.box { return box }
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
        guard case .daemon = road else { return .map(arguments) }
        var arguments = arguments
        if let box { arguments["box"] = .string(box) }
        if let patience { arguments["patience"] = .int(patience.components.seconds * 1000) }
        return .map(arguments)
    }

    /// What the daemon says of itself and its links; without one, what our own session shows.
    func status() async throws -> DaemonReport { DaemonReport(try await connection().call("status")) }

    /// A program on the seedbox; its input and output are lanes 0, 1 and 2.
    ///
    /// The daemon waits for the link as long as `patience` lasts.
    func exec(_ argv: [String], hasInput: Bool = true, patience: Duration? = nil) async throws -> OutgoingCall {
        try await connection().open(
            "exec",
            arguments(["argv": .array(argv.map { .string($0) })], patience),
            ending: hasInput ? [] : [ExecLane.input]
        )
    }

    /// Carries out what the daemon writes down by itself; without one the command does.
    func noting<Success: Sendable>(
        _ action: String,
        target: String,
        _ body: @Sendable () async throws -> Success
    ) async throws -> Success {
        guard case .own(let reach, let outbox) = road else { return try await body() }
        return try await outbox.noting(action, target: target, over: reach, body)
    }

    func watch(_ topics: [String]) async throws -> OutgoingCall {
        try await connection().open("watch", arguments(["topics": .array(topics.map { .string($0) })]))
    }

    /// All torrents now.
    func torrents(patience: Duration? = nil) async throws -> TorrentListing {
        switch road {
        case .daemon(let connection): try await daemonTorrents(connection, patience)
        case .own(let reach, _): try await reach.listing()
        }
    }

    /// The daemon sends what it has, however old, and ends with the link's state.
    private func daemonTorrents(_ connection: CallConnection, _ patience: Duration?) async throws -> TorrentListing {
        let call = try await connection.open("torrents", arguments([:], patience))
        var mirror = Mirror(epoch: 0)
        for await input in call.events {
            if case .event(let value) = input, let event = Event(value) { _ = mirror.received(event) }
        }
        let link = try await call.result()["link"]
        guard let listing = TorrentListing(box: box ?? "", mirror, link: link) else {
            throw link?["problem"].flatMap(Problem.init)
                ?? Problem(
                    .linkDown,
                    "The daemon has no data of this seedbox yet: the link is still being built. `farseed status` shows "
                        + "how far it is."
                )
        }
        return listing
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
