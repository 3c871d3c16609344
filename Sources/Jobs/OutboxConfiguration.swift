// How much the outbox holds, how long, and how patiently it sends.

import Glibc

package struct OutboxConfiguration: Sendable {
    package var limits = JobScheduler.Limits()
    package var timing = JobMachine.Timing()
    /// Unfinished jobs; the next is refused.
    package var maximumUnfinished = 10_000
    /// How long a job may wait to be begun: a week of Tor trouble loses nothing.
    package var expiry = Duration.seconds(7 * 86_400)
    /// How long one attempt may take; the agent's own limits are shorter.
    package var attemptLimit = Duration.seconds(15 * 60)
    /// How long to wait after the link could not be asked for, or the database could not be written.
    package var retryPause = Duration.seconds(2)
    /// Ended jobs are kept this long, and this many.
    package var retention = Duration.seconds(30 * 86_400)
    package var retainedJobs = 10_000
    /// How often what is past retention is deleted.
    package var sweepInterval = Duration.seconds(3600)
    /// The time in Unix milliseconds.
    package var now: @Sendable () -> Int64 = OutboxConfiguration.systemTime

    package init() {}

    private static func systemTime() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
