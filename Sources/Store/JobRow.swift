// A job as the database keeps it; what the encoded parts mean is known to those who write them.

/// One row of the outbox.
package struct JobRow: Sendable, Hashable {
    /// Rises with acceptance; 0 for a row not stored yet.
    package var id: Int64
    /// The idempotency key, unique for ever.
    package var key: String
    package var box: String
    package var verb: String
    /// What it acts on, fixed at acceptance.
    package var targets: [UInt8]
    /// What was asked, fixed at acceptance; nil in lists.
    package var request: [UInt8]?
    package var who: String
    package var origin: String
    package var acceptedAt: Int64
    package var expiresAt: Int64
    package var state: String
    /// What became of it so far.
    package var outcome: [UInt8]
    package var attempts: Int
    package var changedAt: Int64
    /// Nil while unfinished; a row with it is never changed again but for `undoneBy`.
    package var endedAt: Int64?
    /// How to undo it; nil in lists.
    package var undo: [UInt8]?
    /// Whether it is known how to undo it, also in lists.
    package var hasUndo: Bool
    /// The row that this one undoes.
    package var undoes: Int64?
    package var undoneBy: Int64?

    package init(
        id: Int64 = 0,
        key: String,
        box: String,
        verb: String,
        targets: [UInt8],
        request: [UInt8]?,
        who: String,
        origin: String,
        acceptedAt: Int64,
        expiresAt: Int64,
        state: String,
        outcome: [UInt8],
        attempts: Int = 0,
        changedAt: Int64,
        endedAt: Int64? = nil,
        undo: [UInt8]? = nil,
        hasUndo: Bool = false,
        undoes: Int64? = nil,
        undoneBy: Int64? = nil
    ) {
        self.id = id
        self.key = key
        self.box = box
        self.verb = verb
        self.targets = targets
        self.request = request
        self.who = who
        self.origin = origin
        self.acceptedAt = acceptedAt
        self.expiresAt = expiresAt
        self.state = state
        self.outcome = outcome
        self.attempts = attempts
        self.changedAt = changedAt
        self.endedAt = endedAt
        self.undo = undo
        self.hasUndo = hasUndo || undo != nil
        self.undoes = undoes
        self.undoneBy = undoneBy
    }
}

/// Which rows to read; an unset part does not narrow.
package struct JobRowFilter: Sendable, Hashable {
    package var isEnded: Bool?
    package var box: String?
    package var who: String?
    package var states: Set<String>?
    /// Only rows with a higher id.
    package var after: Int64?
    /// Only rows with a lower id: the next page of a list that runs backwards.
    package var before: Int64?
    /// Only rows that can be undone and were not.
    package var isUndoable = false
    /// Highest ids first.
    package var newestFirst = false
    package var limit: Int

    package init(limit: Int) {
        self.limit = limit
    }
}
