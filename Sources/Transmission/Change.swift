/// Whether a command that failed may have been carried out all the same.

package import Seedbox
import Synchronization

/// A command whose request reached Transmission and whose answer did not come: whether it was done is not known.
package struct UnsettledProblem: Error, Sendable {
    package var problem: Problem

    package init(_ problem: Problem) { self.problem = problem }
}

/// One command under way; notes when a request that changes something leaves.
final class Change: Sendable {
    /// Of the task that carries the command out.
    @TaskLocal static var current: Change?

    private let sent = Atomic(false)

    var mayHaveActed: Bool { sent.load(ordering: .relaxed) }

    func noteSent(_ method: String) {
        guard !Self.questions.contains(method) else { return }
        sent.store(true, ordering: .relaxed)
    }

    private static let questions: Set<String> = [
        "torrent-get", "session-get", "session-stats", "free-space", "port-test", "group-get",
    ]
}

extension TransmissionError {
    /// True where Transmission may have acted before this befell its answer.
    var leavesOpen: Bool {
        switch code {
        case .down, .busy, .unintelligible, .tooLarge, .cancelled: true
        case .unauthorized, .refused: false
        }
    }
}
