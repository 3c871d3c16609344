import NIOCore

/// The life of one connection on its event loop: handshake, login, channels, end.
///
/// Whatever happens ends in `drive()`, which lets libssh2 go as far as the bytes here allow. libssh2 keeps no thread and
/// no timer, so deadlines and the watchdog are timers of the loop.
final class Session {
    enum Phase {
        case handshaking(EventLoopPromise<Void>)
        case loggingIn(EventLoopPromise<Void>)
        case ready
        case failed(SSHError)
    }

    /// More bytes than any handshake and login take; a peer that sends more before is not a server of ours.
    private static let greetingLimit: UInt64 = 256 << 10
    /// Bytes before the line `SSH-2.0-…`; OpenSSH sends at most one line there.
    static let bannerLimit = 4_096
    /// Bytes that wait here for a session without channels, on which nobody can make libssh2 read them.
    private static let idleLimit = 1 << 20
    /// What one `drive()` hands to the channel before it flushes.
    private static let flushSize = 128 << 10
    /// Channels waiting to be opened.
    static let queueLimit = 1_024

    let configuration: SSHConfiguration
    let loop: any EventLoop
    let pipe: Pipe
    let library: LibSSH2
    private let progress: @Sendable (SSHProgress) -> Void
    /// The pipeline's end; nil once it is gone.
    var context: ChannelHandlerContext?
    var phase: Phase
    var banner: [UInt8]? = []
    var queue = CircularBuffer<ChannelState>()
    var opening: ChannelState?
    var channels: [ChannelState] = []
    var deadline: Scheduled<Void>?
    var watchdog: Scheduled<Void>?
    private var isDriving = false
    var mustDriveAgain = false
    let closed: EventLoopPromise<SSHError>

    init(
        _ configuration: SSHConfiguration,
        on channel: any Channel,
        ready: EventLoopPromise<Void>,
        progress: @escaping @Sendable (SSHProgress) -> Void
    ) throws(SSHError) {
        self.configuration = configuration
        self.progress = progress
        loop = channel.eventLoop
        pipe = Pipe(channel.allocator, ahead: configuration.isIdentified ? SSHConfiguration.identification : [])
        library = try LibSSH2(pipe: pipe, compression: configuration.compression)
        phase = .handshaking(ready)
        closed = loop.makePromise()
    }

    // MARK: What the pipeline says

    func begin(_ context: ChannelHandlerContext) {
        self.context = context
        setDeadline(configuration.deadlines.banner, "the SSH server's greeting")
        drive()
    }

    func received(_ bytes: inout ByteBuffer) {
        if banner != nil { inspectBanner(bytes) }
        pipe.arrived(&bytes)
        if case .ready = phase, channels.isEmpty, opening == nil, pipe.inbound.readableBytes > Self.idleLimit {
            fail(SSHError(.handshakeFailed, "The SSH server sends data that nobody asked for. The link is closed."))
        }
    }

    func lost(_ reason: (any Error)?) {
        drive()
        fail(lossError(reason))
    }

    func detached() {
        context = nil
        fail(SSHError(.closed, "The connection is closed."))
    }

    /// Says goodbye and closes what is below.
    func close() {
        if case .failed = phase { return }
        fail(SSHError(.closed, "The connection is closed."))
    }

    // MARK: Driving

    func drive() {
        guard !isDriving else {
            mustDriveAgain = true
            return
        }
        isDriving = true
        repeat {
            mustDriveAgain = false
            step()
            flush()
        } while mustDriveAgain
        isDriving = false
        watch()
    }

    private func step() {
        switch phase {
        case .handshaking(let ready):
            switch library.handshake() {
            case .done: checkHostKey(ready)
            case .again:
                if pipe.moved > Self.greetingLimit { fail(notSSH("It sends more than a greeting.")) }
            case .failed: fail(handshakeError)
            }
        case .loggingIn(let ready):
            switch library.login(user: configuration.user, key: configuration.key) {
            case .done:
                deadline?.cancel()
                phase = .ready
                progress(.loggedIn)
                ready.succeed()
            case .again:
                if pipe.moved > Self.greetingLimit { fail(notSSH("It sends more than a login takes.")) }
            case .failed(let code): fail(loginError(code))
            }
        case .ready: stepChannels()
        case .failed: for state in channels { deliver(state) }
        }
    }

