// Where a job stands; each state owns what only it knows.

package import Notation
package import Seedbox

package enum JobState: Sendable, Hashable {
    /// Committed; its turn has not been looked at yet.
    case accepted
    /// Certainly not executed: it waits for the link, for an earlier job of its torrents, or for a pause to pass.
    case waiting(Pause)
    /// On its way to the agent. Whether it was executed is open until the answer comes.
    case sent
    /// It was sent and the answer was lost: it is sent again with the same key, and the agent says what became of it.
    case confirming(Pause)
    /// Executed, and confirmed by reading back.
    case done(Value)
    case failed(Problem)
    /// Not executed within its time.
    case expired
    /// Taken back before it was sent.
    case cancelled(by: String)

    package struct Pause: Sendable, Hashable {
        /// It is not sent again before this time.
        package var until: Int64
        /// What went wrong the last time.
        package var problem: Problem?

        package init(until: Int64 = 0, problem: Problem? = nil) {
            self.until = until
            self.problem = problem
        }
    }

    /// The states' names, as in the database, over WAMP and in `--json`.
    package enum Name: String, Sendable, CaseIterable {
        case accepted, waiting, sent, confirming, done, failed, expired, cancelled

        package var isEnd: Bool {
            switch self {
            case .accepted, .waiting, .sent, .confirming: false
            case .done, .failed, .expired, .cancelled: true
            }
        }

        /// Those of jobs that have not ended.
        package static let open = Set(allCases.filter { !$0.isEnd })
    }

    package var name: Name {
        switch self {
        case .accepted: .accepted
        case .waiting: .waiting
        case .sent: .sent
        case .confirming: .confirming
        case .done: .done
        case .failed: .failed
        case .expired: .expired
        case .cancelled: .cancelled
        }
    }

    package var isEnd: Bool { name.isEnd }

    /// Why it failed, or why it is not done yet.
    package var problem: Problem? {
        switch self {
        case .failed(let problem): problem
        case .waiting(let pause), .confirming(let pause): pause.problem
        default: nil
        }
    }
}
