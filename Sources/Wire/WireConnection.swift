import NIOCore
package import Notation

/// The life of one connection and of all calls on it: who may send what, when, and how much.
///
/// It begins with both hellos under way. A caller may call at once; events and data wait for the peer's hello, which
/// says how much of them it takes. A violation by the peer, or a goodbye of either side, ends everything at once.
///
///     opening ──hello──▶ greeted ──goodbye, violation, loss──▶ closed
///        └───────────── no common version, loss ───────────────▶┘
package struct WireConnection: Sendable {
    /// The most calls open on a connection.
    package static let maximumCalls = 1_024
    /// The most bytes of arguments of all calls open on a callee.
    package static let maximumArguments = 16_777_216

    package enum Side: Sendable {
        /// Opens calls.
        case caller
        /// Answers them.
        case callee
    }

    private enum State {
        /// Our preamble and hello are on their way; the peer's have not come.
        case opening
        /// Both hellos are there.
        case greeted(Hello, version: Int)
        /// Nothing is sent or taken any more.
        case closed
    }

    /// A call between its `call` frame and its reply or failure.
    private struct Call {
        /// What we may still send; the frame that uses it up may overdraw it.
        var sendCredit = 0
        /// What the peer may still send.
        var receiveCredit: Int
        /// What was consumed here and not granted anew.
        var ungranted = 0
        var endsSent: Set<UInt8> = []
        var endsReceived: Set<UInt8> = []
        /// What its arguments took of `maximumArguments`.
        var arguments = 0
        /// A cancel frame was sent or received.
        var cancelled = false
    }

    private let side: Side
    private let hello: Hello
    private var state = State.opening
    private var calls: [UInt32: Call] = [:]
    private var lastID: UInt32 = 0
    private var arguments = 0

    package init(side: Side, hello: Hello) {
        self.side = side
        self.hello = hello
    }

    /// The peer's hello, once it came.
    package var peer: Hello? {
        if case .greeted(let hello, _) = state { hello } else { nil }
    }

    package func isOpen(_ id: UInt32) -> Bool { calls[id] != nil }

    /// The number of calls that have no reply and no failure yet.
    package var openCalls: Int { calls.count }
}

// MARK: - What came

extension WireConnection {
    /// What to do about a frame that came.
    package enum Received: Sendable, Hashable {
        case nothing
        /// Wake those who wait for the greeting or for credit.
        case greeted(Hello, version: Int)
        /// Start the call's handler.
        case start(UInt32, procedure: String, arguments: Value)
        /// Answer with this failure.
        case refuse(UInt32, WireFailure)
        /// The call has ended.
        case settle(UInt32, Settlement)
        /// Keep the input for whoever reads it, and report to `consumed` when it was taken.
        case deliver(UInt32, Frame.Body, cost: Int)
        /// There is credit again.
        case resume(UInt32)
        /// Cancel the call's handler.
        case cancel(UInt32)
        /// Answer at once with a pong.
        case pong(UInt64)
        /// Our ping was answered.
        case ponged(UInt64)
        /// The peer has said goodbye: close.
        case ended(WireFailure)
        /// The peer broke the protocol: say the error's goodbye and close.
        case violated(WireError)
    }

    package enum Settlement: Sendable, Hashable {
        case reply(Value)
        case failure(WireFailure)
    }

    package mutating func received(_ frame: Frame) -> Received {
        switch state {
        case .opening:
            switch frame.body {
            case .hello(let peer): return greeted(peer)
            case .goodbye(let failure): return ended(failure)
            default: return violated(.misplaced, "The peer's first frame is no hello but a \(frame.kind).")
            }
        case .greeted:
            return receivedGreeted(frame)
        case .closed:
            // What was under way when we closed.
            return .nothing
        }
    }

    private mutating func greeted(_ peer: Hello) -> Received {
        guard let version = hello.version(with: peer) else {
            return violated(
                .incompatible,
                """
                The two sides have no protocol version in common: \(hello.software) speaks \(hello.versions), \
                \(peer.software) speaks \(peer.versions). Bring the older of them up to date.
                """
            )
        }
        state = .greeted(peer, version: version)
        for id in calls.keys { calls[id]?.sendCredit += peer.credit }
        return .greeted(peer, version: version)
    }

