/// How long a command waits for what it has asked for, and for what comes of it.
import ArgumentParser
import Seedbox

struct WaitingOptions: ParsableArguments {
    @Option(
        name: .long,
        help: "Wait until the torrents are done, stopped or seeding; without --timeout as long as it takes."
    )
    var wait: WaitGoal?

    @Option(name: .long, help: "Seconds to wait for the whole; exit code 18 after that, the command itself goes on.")
    var timeout: Double?

    @Flag(name: .long, help: "Return as soon as the command is kept.")
    var noWait = false

    @Flag(name: .long, help: "Fail now where the link is down, instead of keeping the command until it is up.")
    var noQueue = false

    func validate() throws {
        if let timeout, !(timeout > 0 && timeout <= 31_536_000) {
            throw ValidationError("--timeout takes seconds, more than 0.")
        }
        if noWait, wait != nil { throw ValidationError("--no-wait and --wait exclude each other.") }
        if noWait, noQueue {
            throw ValidationError("--no-wait and --no-queue exclude each other: what is not waited for is kept.")
        }
    }

    /// What is left of it for one step of a command that began at `began`.
    func patience(since began: ContinuousClock.Instant) -> Patience {
        Patience(limit: left(since: began), untilEnd: wait != nil, returnsAtOnce: noWait, refusesQueue: noQueue)
    }

    private func left(since began: ContinuousClock.Instant) -> Duration? {
        timeout.map { max(.zero, .milliseconds(Int64($0 * 1000)) - (ContinuousClock.now - began)) }
    }

    /// Where `--wait` says so, waits for the torrents of a job; `timed-out` where the job itself has not ended.
    func follow(
        _ outcome: ChangeOutcome,
        _ hashes: [InfoHash],
        since began: ContinuousClock.Instant,
        _ backend: Backend
    ) async throws {
        guard let wait else { return }
        if case .pending(let job, _) = outcome {
            throw Problem(
                .timedOut,
                "The command has not ended, so its torrents are not waited for. It is kept as job "
                    + "\(Backend.number(job)); `farseed jobs` shows it."
            )
        }
        guard !hashes.isEmpty else { return }
        try await backend.wait(for: wait, hashes, within: left(since: began))
    }
}
