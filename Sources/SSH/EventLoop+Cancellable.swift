import NIOCore
import Synchronization

extension EventLoop {
    /// Runs `start` on the loop and waits for its promise; when the task is cancelled, runs `cancelled` there.
    func cancellable<Result: Sendable>(
        _ start: @escaping @Sendable (EventLoopPromise<Result>) -> Void,
        cancelled: @escaping @Sendable (EventLoopPromise<Result>) -> Void
    ) async throws -> Result {
        let promise = makePromise(of: Result.self)
        let token = CancellationToken()
        return try await withTaskCancellationHandler {
            execute {
                // A cancellation from here on is carried out after `start`, as it comes to the loop later.
                if token.isCancelled { promise.fail(CancellationError()) } else { start(promise) }
            }
            return try await promise.futureResult.get()
        } onCancel: {
            token.cancel()
            execute { cancelled(promise) }
        }
    }
}

private final class CancellationToken: Sendable {
    private let flag = Atomic(false)

    var isCancelled: Bool { flag.load(ordering: .acquiring) }

    func cancel() { flag.store(true, ordering: .releasing) }
}