    private func flush() {
        guard let bytes = pipe.takeOutbound(), let context else { return }
        context.writeAndFlush(NIOAny(bytes), promise: nil)
    }

    var mayWrite: Bool {
        context?.channel.isWritable == true && pipe.outbound.readableBytes < Self.flushSize
    }

    private func checkHostKey(_ ready: EventLoopPromise<Void>) {
        let blob = library.hostKey
        guard let key = HostKey(blob: blob) else { return fail(handshakeError) }
        switch configuration.hostKey {
        case .pinned(let keys):
            guard keys.contains(key) else {
                return fail(
                    SSHError(
                        .hostKeyMismatch,
                        "The server's host key is \(key.fingerprint), which is not the pinned one "
                            + "(\(keys.map(\.fingerprint).joined(separator: ", "))). Either the server was set up anew "
                            + "or somebody else answers; nothing was sent to it. Compare with what "
                            + "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the seedbox."
                    )
                )
            }
        case .acceptNew(let report): report(key)
        }
        progress(.handshaken(key))
        phase = .loggingIn(ready)
        setDeadline(configuration.deadlines.login, "the SSH login")
        mustDriveAgain = true
    }

    // MARK: The end

    /// The one way to the end: everyone who waits is told, and what is below is closed.
    func fail(_ error: SSHError) {
        let before = phase
        if case .failed = before { return }
        phase = .failed(error)
        deadline?.cancel()
        watchdog?.cancel()
        switch before {
        case .handshaking(let ready), .loggingIn(let ready): ready.fail(error)
        case .ready, .failed: break
        }
        if error.code == .closed || error.code == .hostKeyMismatch { library.disconnect() }
        for state in queue { state.fail(error) }
        queue.removeAll()
        opening?.fail(error)
        opening = nil
        for state in channels {
            state.fail(error)
            deliver(state)
        }
        closed.succeed(error)
        closeBelow()
    }

    private func closeBelow() {
        guard let context else { return }
        let channel = context.channel
        guard let goodbye = pipe.takeOutbound() else { return channel.close(promise: nil) }
        channel.writeAndFlush(goodbye).whenComplete { _ in channel.close(promise: nil) }
        loop.scheduleTask(in: configuration.deadlines.close) { channel.close(promise: nil) }
    }

    func setDeadline(_ amount: TimeAmount, _ step: String) {
        deadline?.cancel()
        deadline = loop.assumeIsolated().scheduleTask(in: amount) { [weak self] in
            guard let self else { return }
            let heard = self.banner != nil ? " Nothing that speaks SSH has answered." : ""
            self.fail(SSHError(.timedOut, "\(step) took longer than \(amount.text).\(heard)".capitalisedFirst))
        }
    }

    /// Data wait, the server has room and the line is free, but nothing moves: a key exchange that never ends.
    private var isStuck: Bool {
        guard case .ready = phase, context?.channel.isWritable == true else { return false }
        return channels.contains { state in
            guard let handle = state.open, !state.writes.isEmpty else { return false }
            return library.window(handle) > 0
        }
    }

    private func watch() {
        guard watchdog == nil, isStuck else { return }
        let moved = pipe.moved
        let limit = configuration.deadlines.stall
        watchdog = loop.assumeIsolated().scheduleTask(in: limit) { [weak self] in
            guard let self else { return }
            self.watchdog = nil
            if self.isStuck, self.pipe.moved == moved {
                self.fail(
                    SSHError(
                        .stalled,
                        "The SSH connection has not moved for \(limit.text) though it should; it is dropped."
                    )
                )
            } else {
                self.watch()
            }
        }
    }
}
