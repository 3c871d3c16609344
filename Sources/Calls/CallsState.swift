import NIOCore
import Notation
import Seedbox
import Wire

/// Everything of a connection that changes, for one lock: the machine and what the shell keeps beside it.
struct CallsState {
    /// The most bytes that all calls of a connection may hold unread.
    static let maximumUnread = 67_108_864

    /// What the shell keeps of a call, until nobody here holds it any more.
    struct Record {
        var inbox = CircularBuffer<(input: CallInput, cost: Int)>()
        /// Nobody reads its inputs: they are taken at once.
        var discardsInputs = false
        /// Nobody holds it: it goes with the answer.
        var isAbandoned = false
        /// The answer, of an outgoing call.
        var outcome: Result<Value, Problem>?
        /// No more inputs will come.
        var isOver = false
        /// An incoming call's cancellation, from when its task runs.
        var cancelTask: (@Sendable () -> Void)?
        var isCancelled = false
    }

    enum Ping {
        case sent(ContinuousClock.Instant)
        case answered(Duration)
    }

    /// Why the connection is over.
    enum End {
        /// We closed it, perhaps for a reason.
        case closed(Problem?)
        /// The peer closed the stream where it may.
        case finished
        /// The peer said goodbye.
        case goodbye(Problem)
        /// It failed, by `CallsError`, `Problem` or cancellation.
        case failed(any Error)

        /// What open calls fail with.
        var problem: Problem {
            switch self {
            case .closed(let problem):
                problem ?? Problem(.connectionLost, "The connection was closed here while this was under way.")
            case .finished: Problem(.connectionLost, "The other side closed the connection while this was under way.")
            case .goodbye(let problem): problem
            case .failed(let error as Problem): error
            case .failed(let error as CallsError): Problem(.connectionLost, error.message)
            case .failed: Problem(.connectionLost, "The connection was lost while this was under way.")
            }
        }

        /// Whether the peer is gone that did not say so.
        var isLoss: Bool {
            switch self {
            case .finished: true
            case .failed(let error): (error as? CallsError)?.code == .lost
            case .closed, .goodbye: false
            }
        }

        /// What ends `run()`; nil for an orderly end.
        var error: (any Error)? {
            switch self {
            case .closed, .finished: nil
            case .goodbye(let problem): problem
            case .failed(let error): error
            }
        }
    }

    var machine: WireConnection
    /// What a loss is to those who call, where that is known.
    let loss: Problem?
    var queue = FrameQueue()
    var gathering = Gathering()
    var waits = WaitList()
    var records: [UInt32: Record] = [:]
    var pings: [UInt64: Ping] = [:]
    var lastPing: UInt64 = 0
    var unread = 0
    var end: End?
    var isRunning = false
    var isFlushed = false
    /// The stream has taken bytes and not written them yet.
    var isWriting = false
    /// Nothing waits to be written or is being written.
    var isWritten: Bool { queue.isEmpty && !isWriting }
    /// To be resumed after the lock is released.
    var woken: [WaitList.Continuation] = []
    /// To be called after the lock is released.
    var cancellations: [@Sendable () -> Void] = []

    mutating func wake(_ key: WaitList.Key) { woken += waits.removeAll(for: key) }

    mutating func append(_ frame: Frame) {
        queue.append(frame)
        wake(.writer)
    }

    mutating func append(_ kind: Frame.Kind, call: UInt32, payload: [UInt8]) {
        queue.append(kind, call: call, payload: payload)
        wake(.writer)
    }

    /// Tells the peer that nothing more comes on a lane, once.
    mutating func end(lane: UInt8, on id: UInt32) {
        if machine.end(lane: lane, on: id) { append(Frame(.end(lane: lane), call: id)) }
    }

    mutating func appendUrgent(_ frame: Frame) {
        queue.appendUrgent(frame)
        wake(.writer)
    }

    /// Ends the connection, once: everything open fails, everybody who waits is woken.
    mutating func finish(_ end: End, goodbye: WireFailure? = nil) {
        guard self.end == nil else { return }
        let end = if let loss, end.isLoss { End.failed(loss) } else { end }
        self.end = end
        machine.close()
        if case .closed = end {} else { queue.removeAll() }
        if let goodbye { queue.append(Frame(.goodbye(goodbye))) }
        let problem = end.problem
        for id in records.keys {
            records[id]?.isOver = true
            if records[id]?.outcome == nil { records[id]?.outcome = .failure(problem) }
            if let cancel = records[id]?.cancelTask { cancellations.append(cancel) }
        }
        records = records.filter { !$0.value.isAbandoned }
        woken += waits.removeAll()
    }

    /// Takes a call's oldest input and grants the peer its cost.
    mutating func takeInput(_ id: UInt32) -> CallInput? {
        guard let (input, cost) = records[id]?.inbox.popFirst() else { return nil }
        unread -= cost
        grant(cost, on: id)
        return input
    }

    mutating func grant(_ cost: Int, on id: UInt32) {
        if let credit = machine.consumed(cost, on: id) { appendUrgent(Frame(.credit(credit), call: id)) }
    }

    /// Forgets what a call holds unread, and takes what still comes at once.
    mutating func discardInputs(_ id: UInt32) {
        guard records[id] != nil else { return }
        records[id]?.discardsInputs = true
        while takeInput(id) != nil {}
    }
}
