/// How often the watcher asks Transmission what, in milliseconds.

package struct WatcherTiming: Sendable, Hashable {
    /// Hot fields while somebody watches.
    package var watched: Int64 = 2_000
    /// How old the hot fields may be to a watcher that has just come.
    package var fresh: Int64 = 2_000
    /// Hot fields while nobody does: enough that the history has no gap.
    package var unwatched: Int64 = 15_000
    /// Cold fields while somebody watches, and while nobody does.
    package var cold: Int64 = 45_000
    package var coldUnwatched: Int64 = 60_000
    /// The whole table, whatever was missed.
    package var full: Int64 = 300_000
    /// `recently-active` reaches 60 s back; past this the whole table is asked.
    package var gap: Int64 = 50_000
    /// The session's settings and statistics.
    package var session: Int64 = 30_000
    /// How long it is quiet after programs of ours before what they changed is looked at, and when it is at the latest.
    package var quiet: Int64 = 100
    package var quietAtLatest: Int64 = 1_000
    /// Until the next try when the daemon is down or busy, and when it refuses us.
    package var retry: Int64 = 2_000
    package var retryUnauthorized: Int64 = 10_000
    /// A request unanswered for this long makes the daemon busy.
    package var busy: Int64 = 8_000

    package init() {}

    /// Everything is asked so many times as often; what a daemon may take stays.
    package mutating func lapse(by factor: Int64) {
        for step in [\Self.watched, \.unwatched, \.cold, \.coldUnwatched, \.full, \.session] {
            self[keyPath: step] = max(1, self[keyPath: step] / factor)
        }
    }
}
