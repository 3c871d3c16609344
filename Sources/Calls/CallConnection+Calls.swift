import NIOCore
import Notation
import Seedbox
import Wire

/// What the two kinds of calls ask of their connection.
extension CallConnection {
    /// Bytes of data in one frame, so that calls take turns.
    private static let maximumPiece = 32_768

    func nextInput(_ id: UInt32) async -> CallInput? {
        let next: CallInput?? = try? await attempting { state in
            if let input = state.takeInput(id) { return .done(input) }
            guard let record = state.records[id], !record.isOver else { return .done(nil) }
            return .wait(.input(id))
        }
        return next ?? nil
    }

    func result(_ id: UInt32) async throws -> Value {
        do {
            return try await attempting { state in
                if let outcome = state.records[id]?.outcome { return .done(try outcome.get()) }
                return .wait(.answer(id))
            }
        } catch let error as CancellationError {
            cancel(id)
            throw error
        }
    }

    func cancel(_ id: UInt32) {
        locked { state in
            if state.machine.cancel(id) { state.append(Frame(.cancel, call: id)) }
        }
    }

    /// Nobody holds the outgoing call any more.
    func abandon(_ id: UInt32) {
        locked { state in
            state.discardInputs(id)
            guard state.machine.isOpen(id) else {
                state.records[id] = nil
                return state.wake(.idle)
            }
            state.records[id]?.isAbandoned = true
            if state.machine.cancel(id) { state.append(Frame(.cancel, call: id)) }
        }
    }

    func emit(_ events: [Value], on id: UInt32) async throws {
        var rest = events.map { CBOR.encode($0) }[...]
        for payload in rest where payload.count > Frame.maximumPayload {
            throw Self.tooLarge("An event's contents", payload.count)
        }
        while !rest.isEmpty {
            // Under one lock, so that the writer finds them together.
            let sent = try await attempting { [rest] state in try Self.append(rest, on: id, to: &state) }
            rest = rest.dropFirst(sent)
        }
    }

    /// Queues as many events as there is credit and room for, and says how many.
    private static func append(
        _ payloads: ArraySlice<[UInt8]>,
        on id: UInt32,
        to state: inout CallsState
    ) throws -> Attempt<Int> {
        if let end = state.end { throw end.problem }
        var sent = 0
        for payload in payloads {
            guard state.queue.hasSpace else { return sent > 0 ? .done(sent) : .wait(.space) }
            switch state.machine.spend(Frame.cost(payload: payload.count), on: id) {
            case .send:
                state.append(.event, call: id, payload: payload)
                sent += 1
            case .wait:
                return sent > 0 ? .done(sent) : .wait(.credit(id))
            case .ended:
                throw CancellationError()
            }
        }
        return .done(sent)
    }

    func ready(_ id: UInt32) async throws {
        try await attempting { state -> Attempt<Void> in
            if let end = state.end { throw end.problem }
            guard state.machine.isOpen(id) else { throw CancellationError() }
            guard state.queue.hasSpace else { return .wait(.space) }
            return state.machine.credit(id) > 0 ? .done(()) : .wait(.credit(id))
        }
    }

    func hasEnded(lane: UInt8, on id: UInt32) -> Bool {
        locked { $0.records[id]?.inbox.first?.input == .end(lane: lane) }
    }

    func canEmit(_ id: UInt32) -> Bool {
        locked { $0.queue.hasSpace && $0.machine.credit(id) > 0 }
    }

    func credit(_ id: UInt32) -> Int {
        locked { $0.machine.credit(id) }
    }

    func gather(_ id: UInt32, within limit: Duration) {
        guard let period = locked({ $0.gathering.begin(id) }) else { return }
        Task {
            try? await Task.sleep(for: limit)
            locked { state in
                if state.gathering.end(period) { state.wake(.writer) }
            }
        }
    }

    func send(_ bytes: ByteBuffer, lane: UInt8, on id: UInt32) async throws {
        var rest = bytes
        while let piece = rest.readSlice(length: min(rest.readableBytes, Self.maximumPiece)), piece.readableBytes > 0 {
            let isSent: Bool = try await attempting { state in
                if let end = state.end { throw end.problem }
                guard state.queue.hasSpace else { return .wait(.space) }
                switch state.machine.spend(Frame.cost(payload: 1 + piece.readableBytes), on: id, lane: lane) {
                case .send:
                    state.append(Frame(.data(lane: lane, piece), call: id))
                    return .done(true)
                case .wait:
                    return .wait(.credit(id))
                case .ended:
                    // The other side has answered, or been answered: nobody reads it any more.
                    return .done(false)
                }
            }
            guard isSent else { return }
        }
    }

    func end(lane: UInt8, on id: UInt32) async throws {
        try await attempting { state -> Attempt<Void> in
            if let end = state.end { throw end.problem }
            guard state.queue.hasSpace else { return .wait(.space) }
            state.end(lane: lane, on: id)
            return .done(())
        }
    }
}
