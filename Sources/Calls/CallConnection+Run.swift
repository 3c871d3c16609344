import NIOCore
import Notation
import Seedbox
import Wire

/// What drives a connection: one reader, one writer, and a task for each of the peer's calls.
extension CallConnection {
    /// Runs until the connection is over; once.
    ///
    /// Returns where either side closed in good order, throws the peer's goodbye as a `Problem`, anything else as a
    /// `CallsError`. Cancelling it closes the stream.
    package func run() async throws {
        locked { state in
            precondition(!state.isRunning, "A connection runs once.")
            state.isRunning = true
        }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.write() }
            group.addTask { await self.closeAfterLinger() }
            do {
                try await self.read { id, procedure, arguments in
                    group.addTask { await self.handle(id, procedure, arguments) }
                }
            } catch {
                self.failed(error)
            }
            // The reader is done, so the connection is over; the writer may still have a goodbye to write.
            await self.awaitFlush()
            group.cancelAll()
        }
        if let error = locked({ $0.end?.error }) { throw error }
    }

    private func failed(_ error: any Error) {
        locked { state in
            switch error {
            case let error as WireError:
                if error.code == .incompatible {
                    state.finish(.failed(Problem(.agentIncompatible, error.message)), goodbye: error.goodbye)
                } else {
                    state.finish(.failed(CallsError(error)), goodbye: error.goodbye)
                }
            case let error as Problem:
                state.finish(.failed(error), goodbye: error.failure)
            case is CancellationError, is CallsError:
                state.finish(.failed(error))
            default:
                state.finish(.failed(CallsError(.lost, "The connection failed.", cause: error)))
            }
        }
    }

    /// Waits for the writer, also in a cancelled task: it ends by itself, at the latest when the stream is closed.
    private func awaitFlush() async {
        if Task.isCancelled { await stream.close() }
        do {
            try await attempting { $0.isFlushed ? .done(()) : .wait(.flushed) }
        } catch {
            await stream.close()
        }
    }

    /// Closes the stream over a goodbye that the peer does not take.
    private func closeAfterLinger() async {
        do {
            try await attempting { $0.end == nil ? .wait(.end) : .done(()) }
            // The writer closes the stream now where nothing is left for it.
            if locked({ $0.isWritten }) { return }
            try await Task.sleep(for: Self.linger)
        } catch {
            // Cancelled: the connection ended in time.
        }
        await stream.close()
    }
}

// MARK: - Writing

extension CallConnection {
    private func write() async {
        while let bytes = await nextBytes() {
            do {
                try await stream.write(bytes)
            } catch {
                // Who has called the run off has not lost the connection.
                let isCancelled = Task.isCancelled
                let lost = CallsError(.lost, "The connection failed.", cause: error)
                locked { $0.finish(.failed(isCancelled ? CancellationError() : lost)) }
                break
            }
        }
        await stream.close()
        locked { state in
            state.isFlushed = true
            state.wake(.flushed)
        }
    }

    /// What is to be written next; nil when the connection is over and all is written.
    private func nextBytes() async -> ByteBuffer? {
        let bytes: ByteBuffer?? = try? await attempting { state in
            guard !state.gathering.holds || state.queue.hasChunk || state.end != nil else { return .wait(.writer) }
            state.gathering.taken()
            state.isWriting = false
            guard let bytes = state.queue.take() else { return state.end == nil ? .wait(.writer) : .done(nil) }
            if state.queue.hasSpace { state.wake(.space) }
            state.wake(.urgentSpace)
            state.isWriting = true
            return .done(bytes)
        }
        return bytes ?? nil
    }
}

// MARK: - Reading

extension CallConnection {
    private func read(start: (UInt32, String, Value) -> Void) async throws {
        var decoder = FrameDecoder()
        while let bytes = try await stream.read() {
            decoder.append(bytes)
            while let frame = try decoder.next() {
                guard try await received(frame, start: start) else { return }
            }
        }
        try decoder.finish()
        locked { $0.finish(.finished) }
    }

    /// False where that was the last frame to read.
    private func received(_ frame: Frame, start: (UInt32, String, Value) -> Void) async throws -> Bool {
        let (action, mustWait) = locked { state in
            let action = received(frame, &state)
            return (action, !state.queue.hasUrgentSpace)
        }
        switch action {
        case .greeted(let hello, _):
            try await admission?(hello)
            locked { $0.wake(.greeting) }
        case .start(let id, let procedure, let arguments):
            start(id, procedure, arguments)
        case .ended:
            return false
        case .violated(let error):
            throw error
        case .nothing, .refuse, .settle, .deliver, .resume, .cancel, .pong, .ponged:
            break
        }
        if mustWait {
            // The peer makes us write and does not read: we do not read on.
            try await attempting { state -> Attempt<Void> in
                state.queue.hasUrgentSpace || state.end != nil ? .done(()) : .wait(.urgentSpace)
            }
        }
        return true
    }

