import NIOCore
package import Notation
package import Seedbox
import Synchronization
package import Wire

/// The protocol of `Docs/Wire.md` over any byte stream: calls out of it, calls into a handler.
///
/// One-shot: when it is over it is thrown away. Calls may be made before `run()`, and before the peer's greeting came;
/// they go out with ours.
package final class CallConnection: Sendable {
    package typealias Side = WireConnection.Side
    /// Decides on the peer's greeting before any of its calls; a `Problem` that it throws is said as goodbye.
    package typealias Admission = @Sendable (Hello) async throws -> Void

    /// How long a goodbye may take to be written before the stream is closed over it.
    static let linger = Duration.seconds(2)

    let stream: any ByteStream
    let handler: (any CallHandler)?
    let admission: Admission?
    private let side: Side
    private let state: Mutex<CallsState>

    /// - Parameter loss: what calls fail with where the peer's end of the stream is gone, for who knows what that means.
    package init(
        stream: any ByteStream,
        hello: Hello,
        side: Side,
        handler: (any CallHandler)? = nil,
        admission: Admission? = nil,
        loss: Problem? = nil
    ) {
        self.stream = stream
        self.handler = handler
        self.admission = admission
        self.side = side
        var state = CallsState(machine: WireConnection(side: side, hello: hello), loss: loss)
        state.queue.appendPreamble(hello)
        self.state = Mutex(state)
    }

    /// True once the connection has ended, for whatever reason; every further call on it fails.
    package var isOver: Bool { locked { $0.end != nil } }

    /// The peer's greeting; throws as `run()` does where none comes.
    package func peerHello() async throws -> Hello {
        try await attempting { state in
            if let hello = state.machine.peer { return .done(hello) }
            if let end = state.end { throw end.error ?? end.problem }
            return .wait(.greeting)
        }
    }

    /// Calls, taking no notice of events and data; throws the callee's `Problem`.
    ///
    /// Where the waiting task is cancelled, so is the call, without waiting for the callee.
    package func call(_ procedure: String, _ arguments: Value = .null) async throws -> Value {
        try await open(procedure, arguments, ending: [], discardingInputs: true).result()
    }

    /// Calls; what comes back is read from the call. Lanes on which nothing will be sent end in the same write.
    package func open(
        _ procedure: String,
        _ arguments: Value = .null,
        ending lanes: [UInt8] = []
    ) async throws -> OutgoingCall {
        try await open(procedure, arguments, ending: lanes, discardingInputs: false)
    }

    /// The time that the peer takes to answer, also while its handlers are busy.
    package func ping() async throws -> Duration {
        let token = try locked { state in
            if let end = state.end { throw end.error ?? end.problem }
            state.lastPing += 1
            state.pings[state.lastPing] = .sent(.now)
            state.appendUrgent(Frame(.ping(state.lastPing)))
            return state.lastPing
        }
        defer { locked { $0.pings[token] = nil } }
        return try await attempting { state in
            if case .answered(let roundTrip) = state.pings[token] { return .done(roundTrip) }
            if let end = state.end { throw end.error ?? end.problem }
            return .wait(.pong(token))
        }
    }

    /// Returns once no call is under way, or the connection is over.
    package func idle() async throws {
        try await attempting { state in
            state.end != nil || state.records.values.allSatisfy(\.isOver) ? .done(()) : .wait(.idle)
        }
    }

    /// Ends the connection and everything on it; returns once the stream is closed, after at most two seconds.
    ///
    /// The calls of both sides fail with `problem` where there is one; without, or without a `goodbye` that tells the peer,
    /// the stream just ends.
    package func close(_ problem: Problem? = nil, goodbye: Bool = true) async {
        let isRunning = locked { state in
            state.finish(.closed(problem), goodbye: goodbye ? problem?.failure : nil)
            return state.isRunning
        }
        guard isRunning else { return await stream.close() }
        _ = try? await attempting { $0.isFlushed ? .done(()) : .wait(.flushed) }
    }

    private func open(
        _ procedure: String,
        _ arguments: Value,
        ending lanes: [UInt8],
        discardingInputs: Bool
    ) async throws -> OutgoingCall {
        precondition(side == .caller, "A callee does not call.")
        let payload = Frame.payload(calling: procedure, arguments)
        guard payload.count <= Frame.maximumPayload else { throw Self.tooLarge("The call's arguments", payload.count) }
        let id: UInt32 = try await attempting { state in
            if let end = state.end { throw end.problem }
            guard state.queue.hasSpace else { return .wait(.space) }
            switch state.machine.open() {
            case .send(let id):
                state.records[id] = CallsState.Record(discardsInputs: discardingInputs)
                state.append(.call, call: id, payload: payload)
                for lane in lanes { state.end(lane: lane, on: id) }
                return .done(id)
            case .full:
                throw Problem(
                    .tooLarge,
                    "\(WireConnection.maximumCalls) calls are under way on this connection; try again when some ended."
                )
            case .closed:
                throw Problem(.connectionLost, "The connection has ended; a new one is needed.")
            }
        }
        return OutgoingCall(procedure, id: id, connection: self)
    }

    static func tooLarge(_ what: String, _ count: Int) -> Problem {
        Problem(
            .tooLarge,
            "\(what) take \(count) bytes; one message holds at most \(Frame.maximumPayload). Send it in smaller parts."
        )
    }
}

// MARK: - Waiting

extension CallConnection {
    enum Attempt<Success: Sendable>: Sendable {
        case done(Success)
        /// Try again when this was woken.
        case wait(WaitList.Key)
    }

    /// Changes the state under the lock; resumes and cancels whom that concerns outside of it.
    func locked<Success: Sendable, Failure: Error>(
        _ body: (inout CallsState) throws(Failure) -> Success
    ) throws(Failure) -> Success {
        let (result, woken, cancellations) = state.withLock { state in
            let result: Result<Success, Failure>
            do throws(Failure) {
                result = .success(try body(&state))
            } catch {
                result = .failure(error)
            }
            defer {
                state.woken = []
                state.cancellations = []
            }
            return (result, state.woken, state.cancellations)
        }
        for continuation in woken { continuation.resume() }
        for cancel in cancellations { cancel() }
        return try result.get()
    }

    /// Tries until it is done; in between, waits for what the attempt names. Throws when the task is cancelled.
    func attempting<Success: Sendable>(
        _ attempt: (inout CallsState) throws -> Attempt<Success>
    ) async throws -> Success {
        try Task.checkCancellation()
        if case .done(let success) = try locked(attempt) { return success }
        while true {
            var outcome: Result<Success, any Error>?
            let token = locked { $0.waits.token() }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    locked { state in
                        // Cancellation is marked before its handler runs, and that takes the lock: none is missed.
                        guard !Task.isCancelled else { return state.woken.append(continuation) }
                        do {
                            switch try attempt(&state) {
                            case .wait(let key):
                                state.waits.insert(continuation, token, for: key)
                            case .done(let success):
                                outcome = .success(success)
                                state.woken.append(continuation)
                            }
                        } catch {
                            outcome = .failure(error)
                            state.woken.append(continuation)
                        }
                    }
                }
            } onCancel: {
                locked { state in
                    if let continuation = state.waits.remove(token) { state.woken.append(continuation) }
                }
            }
            if let outcome { return try outcome.get() }
            try Task.checkCancellation()
        }
    }
}
