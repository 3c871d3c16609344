import Calls
package import NIOCore
import Synchronization

/// One end of a two-way stream in memory, of bounded capacity, for tests of whatever runs over a byte stream.
package final class PipeByteStream: ByteStream {
    private let incoming: Pipe
    private let outgoing: Pipe

    private init(incoming: Pipe, outgoing: Pipe) {
        self.incoming = incoming
        self.outgoing = outgoing
    }

    /// Two ends; a write waits while more than `capacity` bytes are unread at the other one.
    ///
    /// A read returns at most `readSize` bytes.
    package static func pair(
        capacity: Int = 65_536,
        readSize: Int = .max
    ) -> (PipeByteStream, PipeByteStream) {
        let there = Pipe(capacity: capacity, readSize: readSize)
        let back = Pipe(capacity: capacity, readSize: readSize)
        return (PipeByteStream(incoming: back, outgoing: there), PipeByteStream(incoming: there, outgoing: back))
    }

    package func read() async throws -> ByteBuffer? { try await incoming.read() }

    package func write(_ bytes: ByteBuffer) async throws { try await outgoing.write(bytes) }

    package func write(_ text: String) async throws { try await write(ByteBuffer(string: text)) }

    package func close() async {
        outgoing.close()
        incoming.abandon()
    }

    /// Ends what the other end reads, and goes on reading.
    package func closeWriting() async { outgoing.close() }

    /// Fails both directions for both ends with an error, as a reset does.
    package func sever(_ error: any Error) {
        outgoing.fail(error)
        incoming.fail(error)
    }
}

/// The error of a stream that was closed under its user.
package struct PipeClosed: Error {
    package init() {}
}

/// One direction.
private final class Pipe: Sendable {
    typealias Continuation = CheckedContinuation<Void, Never>

    private struct State {
        var bytes = ByteBuffer()
        var isClosed = false
        var error: (any Error)?
        var readers: [UInt64: Continuation] = [:]
        var writers: [UInt64: Continuation] = [:]
        var lastToken: UInt64 = 0
    }

    private let capacity: Int
    private let readSize: Int
    private let state = Mutex(State())

    init(capacity: Int, readSize: Int) {
        self.capacity = capacity
        self.readSize = readSize
    }

    func read() async throws -> ByteBuffer? {
        while true {
            try Task.checkCancellation()
            let (answer, woken): (Result<ByteBuffer?, any Error>?, [Continuation]) = state.withLock { state in
                if state.bytes.readableBytes > 0 {
                    let next: ByteBuffer
                    if state.bytes.readableBytes <= readSize {
                        next = state.bytes
                        state.bytes = ByteBuffer()
                    } else {
                        next = state.bytes.readSlice(length: readSize)!
                    }
                    defer { state.writers = [:] }
                    return (.success(next), Array(state.writers.values))
                }
                if let error = state.error { return (.failure(error), []) }
                return (state.isClosed ? .success(nil) : nil, [])
            }
            for continuation in woken { continuation.resume() }
            if let answer { return try answer.get() }
            await wait(\.readers) { $0.bytes.readableBytes == 0 && $0.error == nil && !$0.isClosed }
        }
    }

    func write(_ bytes: ByteBuffer) async throws {
        while true {
            try Task.checkCancellation()
            let (isDone, woken) = try state.withLock { state in
                if let error = state.error { throw error }
                if state.isClosed { throw PipeClosed() }
                guard state.bytes.readableBytes < capacity else { return (false, [Continuation]()) }
                state.bytes.writeImmutableBuffer(bytes)
                defer { state.readers = [:] }
                return (true, Array(state.readers.values))
            }
            for continuation in woken { continuation.resume() }
            if isDone { return }
            await wait(\.writers) { $0.bytes.readableBytes >= self.capacity && $0.error == nil && !$0.isClosed }
        }
    }

    /// Its writer is done.
    func close() { change { $0.isClosed = true } }

    /// Its reader is gone.
    func abandon() {
        change { state in
            state.isClosed = true
            state.bytes.clear()
        }
    }

    func fail(_ error: any Error) {
        change { state in
            state.error = error
            state.bytes.clear()
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let woken = state.withLock { state in
            body(&state)
            defer {
                state.readers = [:]
                state.writers = [:]
            }
            return Array(state.readers.values) + Array(state.writers.values)
        }
        for continuation in woken { continuation.resume() }
    }

    private func wait(
        _ list: any WritableKeyPath<State, [UInt64: Continuation]> & Sendable,
        while condition: (State) -> Bool
    ) async {
        let token = state.withLock { state in
            state.lastToken += 1
            return state.lastToken
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    guard !Task.isCancelled, condition(state) else { return false }
                    state[keyPath: list][token] = continuation
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0[keyPath: list].removeValue(forKey: token) }?.resume()
        }
    }
}
