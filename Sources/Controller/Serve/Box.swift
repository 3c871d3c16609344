/// One seedbox in the running controller: its link, and the mirror that follows the agent at its end.
import Calls
import Foundation
import Logging
import Seedbox
import ServiceLifecycle
import Tunnel
import Web

struct Box: Service {
    let mirror: BoxMirror
    let link: Link
    let pace: BoxPace
    let realm: Realm
    let logger: Logger

    /// A snapshot follows the greeting within seconds; so long a job is held back for what would undo it.
    private static let untilKnown = Duration.seconds(20)
    /// Pause before an agent that failed a watch is asked again.
    private static let watchAgainAfter = Duration.seconds(2)

    func run() async throws {
        // The streams below never end by themselves.
        try await cancelWhenGracefulShutdown {
            try await withThrowingDiscardingTaskGroup { tasks in
                tasks.addTask { try await link.run() }
                tasks.addTask {
                    for await status in link.statuses() { mirror.linkChanged(status) }
                }
                tasks.addTask { await pace.follow(realm, of: name) }
                tasks.addTask { await followEach() }
            }
        }
    }

    /// Watches on the connection in use; the watch moves on where another takes its place and the old one still answers.
    private func followEach() async {
        var following: Task<Void, Never>?
        for await connection in link.connections() {
            following?.cancel()
            await following?.value
            // Not in a group: it is cancelled without the others, here or below.
            following = Task { await follow(connection) }
        }
        following?.cancel()
        await following?.value
    }

    /// Watches on one connection until it is lost, and tells the agent meanwhile whether anybody looks.
    private func follow(_ connection: CallConnection) async {
        await withDiscardingTaskGroup { tasks in
            // Where it fails the agent goes on at the pace that it has; the end of the connection is noticed below.
            tasks.addTask { try? await pace.inform(connection) }
            await watch(connection)
            tasks.cancelAll()
        }
    }

    private func watch(_ connection: CallConnection) async {
        while !Task.isCancelled {
            do {
                try await mirror.follow(connection, now: { Int64(Date.now.timeIntervalSince1970 * 1000) })
            } catch let problem as Problem where problem.code == .connectionLost {
                return
            } catch is CancellationError {
                return
            } catch {
                // A goodbye has the agent's own reason, but it is the end of the connection all the same.
                if connection.isOver { return }
                logger.warning("The agent ended the watch", metadata: ["error.type": "\(type(of: error))"])
                try? await Task.sleep(for: Self.watchAgainAfter)
            }
        }
    }

    /// The view once there are data, however old; throws the link's problem where there were none yet.
    func known(within patience: Duration) async throws -> BoxMirror.View {
        // Whoever does not wait at all gets what is there.
        let now = mirror.view
        if now.isKnown { return now }
        return try await within(
            patience,
            orThrow: Problem(
                .timedOut,
                "The seedbox's data did not arrive in time; the link is still being set up. See `farseed status`."
            )
        ) {
            for await _ in mirror.changes() {
                let view = mirror.view
                if view.isKnown { return view }
                if let problem = view.link.problem { throw problem }
            }
            throw CancellationError()
        }
    }
}

extension Box: AgentReach {
    var name: String { mirror.name }

    /// Right after the start the first snapshot is still under way.
    func known(_ hashes: [InfoHash]) async throws -> [Torrent] {
        let torrents: [InfoHash: Torrent]
        do {
            torrents = try await known(within: Self.untilKnown).table.torrents
        } catch let problem as Problem where problem.code == .timedOut {
            return []
        }
        return hashes.compactMap { torrents[$0] }
    }

    func wait(within patience: Duration, until isSo: @escaping @Sendable ([InfoHash: Torrent]) -> Bool) async {
        try? await within(patience, orThrow: Problem(.timedOut, "The torrents have not become so in time.")) {
            for await _ in mirror.changes() where isSo(mirror.view.table.torrents) { return }
        }
    }

    func connection(within patience: Duration) async throws -> CallConnection {
        try await link.connection(within: patience)
    }
}
