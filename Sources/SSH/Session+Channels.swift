import NIOCore

/// What callers want of a channel: each wish is noted, then the session is driven.
extension Session {
    func exec(_ state: ChannelState, _ started: EventLoopPromise<Void>) {
        state.started = started
        guard case .ready = phase else { return state.fail(endError) }
        guard queue.count < Self.queueLimit else {
            return state.fail(SSHError(.channelRefused, "Too many SSH channels wait to be opened."))
        }
        queue.append(state)
        drive()
    }

    func read(_ state: ChannelState, _ promise: EventLoopPromise<SSHRead?>) {
        precondition(state.reader == nil, "two tasks read from one SSH channel")
        state.reader = promise
        deliver(state)
        if state.reader != nil { drive() }
    }

    func write(_ state: ChannelState, _ write: ChannelState.Write) {
        if let failure = state.failure { return write.accepted.fail(failure) }
        if state.ended != nil || state.hasSentEnd || state.exit != nil {
            return write.accepted.fail(SSHError(.channelClosed, "The command's standard input was ended before."))
        }
        state.writes.append(write)
        drive()
    }

    func sendEnd(_ state: ChannelState, _ promise: EventLoopPromise<Void>) {
        if let failure = state.failure { return promise.fail(failure) }
        if state.hasSentEnd { return promise.succeed() }
        if let ended = state.ended { return ended.futureResult.cascade(to: promise) }
        state.ended = promise
        drive()
    }

    func exit(_ state: ChannelState, _ promise: EventLoopPromise<SSHExit>) {
        if let exit = state.exit { return promise.succeed(exit) }
        if let failure = state.failure { return promise.fail(failure) }
        state.exits.append(promise)
        drive()
    }

    func close(_ state: ChannelState, _ promise: EventLoopPromise<Void>?) {
        let over = SSHError(.channelClosed, "The SSH channel is closed.")
        if let handle = state.open, case .ready = phase {
            state.fail(over)
            state.reader?.fail(over)
            state.reader = nil
            state.stage = .closing(handle)
            if let promise {
                state.closers.append(promise)
                state.deadline = loop.assumeIsolated().scheduleTask(in: configuration.deadlines.close) {
                    for promise in state.closers { promise.succeed() }
                    state.closers = []
                }
            }
            drive()
        } else {
            if case .closed = state.stage {} else { state.fail(over) }
            state.reader?.fail(over)
            state.reader = nil
            promise?.succeed()
        }
    }
}
