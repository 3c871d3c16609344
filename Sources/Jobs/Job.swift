// A command on its way: what was asked, by whom, and what became of it.

package import Notation
package import Seedbox

/// One job of the outbox. Times are Unix milliseconds.
package struct Job: Sendable, Hashable, Identifiable {
    /// Rises in the order of acceptance; 0 before.
    package var id: Int64
    /// 128 random bits as 32 hex digits: the agent executes a key once and answers it with the same result ever after.
    package var key: String
    package var box: String
    /// Such as `torrent.start`; a procedure of `Docs/Wire.md`.
    package var verb: String
    /// `.null` in lists and changes, because they may be a whole file.
    package var arguments: Value
    /// The torrents it acts on. Jobs that share one are executed in order; without any it waits for none.
    package var targets: [InfoHash]
    /// What must hold when the agent begins, such as `{"status": "stopped"}`; `.null` for nothing.
    package var precondition: Value
    package var who: String
    /// The address or the control socket's user it came from.
    package var origin: String
    package var acceptedAt: Int64
    /// It is not begun after this time.
    package var expiresAt: Int64
    package var state: JobState
    package var changedAt: Int64
    /// How often it was sent.
    package var attempts: Int
    /// How to undo it; known from before it is sent. Nil in lists and changes.
    package var undo: UndoRecipe?
    /// Whether it is known how to undo it, also in lists and changes.
    package var hasUndo: Bool
    /// The job that undid it.
    package var undoneBy: Int64?
    /// The job that it undoes.
    package var undoes: Int64?

    package init(
        id: Int64 = 0,
        key: String,
        box: String,
        verb: String,
        arguments: Value = .null,
        targets: [InfoHash] = [],
        precondition: Value = .null,
        who: String,
        origin: String,
        acceptedAt: Int64,
        expiresAt: Int64
    ) {
        self.id = id
        self.key = key
        self.box = box
        self.verb = verb
        self.arguments = arguments
        self.targets = targets
        self.precondition = precondition
        self.who = who
        self.origin = origin
        self.acceptedAt = acceptedAt
        self.expiresAt = expiresAt
        state = .accepted
        changedAt = acceptedAt
        attempts = 0
        hasUndo = false
    }

    /// Whether somebody may ask for its undoing: it is done, and neither undone nor past undoing.
    package var isUndoable: Bool {
        if case .done = state { hasUndo && undoneBy == nil } else { false }
    }
}

/// A command that undoes another, made from what the seedbox said before the other was sent.
package struct UndoRecipe: Sendable, Hashable {
    package var verb: String
    package var arguments: Value
    package var targets: [InfoHash]

    package init(verb: String, arguments: Value, targets: [InfoHash]) {
        self.verb = verb
        self.arguments = arguments
        self.targets = targets
    }
}
