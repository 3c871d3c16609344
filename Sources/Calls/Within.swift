/// A bound on how long something may take.

/// Runs `body`, which obeys cancellation, and throws `error` where it takes longer than `limit`; nil is no limit.
package func within<Success: Sendable>(
    _ limit: Duration?,
    orThrow error: any Error,
    _ body: @escaping @Sendable () async throws -> Success
) async throws -> Success {
    guard let limit else { return try await body() }
    return try await withThrowingTaskGroup(of: Success.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw error
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { preconditionFailure("Two tasks were added.") }
        return first
    }
}
