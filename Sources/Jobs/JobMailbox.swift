// Changed jobs on their way to one reader: a slow one gets the newest of each, never a queue.

import Seedbox
import Synchronization

final class JobMailbox: Sendable {
    private struct State {
        var jobs: [Int64: Job] = [:]
        var reader: CheckedContinuation<[Job]?, Never>?
        var isClosed = false

        mutating func take() -> [Job] {
            let delivery = jobs.values.sorted { $0.id < $1.id }
            jobs = [:]
            return delivery
        }
    }

    private let state = Mutex(State())

    func put(_ jobs: [Job]) {
        let (reader, delivery) = state.withLock { state -> (CheckedContinuation<[Job]?, Never>?, [Job]) in
            guard !state.isClosed else { return (nil, []) }
            for job in jobs { state.jobs[job.id] = job }
            guard let reader = state.reader, !state.jobs.isEmpty else { return (nil, []) }
            state.reader = nil
            return (reader, state.take())
        }
        reader?.resume(returning: delivery)
    }

    /// What changed since the last call, in the order of ids; waits until there is something, nil at the end.
    func next() async -> [Job]? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> [Job]?? in
                    if state.isClosed { return .some(nil) }
                    if !state.jobs.isEmpty { return .some(state.take()) }
                    precondition(state.reader == nil, "A stream of jobs has one reader.")
                    state.reader = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            close()
        }
    }

    func close() {
        let reader = state.withLock { state in
            state.isClosed = true
            state.jobs = [:]
            let reader = state.reader
            state.reader = nil
            return reader
        }
        reader?.resume(returning: nil)
    }
}
