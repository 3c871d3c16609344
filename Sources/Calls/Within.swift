/// A bound on how long something may take.
package import NIOCore

/// Runs `body`, which obeys cancellation, and throws `error` where it takes longer than `limit`; nil is no limit.
///
/// The time is told by `loop` where there is one: Swift's own timers start threads, which a short command does without.
package func within<Success: Sendable>(
    _ limit: Duration?,
    on loop: (any EventLoop)? = nil,
    orThrow error: any Error,
    _ body: @escaping @Sendable () async throws -> Success
) async throws -> Success {
    guard let limit else { return try await body() }
    return try await withThrowingTaskGroup(of: Success.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await pause(limit, on: loop)
            throw error
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { preconditionFailure("Two tasks were added.") }
        return first
    }
}

/// Sleeps; throws `CancellationError` where the task is cancelled.
private func pause(_ duration: Duration, on loop: (any EventLoop)?) async throws {
    guard let loop else { return try await Task.sleep(for: duration) }
    let alarm = loop.scheduleTask(in: TimeAmount(duration)) {}
    do {
        try await withTaskCancellationHandler {
            try await alarm.futureResult.get()
        } onCancel: {
            alarm.cancel()
        }
    } catch {
        throw CancellationError()
    }
}
