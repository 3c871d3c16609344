// Many small writes, one commit: callers that come while the disk is busy share its next sync.

import GRDB
import Synchronization

/// Runs writes in batches on the database's own queue; each in a savepoint, so that one's failure is only its own.
///
/// A write is answered after its commit, with `synchronous = FULL` on disk. It is not cancelled with its caller's task:
/// either it happened or an error says that it did not.
final class GroupWriter: Sendable {
    /// The most writes under one commit, so that none waits behind an endless transaction.
    private static let batch = 256

    private struct Entry: Sendable {
        /// Runs the write; its answer waits in the entry for the commit.
        var perform: @Sendable (Database) throws -> @Sendable () -> Void
        var fail: @Sendable (any Error) -> Void
    }

    private struct State {
        var entries: [Entry] = []
        var isDraining = false
    }

    private let pool: DatabasePool
    private let state = Mutex(State())

    init(pool: DatabasePool) {
        self.pool = pool
    }

    func write<Answer: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Answer
    ) async throws -> Answer {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Answer, any Error>) in
            let entry = Entry(
                perform: { database in
                    let answer = try body(database)
                    return { continuation.resume(returning: answer) }
                },
                fail: { continuation.resume(throwing: $0) }
            )
            let mustDrain = state.withLock { state in
                state.entries.append(entry)
                if state.isDraining { return false }
                state.isDraining = true
                return true
            }
            if mustDrain { drain() }
        }
    }

    /// Schedules one batch after another until none is left; the database's queue is free for others in between.
    private func drain() {
        pool.asyncWriteWithoutTransaction { database in
            let entries = self.state.withLock { state in
                let entries = Array(state.entries.prefix(Self.batch))
                state.entries.removeFirst(entries.count)
                return entries
            }
            self.commit(entries, database)
            let isMore = self.state.withLock { state in
                state.isDraining = !state.entries.isEmpty
                return state.isDraining
            }
            if isMore { self.drain() }
        }
    }

    private func commit(_ entries: [Entry], _ database: Database) {
        var answers: [Result<@Sendable () -> Void, any Error>] = []
        do {
            try database.inTransaction(.immediate) {
                for entry in entries {
                    var answer: (@Sendable () -> Void)?
                    do {
                        try database.inSavepoint {
                            answer = try entry.perform(database)
                            return .commit
                        }
                        answers.append(.success(answer!))
                    } catch {
                        // A full disk or a broken one ends the whole transaction, the writes before this one included.
                        guard database.isInsideTransaction else { throw error }
                        answers.append(.failure(error))
                    }
                }
                return .commit
            }
        } catch {
            for entry in entries { entry.fail(error) }
            return
        }
        for (entry, answer) in zip(entries, answers) {
            switch answer {
            case .success(let resume): resume()
            case .failure(let error): entry.fail(error)
            }
        }
    }
}
