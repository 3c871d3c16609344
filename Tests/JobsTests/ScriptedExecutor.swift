// A seedbox as a test wants it: live or not, answering or not, and remembering what it was asked.

import Jobs
import Notation
import Seedbox
import Synchronization
import Testing

final class ScriptedExecutor: JobExecutor {
    private struct State {
        var isLive: Bool
        var waiters: [CheckedContinuation<Void, any Error>] = []
        var executed: [Job] = []
        var running = 0
        var mostRunning = 0
    }

    private let state: Mutex<State>
    private let script: @Sendable (Job) async throws -> Value
    private let undo: @Sendable (Job) async throws -> UndoRecipe?

    init(
        isLive: Bool = true,
        _ script: @escaping @Sendable (Job) async throws -> Value = { _ in ["ok": true] }
    ) {
        state = Mutex(State(isLive: isLive))
        undo = { _ in nil }
        self.script = script
    }

    /// With a recipe for what it executes.
    init(
        undoing undo: @escaping @Sendable (Job) async throws -> UndoRecipe?,
        by script: @escaping @Sendable (Job) async throws -> Value = { _ in ["ok": true] }
    ) {
        state = Mutex(State(isLive: true))
        self.undo = undo
        self.script = script
    }

    /// Every attempt, in the order of beginning.
    var executed: [Job] { state.withLock(\.executed) }
    var mostRunning: Int { state.withLock(\.mostRunning) }

    func setLive(_ isLive: Bool) {
        let waiters = state.withLock { state in
            state.isLive = isLive
            guard isLive else { return [CheckedContinuation<Void, any Error>]() }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func whenLive(_ box: String) async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isLive = state.withLock { state in
                    if !state.isLive { state.waiters.append(continuation) }
                    return state.isLive
                }
                if isLive { continuation.resume() }
            }
        } onCancel: {
            let waiters = state.withLock { state in
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume(throwing: CancellationError()) }
        }
    }

    func execute(_ job: Job) async throws -> Value {
        state.withLock { state in
            state.executed.append(job)
            state.running += 1
            state.mostRunning = max(state.mostRunning, state.running)
        }
        defer { state.withLock { $0.running -= 1 } }
        return try await script(job)
    }

    func recipe(toUndo job: Job) async throws -> UndoRecipe? {
        try await undo(job)
    }
}

/// SQLite's queue with a disk that can be pulled out.
final class FaultyQueue: JobQueue {
    private let queue: StoreQueue
    private let broken = Mutex(false)
    private let refusals = Mutex(0)

    init(_ queue: StoreQueue) {
        self.queue = queue
    }

    func setBroken(_ isBroken: Bool) {
        broken.withLock { $0 = isBroken }
    }

    /// How often something could not be kept.
    var refused: Int { refusals.withLock { $0 } }

    private func check() throws {
        guard broken.withLock({ $0 }) else { return }
        refusals.withLock { $0 += 1 }
        throw Problem(.tooLarge, "no room")
    }

    func accept(_ job: Job, maximumUnfinished: Int) async throws -> (job: Job, isNew: Bool) {
        try check()
        return try await queue.accept(job, maximumUnfinished: maximumUnfinished)
    }

    func unfinished(after id: Int64, limit: Int) async throws -> [Job] {
        try await queue.unfinished(after: id, limit: limit)
    }

    func save(_ jobs: [Job]) async throws -> Set<Int64> {
        try check()
        return try await queue.save(jobs)
    }

    func note(_ undo: UndoRecipe, for id: Int64) async throws {
        try check()
        try await queue.note(undo, for: id)
    }

    func cancel(_ id: Int64, by who: String, at now: Int64) async throws -> Job {
        try check()
        return try await queue.cancel(id, by: who, at: now)
    }

    func job(_ id: Int64) async throws -> Job? { try await queue.job(id) }
    func job(key: String) async throws -> Job? { try await queue.job(key: key) }
    func jobs(_ filter: JobFilter) async throws -> [Job] { try await queue.jobs(filter) }
    func addition(of hash: InfoHash, to box: String) async throws -> Job? {
        try await queue.addition(of: hash, to: box)
    }
    func counts() async throws -> [JobState.Name: Int] { try await queue.counts() }
    func forget(endedBefore time: Int64, keeping: Int) async throws -> Int {
        try await queue.forget(endedBefore: time, keeping: keeping)
    }
}

/// A gate that tests open: what waits at it goes on.
final class TestGate: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    /// Returns once it is open, or its task is cancelled.
    func passed() async {
        for await _ in stream { return }
    }

    func open() {
        continuation.finish()
    }
}

struct TestDeadline: Error {}

/// Fails where `body` takes longer than a busy machine explains.
func within<Answer: Sendable>(
    _ limit: Duration = .seconds(20),
    _ body: @escaping @Sendable () async throws -> Answer
) async throws -> Answer {
    try await withThrowingTaskGroup(of: Answer.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw TestDeadline()
        }
        defer { group.cancelAll() }
        guard let answer = try await group.next() else { throw TestDeadline() }
        return answer
    }
}

/// Runs the outbox while `body` does.
func running<Answer: Sendable>(
    _ outbox: Outbox,
    _ body: @escaping @Sendable () async throws -> Answer
) async throws -> Answer {
    try await within {
        try await withThrowingTaskGroup(of: Answer?.self) { group in
            group.addTask {
                try await outbox.run()
                return nil
            }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            while let answer = try await group.next() {
                if let answer { return answer }
            }
            throw TestDeadline()
        }
    }
}

extension Outbox {
    /// Waits until a job is in one of the states.
    func reached(_ id: Int64, _ names: Set<JobState.Name>) async throws -> Job {
        let changes = changes()
        let job = try await job(id)
        if names.contains(job.state.name) { return job }
        for await changed in changes {
            if let job = changed.first(where: { $0.id == id && names.contains($0.state.name) }) { return job }
        }
        throw CancellationError()
    }
}