    private mutating func receivedGreeted(_ frame: Frame) -> Received {
        let id = frame.call
        switch frame.body {
        case .hello:
            return violated(.misplaced, "The peer sent a second hello.")
        case .ping(let token):
            return .pong(token)
        case .pong(let token):
            return .ponged(token)
        case .goodbye(let failure):
            return ended(failure)
        case .call(let procedure, let arguments, let cost):
            return received(call: id, procedure, arguments, cost: cost)
        case .reply(let value):
            return settled(id, .reply(value))
        case .failure(let failure):
            return settled(id, .failure(failure))
        case .event(_, let cost):
            guard side == .caller else { return misplaced(frame) }
            return input(frame, cost: cost)
        case .data(let lane, let bytes):
            if calls[id]?.endsReceived.contains(lane) == true {
                return violated(.misplaced, "The peer sent data on lane \(lane) of call \(id) after its end.")
            }
            return input(frame, cost: Frame.cost(payload: 1 + bytes.readableBytes))
        case .end(let lane):
            if calls[id]?.endsReceived.insert(lane).inserted == false {
                return violated(.misplaced, "The peer ended lane \(lane) of call \(id) twice.")
            }
            return input(frame, cost: 0)
        case .credit(let bytes):
            return credited(id, Int(bytes))
        case .cancel:
            guard side == .callee else { return misplaced(frame) }
            guard isKnown(id) else { return unknown(frame) }
            // Of a call that has just ended, or a second cancel.
            guard calls[id]?.cancelled == false else { return .nothing }
            calls[id]?.cancelled = true
            return .cancel(id)
        }
    }

    private mutating func received(call id: UInt32, _ procedure: String, _ value: Value, cost: Int) -> Received {
        guard side == .callee else { return violated(.misplaced, "The peer called, though it is the callee.") }
        guard case .greeted(let peer, _) = state else { preconditionFailure("Calls come after the hello.") }
        guard id > lastID else {
            return violated(.misplaced, "Call \(id) came after call \(lastID); ids must ascend.")
        }
        lastID = id
        guard calls.count < Self.maximumCalls else {
            return .refuse(
                id,
                WireFailure(code: "too-large", message: "\(Self.maximumCalls) calls are open; wait for one to end.")
            )
        }
        guard arguments + cost <= Self.maximumArguments else {
            return .refuse(
                id,
                WireFailure(code: "too-large", message: "The open calls' arguments are too large; wait for one to end.")
            )
        }
        arguments += cost
        calls[id] = Call(sendCredit: peer.credit, receiveCredit: hello.credit, arguments: cost)
        return .start(id, procedure: procedure, arguments: value)
    }

    private mutating func settled(_ id: UInt32, _ settlement: Settlement) -> Received {
        guard side == .caller else { return violated(.misplaced, "The peer answered a call, though it is the caller.") }
        guard isKnown(id) else { return violated(.unknownCall, "The peer answered call \(id), which never was.") }
        guard calls.removeValue(forKey: id) != nil else {
            return violated(.misplaced, "The peer answered call \(id) twice.")
        }
        return .settle(id, settlement)
    }

    private mutating func input(_ frame: Frame, cost: Int) -> Received {
        guard isKnown(frame.call) else { return unknown(frame) }
        guard var call = calls[frame.call] else {
            // The caller's input for a call that we have answered meanwhile; a callee knows what it has answered.
            guard side == .callee else {
                return violated(.misplaced, "The peer sent a frame of type \(frame.kind) after its answer.")
            }
            return .nothing
        }
        guard cost == 0 || call.receiveCredit > 0 else {
            return violated(.overCredit, "The peer sent more on call \(frame.call) than it had credit for.")
        }
        call.receiveCredit -= cost
        calls[frame.call] = call
        return .deliver(frame.call, frame.body, cost: cost)
    }

