// Two connections with a stream in memory between them, for the length of a test.
import Calls
import NIOCore
import Notation
import Seedbox
import TestSupport
import Testing
import Wire

/// A handler made of a closure.
struct Handler: CallHandler {
    var body: @Sendable (IncomingCall) async throws -> Value

    init(_ body: @escaping @Sendable (IncomingCall) async throws -> Value) { self.body = body }

    func handle(_ call: IncomingCall) async throws -> Value { try await body(call) }
}

/// Runs a caller and a callee until the body is done, then closes both; a test that hangs fails by its deadline.
func connected(
    streams: (any ByteStream, any ByteStream)? = nil,
    callerHello: Hello = Hello(software: "caller"),
    calleeHello: Hello = Hello(software: "callee"),
    _ handler: @escaping @Sendable (IncomingCall) async throws -> Value,
    _ body: @escaping @Sendable (_ caller: CallConnection, _ callee: CallConnection) async throws -> Void
) async throws {
    let pair = streams ?? PipeByteStream.pair()
    let caller = CallConnection(stream: pair.0, hello: callerHello, side: .caller)
    let callee = CallConnection(stream: pair.1, hello: calleeHello, side: .callee, handler: Handler(handler))
    try await withDeadline {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = try? await caller.run() }
            group.addTask { _ = try? await callee.run() }
            let result: Result<Void, any Error>
            do {
                result = .success(try await body(caller, callee))
            } catch {
                result = .failure(error)
            }
            await caller.close()
            await callee.close()
            try await group.waitForAll()
            try result.get()
        }
    }
}

struct DeadlinePassed: Error {}

/// Fails, and cancels the body, where it takes longer than a test may.
func withDeadline<Success: Sendable>(
    _ deadline: Duration = .seconds(60),
    _ body: @escaping @Sendable () async throws -> Success
) async throws -> Success {
    try await withThrowingTaskGroup(of: Success?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: deadline)
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let success = first else { throw DeadlinePassed() }
        return success
    }
}

/// The code of the problem that the body throws; nil where it throws none.
func problemCode(_ body: () async throws -> Void) async -> Problem.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? Problem)?.code
    }
}

/// A condition that one task sets and others await.
final class Signal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func set() { continuation.finish() }

    func wait() async { for await _ in stream {} }
}
