/// A command's own way to a seedbox where no daemon runs: one session, opened when it is first needed.
import Calls
import Logging
import Notation
import Seedbox
import Synchronization

final class OwnReach: AgentReach {
    private struct State {
        var opening: Task<OwnSession, any Error>?
        /// The torrents of the newest look, for the names to be told.
        var torrents: [InfoHash: Torrent] = [:]
        /// Those of them that no command has been asked about yet, for what undoes it, and since when they are as they are.
        var unused: [InfoHash: Torrent] = [:]
        var lookedAt: ContinuousClock.Instant?
    }

    /// The look by which a command has found its torrents serves for what undoes it, too; an older one does not.
    static let freshFor = Duration.seconds(10)

    let name: String
    private let box: Configuration.Box
    private let configuration: Configuration
    private let opener: any SessionOpener
    private let freshFor: Duration
    private let logger: Logger
    private let state = Mutex(State())

    init(
        _ box: Configuration.Box,
        of configuration: Configuration,
        opener: any SessionOpener = sessionOpener(),
        freshFor: Duration = OwnReach.freshFor,
        logger: Logger
    ) {
        name = box.name
        self.box = box
        self.configuration = configuration
        self.opener = opener
        self.freshFor = freshFor
        self.logger = logger
    }

    /// The session, as soon as calls may be made on it. One that is over is replaced.
    func session() async throws -> OwnSession {
        let before = state.withLock(\.opening)
        // An attempt that has failed is made anew, too.
        if let before, let session = try? await Self.value(before), !session.connection.isOver { return session }
        let opening = state.withLock { state in
            if let other = state.opening, other != before { return other }
            // Not in a group: the session outlives whoever asked for it first; `end` ends it.
            let opening = Task { [opener, box, configuration, logger] in
                // First, as both may need the directory of an own tor.
                await (try? before?.value)?.end()
                return try await opener.open(box, of: configuration, logger: logger)
            }
            state.opening = opening
            return opening
        }
        return try await Self.value(opening)
    }

    /// Whoever gives up ends the attempt.
    private static func value(_ opening: Task<OwnSession, any Error>) async throws -> OwnSession {
        try await withTaskCancellationHandler {
            try await opening.value
        } onCancel: {
            opening.cancel()
        }
    }

    /// A session whose agent has greeted. It is opened for whoever asks, however long that takes.
    func connection(within _: Duration) async throws -> CallConnection {
        let session = try await session()
        try await session.greeted()
        return session.connection
    }

    /// As they are now: what one command has been told of is asked for again by the next, as the first has changed it.
    func known(_ hashes: [InfoHash]) async throws -> [Torrent] {
        if let torrents = take(hashes) { return torrents }
        _ = try await listing()
        return state.withLock { state in hashes.compactMap { state.unused.removeValue(forKey: $0) } }
    }

    /// Nil where one of them must be asked for.
    private func take(_ hashes: [InfoHash]) -> [Torrent]? {
        state.withLock { state in
            guard let lookedAt = state.lookedAt, ContinuousClock.now - lookedAt < freshFor,
                hashes.allSatisfy({ state.unused[$0] != nil })
            else { return nil }
            return hashes.compactMap { state.unused.removeValue(forKey: $0) }
        }
    }

    /// The torrent with its name, where it was looked at.
    func named(_ torrent: Torrent) -> Torrent { state.withLock { $0.torrents[torrent.hash] } ?? torrent }

    /// The agent looks again after each change, before the next command can ask it.
    func wait(within patience: Duration, until isSo: @escaping @Sendable ([InfoHash: Torrent]) -> Bool) async {}

    /// All torrents now: watches until the first snapshot is whole.
    func listing() async throws -> TorrentListing {
        let connection = try await session().connection
        // What comes is as new as this or newer.
        let asked = ContinuousClock.now
        let call = try await connection.open("watch", ["topics": ["torrents", "daemon"]])
        var mirror = Mirror(epoch: 0)
        for await input in call.events {
            guard case .event(let value) = input, let event = Event(value) else { continue }
            _ = mirror.received(event)
            if case .daemon(let status, _) = event { try Backend.check(status) }
            if let listing = TorrentListing(box: name, mirror, link: nil) {
                call.cancel()
                state.withLock { state in
                    state.torrents = listing.table.torrents
                    state.unused = state.torrents
                    state.lookedAt = asked
                }
                return listing
            }
        }
        _ = try await call.result()
        throw Problem(.agentFailed, "The agent ended the watch without a snapshot. Look at its log on the seedbox.")
    }

    /// Why a command failed whose session has ended: where no agent has greeted, that is the reason.
    func reason(of error: any Error) async -> any Error {
        guard !Task.isCancelled, let opening = state.withLock(\.opening), let session = try? await opening.value,
            session.connection.isOver
        else { return error }
        do {
            try await session.greeted()
            return error
        } catch {
            return error
        }
    }

    /// Ends the session, if there is one; whoever needs one afterwards opens it anew.
    func end() async {
        let opening = state.withLock { state in
            defer { state.opening = nil }
            return state.opening
        }
        guard let opening else { return }
        opening.cancel()
        await (try? opening.value)?.end()
    }
}
