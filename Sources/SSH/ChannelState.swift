import NIOCore

/// One channel as the session's event loop sees it: its place in life and who waits for what.
final class ChannelState {
    enum Stage {
        /// Waiting for its turn to be opened.
        case queued
        /// The server has been asked to open it.
        case opening
        /// Open; the command has not been accepted yet. Data may already flow.
        case starting(OpaquePointer)
        case running(OpaquePointer)
        /// The caller has closed it; the server has not answered yet.
        case closing(OpaquePointer)
        /// Freed.
        case closed
    }

    struct Write {
        var bytes: ByteBuffer
        var accepted: EventLoopPromise<Void>
    }

    var stage = Stage.queued
    let command: [UInt8]
    /// True where `exec` returns once the command is under way, before the server has accepted it.
    let isEager: Bool
    /// Kept until the command was accepted or refused.
    var started: EventLoopPromise<Void>?
    var deadline: Scheduled<Void>?
    var reader: EventLoopPromise<SSHRead?>?
    var writes = CircularBuffer<Write>()
    var ended: EventLoopPromise<Void>?
    var hasSentEnd = false
    var exits: [EventLoopPromise<SSHExit>] = []
    var exit: SSHExit?
    var closers: [EventLoopPromise<Void>] = []
    /// Why nothing more comes; a read finds it after the data that came before.
    var failure: SSHError?

    init(command: [UInt8], isEager: Bool) {
        self.command = command
        self.isEager = isEager
    }

    /// The handle while data may flow.
    var open: OpaquePointer? {
        switch stage {
        case .starting(let handle), .running(let handle): handle
        case .queued, .opening, .closing, .closed: nil
        }
    }

    var handle: OpaquePointer? {
        if case .closing(let handle) = stage { handle } else { open }
    }

    /// Answers all who wait, reads excepted, as their data may have come.
    func fail(_ error: SSHError) {
        failure = failure ?? error
        deadline?.cancel()
        started?.fail(error)
        started = nil
        for write in writes { write.accepted.fail(error) }
        writes.removeAll()
        ended?.fail(error)
        ended = nil
        for promise in exits {
            if let exit { promise.succeed(exit) } else { promise.fail(error) }
        }
        exits = []
        for promise in closers { promise.succeed() }
        closers = []
    }
}
