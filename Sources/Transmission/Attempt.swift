/// One attempt at a command, and what is known of attempts before it.
package import Notation

package struct Attempt: Sendable {
    /// The same command may have been carried out before, by an agent that was killed; what is found done then counts
    /// as done.
    package var mayBeDone: Bool
    /// What an earlier attempt noted before it acted.
    package var before: Value?
    /// Notes, durably, what a later attempt needs to tell whether this one acted.
    package var note: @Sendable (Value) throws -> Void

    package init(mayBeDone: Bool, before: Value?, note: @escaping @Sendable (Value) throws -> Void) {
        self.mayBeDone = mayBeDone
        self.before = before
        self.note = note
    }

    /// Of a command that nobody repeats.
    package static let only = Attempt(mayBeDone: false, before: nil) { _ in }
}
