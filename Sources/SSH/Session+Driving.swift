import NIOCore

/// One turn of the session: what arrived is taken in, and each channel goes one step further.
extension Session {
    func stepChannels() {
        pump()
        guard case .ready = phase else { return }
        openNext()
        for state in channels {
            advance(state)
            guard case .ready = phase else { return }
        }
        channels.removeAll { state in
            if case .closed = state.stage { true } else { false }
        }
    }

    /// Brings what arrived into libssh2's queues, from where the channels take it.
    func pump() {
        guard let handle = channels.lazy.compactMap(\.handle).first else { return }
        while pipe.inbound.readableBytes > 0 {
            let before = pipe.inbound.readableBytes
            if case .failed(let code) = library.pump(handle), failed(code) { return }
            if pipe.inbound.readableBytes == before { return }
        }
    }

    /// True, and the session failed, where the code is not of a single channel.
    func failed(_ code: Int32) -> Bool {
        if LibSSH2.isChannelFault(code) { return false }
        fail(lossError(nil))
        return true
    }

    func openNext() {
        while true {
            guard let state = opening ?? queue.popFirst() else { return }
            if case .queued = state.stage {
                guard state.failure == nil else { continue }
                state.stage = .opening
                opening = state
                setDeadline(of: state, configuration.deadlines.channelOpen, "opening an SSH channel")
            }
            let (handle, outcome) = library.openChannel(window: configuration.window)
            switch outcome {
            case .done:
                opening = nil
                channels.append(state)
                if let handle, state.failure == nil {
                    state.stage = .starting(handle)
                    setDeadline(of: state, configuration.deadlines.exec, "starting the command")
                } else if let handle {
                    // Its caller has gone meanwhile.
                    state.stage = .closing(handle)
                }
            case .again: return
            case .failed(let code):
                opening = nil
                let words = library.lastMessage
                state.stage = .closed
                state.fail(
                    SSHError(
                        .channelRefused,
                        "The SSH server opens no further channel (\(words)). Its MaxSessions may be reached."
                    )
                )
                if failed(code) { return }
            }
        }
    }

    func advance(_ state: ChannelState) {
        if case .starting(let handle) = state.stage { start(state, handle) }
        if let handle = state.open {
            sendWrites(state, handle)
            deliver(state)
            if state.exit == nil, library.isClosed(handle) {
                let exit = library.exit(handle)
                state.exit = exit
                for promise in state.exits { promise.succeed(exit) }
                state.exits = []
                let over = SSHError(.channelClosed, "The command on the server has ended.")
                for write in state.writes { write.accepted.fail(over) }
                state.writes.removeAll()
                state.ended?.fail(over)
                state.ended = nil
                state.hasSentEnd = true
            }
            if state.exit != nil, library.isAtEnd(handle) { state.stage = .closing(handle) }
        }
        if case .closing(let handle) = state.stage {
            switch library.free(handle) {
            case .again: break
            case .done, .failed:
                state.stage = .closed
                state.deadline?.cancel()
                for promise in state.closers { promise.succeed() }
                state.closers = []
                state.reader?.succeed(nil)
                state.reader = nil
            }
        }
    }

    func start(_ state: ChannelState, _ handle: OpaquePointer) {
        switch library.exec(handle, state.command) {
        case .done:
            state.stage = .running(handle)
            state.deadline?.cancel()
            state.started?.succeed()
            state.started = nil
        case .again:
            if state.isEager, let started = state.started {
                started.succeed()
                state.started = nil
            }
        case .failed(let code):
            let error = SSHError(.execRefused, "The SSH server does not run the command (\(library.lastMessage)).")
            state.fail(error)
            state.stage = .closing(handle)
            state.reader?.fail(error)
            state.reader = nil
            _ = failed(code)
        }
    }

    func sendWrites(_ state: ChannelState, _ handle: OpaquePointer) {
        while state.writes.first?.bytes.readableBytes == 0 { state.writes.removeFirst().accepted.succeed() }
        if !state.writes.isEmpty {
            guard mayWrite else {
                // After the flush there may be room at once; where not, the channel tells when there is.
                if pipe.outbound.readableBytes > 0 { mustDriveAgain = true }
                return
            }
            let head = state.writes.startIndex
            let (count, outcome) = state.writes[head].bytes.withUnsafeReadableBytes { library.write(handle, $0) }
            if case .failed(let code) = outcome {
                if failed(code) { return }
                let error = SSHError(.channelClosed, "The command takes no more input.")
                for write in state.writes { write.accepted.fail(error) }
                state.writes.removeAll()
            }
            guard count > 0 else { return }
            // One packet a channel and turn, so that no channel starves another.
            state.writes[head].bytes.moveReaderIndex(forwardBy: count)
            if state.writes[head].bytes.readableBytes == 0 { state.writes.removeFirst().accepted.succeed() }
            if !state.writes.isEmpty { mustDriveAgain = true }
        }
        if state.writes.isEmpty, let ended = state.ended, !state.hasSentEnd {
            switch library.sendEnd(handle) {
            case .again: return
            case .done:
                state.hasSentEnd = true
                state.ended = nil
                ended.succeed()
            case .failed(let code):
                state.ended = nil
                ended.fail(SSHError(.channelClosed, "The command takes no more input."))
                _ = failed(code)
            }
        }
    }

    /// Gives the reader what has come, then the end or the failure.
    func deliver(_ state: ChannelState) {
        guard let reader = state.reader else { return }
        guard let handle = state.open else {
            if state.exit != nil {
                state.reader = nil
                reader.succeed(nil)
            } else if let failure = state.failure {
                state.reader = nil
                reader.fail(failure)
            }
            return
        }
        for (stream, wrap) in [(0, SSHRead.stdout), (LibSSH2.standardError, SSHRead.stderr)] {
            let (bytes, outcome) = library.read(handle, stream: stream)
            if !bytes.isEmpty {
                state.reader = nil
                return reader.succeed(wrap(ByteBuffer(bytes: bytes)))
            }
            if case .failed(let code) = outcome, case .ready = phase, failed(code) { break }
        }
        if library.isAtEnd(handle) {
            state.reader = nil
            reader.succeed(nil)
        } else if let failure = state.failure {
            state.reader = nil
            reader.fail(failure)
        }
    }

    func setDeadline(of state: ChannelState, _ amount: TimeAmount, _ step: String) {
        state.deadline?.cancel()
        state.deadline = loop.assumeIsolated().scheduleTask(in: amount) { [weak self] in
            let error = SSHError(.timedOut, "\(step) took longer than \(amount.text).".capitalisedFirst)
            state.fail(error)
            state.reader?.fail(error)
            state.reader = nil
            if let handle = state.open {
                state.stage = .closing(handle)
                self?.drive()
            }
        }
    }
}
