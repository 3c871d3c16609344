// The life of one job, from acceptance to one of its four ends.

package import Notation
package import Seedbox

/// Says what each happening makes of a job; it neither sends nor stores.
///
///     accepted ─→ waiting ─→ sent ─→ done | failed
///                   ↑  │      │ ╲
///                   └──┼──────┘  ╲ answer lost, or controller ended
///      expired | cancelled        confirming ─→ done | failed
///
/// Only a job that certainly was not executed expires or is cancelled. A job that may have been is sent again with its
/// key until the agent, which remembers keys, says what became of it.
package struct JobMachine: Sendable, Hashable {
    package struct Timing: Sendable, Hashable {
        /// The pause after the first fruitless attempt, doubled with each further one, in milliseconds.
        package var firstPause: Int64 = 1_000
        package var longestPause: Int64 = 60_000
        /// How long after its expiry a lost answer is still sought: seven days.
        package var settling: Int64 = 7 * 86_400_000

        package init() {}
    }

    package private(set) var job: Job
    private let timing: Timing

    /// Takes a job as it was stored. One that was `sent` then may have been executed by now.
    package init(_ job: Job, timing: Timing = Timing(), at now: Int64) {
        self.job = job
        self.timing = timing
        if case .sent = job.state { become(.confirming(JobState.Pause()), at: now) }
    }

    /// When it may be sent; nil while it is under way or ended.
    package var readyAt: Int64? {
        switch job.state {
        case .accepted: 0
        case .waiting(let pause), .confirming(let pause): pause.until
        case .sent, .done, .failed, .expired, .cancelled: nil
        }
    }

    /// When `ticked` will end it, if nothing else does before; nil while it is under way or ended.
    package var deadline: Int64? {
        switch job.state {
        case .accepted, .waiting: job.expiresAt
        case .confirming: job.expiresAt + timing.settling
        case .sent, .done, .failed, .expired, .cancelled: nil
        }
    }

    /// Its turn has not come: people see that it waits.
    package mutating func held(at now: Int64) {
        if case .accepted = job.state { become(.waiting(JobState.Pause()), at: now) }
    }

    /// It is handed to the executor as soon as this is committed.
    package mutating func began(at now: Int64) {
        switch job.state {
        case .accepted, .waiting: become(.sent, at: now)
        // Stays confirming, so that a second loss does not make it look fresh.
        case .confirming: job.changedAt = now
        case .sent, .done, .failed, .expired, .cancelled:
            preconditionFailure("A job that is under way or has ended is not sent.")
        }
        job.attempts += 1
    }

    package mutating func answered(_ result: Value, at now: Int64) {
        guard isUnderWay else { return }
        become(.done(result), at: now)
    }

    package mutating func failed(_ problem: Problem, at now: Int64) {
        guard isUnderWay else { return }
        let verdict = problem.code.jobVerdict
        if case .ends = verdict {
            become(.failed(problem), at: now)
            return
        }
        let pause = JobState.Pause(until: now + pauseLength, problem: problem)
        // An attempt that never left says nothing about the one before it, whose answer was lost.
        let isOpen = job.state.name == .confirming || verdict.mayHaveHappened
        become(isOpen ? .confirming(pause) : .waiting(pause), at: now)
    }

    /// How to undo it became known, before it was executed.
    package mutating func noted() {
        job.hasUndo = true
    }

    /// Ends it where its time is over.
    package mutating func ticked(at now: Int64) {
        guard let deadline, now >= deadline else { return }
        if case .confirming = job.state {
            become(
                .failed(
                    Problem(
                        .timedOut,
                        "The answer was lost and the seedbox could not be asked in time, so it is not known whether "
                            + "this was done. Look at the torrent before you repeat it."
                    )
                ),
                at: now
            )
        } else {
            become(.expired, at: now)
        }
    }

    /// Takes it back; a problem where it may have been executed or has ended.
    package mutating func cancelled(by who: String, at now: Int64) throws(Problem) {
        switch job.state {
        case .accepted, .waiting: become(.cancelled(by: who), at: now)
        case .sent, .confirming:
            throw Problem(
                .conflict,
                "Job \(job.id) was sent already and may be done, so it is not cancelled. Undo it when it has ended."
            )
        case .done, .failed, .expired, .cancelled:
            throw Problem(.conflict, "Job \(job.id) has ended already (\(job.state.name)), so nothing was changed.")
        }
    }

    /// An answer may only come while one is awaited; `confirming` awaits it while an attempt runs.
    private var isUnderWay: Bool {
        switch job.state {
        case .sent, .confirming: true
        case .accepted, .waiting, .done, .failed, .expired, .cancelled: false
        }
    }

    private var pauseLength: Int64 {
        min(timing.longestPause, timing.firstPause << Int64(min(max(job.attempts - 1, 0), 16)))
    }

    private mutating func become(_ state: JobState, at now: Int64) {
        job.state = state
        job.changedAt = now
    }
}
