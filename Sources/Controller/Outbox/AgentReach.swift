/// What the outbox needs of a seedbox: its link, and what is known of its torrents.
import Calls
import Seedbox

protocol AgentReach: Sendable {
    /// Its name in the configuration.
    var name: String { get }

    /// The live connection; throws the link's problem where there is none in time.
    func connection(within patience: Duration) async throws -> CallConnection

    /// Those of these torrents that are there, as last known.
    func known(_ hashes: [InfoHash]) async throws -> [Torrent]

    /// Waits until what is known of the torrents is so, at most for `patience`.
    func wait(within patience: Duration, until isSo: @escaping @Sendable ([InfoHash: Torrent]) -> Bool) async
}