    private mutating func credited(_ id: UInt32, _ bytes: Int) -> Received {
        guard isKnown(id) else { return violated(.unknownCall, "The peer gave credit to call \(id), which never was.") }
        guard var call = calls[id] else { return .nothing }
        let (sum, overflow) = call.sendCredit.addingReportingOverflow(bytes)
        guard !overflow, sum <= Int(Int32.max) else {
            return violated(.overLimit, "The peer gave call \(id) more credit than a call can hold.")
        }
        call.sendCredit = sum
        calls[id] = call
        return .resume(id)
    }

    private mutating func ended(_ failure: WireFailure) -> Received {
        close()
        return .ended(failure)
    }

    private mutating func violated(_ code: WireError.Code, _ message: String) -> Received {
        close()
        return .violated(WireError(code, message))
    }

    private mutating func misplaced(_ frame: Frame) -> Received {
        violated(.misplaced, "The peer may not send frames of type \(frame.kind).")
    }

    private mutating func unknown(_ frame: Frame) -> Received {
        violated(.unknownCall, "The peer sent a frame of type \(frame.kind) for call \(frame.call), which never was.")
    }

    /// True for the id of a call that is or was.
    private func isKnown(_ id: UInt32) -> Bool { id != 0 && id <= lastID }
}

// MARK: - What we do

extension WireConnection {
    package enum Opening: Sendable, Hashable {
        /// Send the call frame with this id.
        case send(UInt32)
        /// Too many calls are open.
        case full
        /// The connection is closed or has used up its ids.
        case closed
    }

    /// The caller wants to call.
    package mutating func open() -> Opening {
        precondition(side == .caller, "A callee does not call.")
        let credit: Int
        switch state {
        case .opening: credit = 0
        case .greeted(let peer, _): credit = peer.credit
        case .closed: return .closed
        }
        guard lastID < .max else { return .closed }
        guard calls.count < Self.maximumCalls else { return .full }
        lastID += 1
        calls[lastID] = Call(sendCredit: credit, receiveCredit: hello.credit)
        return .send(lastID)
    }

    package enum Sending: Sendable, Hashable {
        case send
        /// Wait for `resume`.
        case wait
        /// The call has ended, or the lane has: nobody reads it any more.
        case ended
    }

    /// What may still be sent on a call before more credit comes; 0 for a call that has ended.
    package func credit(_ id: UInt32) -> Int { max(0, calls[id]?.sendCredit ?? 0) }

    /// An event or data frame of this cost is to be sent; on `send` its cost is taken.
    package mutating func spend(_ cost: Int, on id: UInt32, lane: UInt8? = nil) -> Sending {
        guard var call = calls[id] else { return .ended }
        if let lane, call.endsSent.contains(lane) { return .ended }
        guard call.sendCredit > 0 else { return .wait }
        call.sendCredit -= cost
        calls[id] = call
        return .send
    }

    /// A lane is to be ended; false where that is done already or of no use any more.
    package mutating func end(lane: UInt8, on id: UInt32) -> Bool {
        calls[id]?.endsSent.insert(lane).inserted ?? false
    }

    /// Input of this cost was taken by its reader; the number is the credit to send.
    package mutating func consumed(_ cost: Int, on id: UInt32) -> UInt32? {
        guard var call = calls[id] else { return nil }
        call.ungranted += cost
        // Half the window: one credit frame for many small events, and never a sender that waits in vain.
        guard call.ungranted > 0, call.ungranted >= hello.credit / 2 else {
            calls[id] = call
            return nil
        }
        let grant = call.ungranted
        call.receiveCredit += grant
        call.ungranted = 0
        calls[id] = call
        return UInt32(grant)
    }

    /// The caller gives up a call; true where the cancel frame is to be sent. It stays open until it is answered.
    package mutating func cancel(_ id: UInt32) -> Bool {
        guard calls[id]?.cancelled == false else { return false }
        calls[id]?.cancelled = true
        return true
    }

    /// The callee answers a call; true where the frame is to be sent.
    package mutating func answer(_ id: UInt32) -> Bool {
        precondition(side == .callee, "A caller does not answer.")
        guard let call = calls.removeValue(forKey: id) else { return false }
        arguments -= call.arguments
        return true
    }

    /// We end the connection, or it was lost.
    package mutating func close() {
        state = .closed
        calls = [:]
    }
}
