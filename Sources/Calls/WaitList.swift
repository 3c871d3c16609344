/// Tasks that wait for something to change, by what they wait for.
struct WaitList {
    typealias Continuation = CheckedContinuation<Void, Never>

    enum Key: Hashable {
        /// The writer, for something to write.
        case writer
        /// Senders, for room in the queue.
        case space
        /// The reader, for room for its answers.
        case urgentSpace
        case greeting
        /// The answer to a ping.
        case pong(UInt64)
        /// Credit for a call, or its end.
        case credit(UInt32)
        /// Input of a call, or its end.
        case input(UInt32)
        /// The answer to a call.
        case answer(UInt32)
        /// The end of the last call of ours.
        case idle
        /// The end of the connection.
        case end
        /// The writer's end.
        case flushed
    }

    private var continuations: [UInt64: (key: Key, continuation: Continuation)] = [:]
    private var tokens: [Key: [UInt64]] = [:]
    private var lastToken: UInt64 = 0

    mutating func token() -> UInt64 {
        lastToken += 1
        return lastToken
    }

    mutating func insert(_ continuation: Continuation, _ token: UInt64, for key: Key) {
        continuations[token] = (key, continuation)
        tokens[key, default: []].append(token)
    }

    mutating func remove(_ token: UInt64) -> Continuation? {
        guard let (key, continuation) = continuations.removeValue(forKey: token) else { return nil }
        tokens[key]?.removeAll { $0 == token }
        if tokens[key]?.isEmpty == true { tokens[key] = nil }
        return continuation
    }

    mutating func removeAll(for key: Key) -> [Continuation] {
        guard let tokens = tokens.removeValue(forKey: key) else { return [] }
        return tokens.compactMap { continuations.removeValue(forKey: $0)?.continuation }
    }

    mutating func removeAll() -> [Continuation] {
        defer {
            continuations = [:]
            tokens = [:]
        }
        return continuations.values.map(\.continuation)
    }
}
