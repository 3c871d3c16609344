// Who carries jobs to their seedbox.

package import Notation
import Seedbox

/// The far side of the outbox; its calls run side by side and are cancelled when the controller ends.
package protocol JobExecutor: Sendable {
    /// Returns once the link to `box` is live. What it throws is logged, and it is asked again.
    func whenLive(_ box: String) async throws

    /// Has the agent execute the job under its key, and returns what it read back.
    ///
    /// A thrown `Problem` decides what follows by its code's `jobVerdict`; any other error counts as a lost connection.
    /// The job's `expiresAt` travels along: the agent answers for a key that it knows, and refuses to begin a new one
    /// after that time.
    func execute(_ job: Job) async throws -> Value

    /// What would undo the job, asked right before it is first sent; nil where nothing can. A problem is handled as one
    /// of `execute` that did nothing.
    func recipe(toUndo job: Job) async throws -> UndoRecipe?
}

extension JobExecutor {
    package func recipe(toUndo job: Job) async throws -> UndoRecipe? { nil }
}