    private func received(_ frame: Frame, _ state: inout CallsState) -> WireConnection.Received {
        let action = state.machine.received(frame)
        switch action {
        case .start(let id, _, _):
            state.records[id] = CallsState.Record()
        case .refuse(let id, let failure):
            state.appendUrgent(Frame(.failure(failure), call: id))
        case .settle(let id, let settlement):
            settle(id, settlement, &state)
        case .deliver(let id, let body, let cost):
            deliver(id, body, cost: cost, &state)
            guard state.unread <= CallsState.maximumUnread else {
                return .violated(WireError(.overLimit, "The calls of this connection hold too much that is unread."))
            }
        case .resume(let id):
            state.wake(.credit(id))
        case .cancel(let id):
            state.records[id]?.isCancelled = true
            if let cancel = state.records[id]?.cancelTask { state.cancellations.append(cancel) }
        case .pong(let token):
            state.appendUrgent(Frame(.pong(token)))
        case .ponged(let token):
            // Nothing where the waiting task was cancelled.
            if case .sent(let sent) = state.pings[token] {
                state.pings[token] = .answered(.now - sent)
                state.wake(.pong(token))
            }
        case .ended(let failure):
            state.finish(.goodbye(Problem(failure)))
        case .greeted:
            // Calls may have been made before, but nothing sent on them.
            for id in state.records.keys { state.wake(.credit(id)) }
        case .nothing, .violated:
            break
        }
        return action
    }

    private func settle(_ id: UInt32, _ settlement: WireConnection.Settlement, _ state: inout CallsState) {
        defer { state.wake(.idle) }
        if state.records[id]?.isAbandoned == true {
            state.records[id] = nil
            return
        }
        state.records[id]?.isOver = true
        state.records[id]?.outcome =
            switch settlement {
            case .reply(let value): .success(value)
            case .failure(let failure): .failure(Problem(failure))
            }
        state.wake(.input(id))
        state.wake(.answer(id))
        state.wake(.credit(id))
    }

    private func deliver(_ id: UInt32, _ body: Frame.Body, cost: Int, _ state: inout CallsState) {
        let input: CallInput
        switch body {
        case .event(let value, _): input = .event(value)
        case .data(let lane, let bytes): input = .data(lane: lane, bytes)
        case .end(let lane): input = .end(lane: lane)
        default: preconditionFailure("Only events, data and ends are delivered.")
        }
        guard state.records[id]?.discardsInputs == false else { return state.grant(cost, on: id) }
        state.records[id]?.inbox.append((input, cost))
        state.unread += cost
        state.wake(.input(id))
    }
}

// MARK: - Answering

extension CallConnection {
    private func handle(_ id: UInt32, _ procedure: String, _ arguments: Value) async {
        guard let handler else {
            return await answer(id, .failure(Problem(.unknownProcedure, "This side answers no calls.")))
        }
        let call = IncomingCall(procedure, arguments, id: id, connection: self)
        // A task of its own, so that the caller's cancel ends this call and no other.
        let task = Task { try await handler.handle(call) }
        let isCancelled = locked { state in
            state.records[id]?.cancelTask = { task.cancel() }
            return state.end != nil || state.records[id]?.isCancelled == true
        }
        if isCancelled { task.cancel() }
        let result = await withTaskCancellationHandler {
            await task.result
        } onCancel: {
            task.cancel()
        }
        await answer(id, result.mapError { Self.problem($0, procedure) })
    }

    private func answer(_ id: UInt32, _ result: Result<Value, Problem>) async {
        let kind: Frame.Kind
        var payload: [UInt8]
        switch result {
        case .success(let value):
            payload = CBOR.encode(value)
            if payload.count <= Frame.maximumPayload {
                kind = .reply
            } else {
                kind = .failure
                payload = CBOR.encode(Self.tooLarge("The reply's contents", payload.count).failure.value)
            }
        case .failure(let problem):
            kind = .failure
            payload = CBOR.encode(problem.failure.value)
            if payload.count > Frame.maximumPayload {
                payload = CBOR.encode(WireFailure(code: problem.code.rawValue, message: "(message too long)").value)
            }
        }
        // Fails only where the connection is over and nobody waits for an answer.
        try? await attempting { state -> Attempt<Void> in
            if state.end == nil, state.machine.isOpen(id) {
                guard state.queue.hasSpace else { return .wait(.space) }
                if state.machine.answer(id) { state.append(kind, call: id, payload: payload) }
            }
            if state.gathering.answered(id) { state.wake(.writer) }
            if let record = state.records.removeValue(forKey: id) {
                state.unread -= record.inbox.reduce(0) { $0 + $1.cost }
            }
            state.wake(.credit(id))
            state.wake(.input(id))
            return .done(())
        }
    }

    private static func problem(_ error: any Error, _ procedure: String) -> Problem {
        switch error {
        case let problem as Problem: problem
        case is CancellationError: Problem(.cancelled, "The call was cancelled.")
        // The error's own words may hold what must not leave this machine.
        default: Problem(.internalFault, "\(procedure) failed unexpectedly (\(type(of: error))).")
        }
    }
}
