/// The process that outlives connections: it holds the state and the replay log for all of a user's sessions.

import Calls
import Glibc
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Transmission

/// Started by the first `serve` that finds none; ends itself after a while without connections. It is in a session of its
/// own, so that the end of an SSH connection does not end it.
final class Resident: Sendable {
    /// A lost link may be away for so long and still miss nothing; no longer, since the host may be shared.
    static let idle = Duration.seconds(15 * 60)
    /// A relay says its line at once.
    static let greetingDeadline = Duration.seconds(10)
    /// Connections that may wait to be greeted.
    static let backlog = 64

    private struct State {
        var connections = 0
        var idleSince = ContinuousClock.now
        var isRetired = false
    }

    private let core: AgentCore
    private let directory: StateDirectory
    private let identity: String
    private let idle: Duration
    private let state = Mutex(State())
    private let bell = Wakeup()

    init(core: AgentCore, directory: StateDirectory, identity: String, idle: Duration = Resident.idle) {
        self.core = core
        self.directory = directory
        self.identity = identity
        self.idle = idle
    }

    /// Returns when it was idle for long enough, or is retired and idle. `ready` is called once connections are taken.
    func run(ready: () -> Void) async throws {
        // Held for life; the kernel lets go of it however this process ends.
        let lock = open(directory.residentLock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { return }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            core.logger.info("another resident agent runs already")
            return
        }
        unlink(directory.socket)
        let (arrivals, arrived) = AsyncStream.makeStream(
            of: ChannelByteStream.self,
            bufferingPolicy: .bufferingOldest(Self.backlog)
        )
        let server = try await ServerBootstrap(group: core.group)
            .childChannelInitializer { channel in
                ChannelByteStream.install(on: channel).flatMapThrowing { stream in
                    try channel.pipeline.syncOperations.addHandler(Arrival(stream, arrived))
                }
            }
            .bind(unixDomainSocketPath: directory.socket)
            .get()
        core.logger.info("resident agent started")
        ready()
        await withTaskGroup(of: Void.self) { services in
            services.addTask { await self.core.run() }
            services.addTask {
                await withDiscardingTaskGroup { connections in
                    for await stream in arrivals {
                        connections.addTask { await self.welcome(stream) }
                    }
                }
            }
            await self.untilOver {
                // Whoever comes next finds no socket and no lock, and starts the successor.
                unlink(self.directory.socket)
                close(lock)
                try? await server.close()
                arrived.finish()
            }
            services.cancelAll()
        }
        core.logger.info("resident agent ended")
    }

    /// Calls `leave` once no further connection is wanted, and returns once there is none.
    private func untilOver(_ leave: () async -> Void) async {
        var hasLeft = false
        while !Task.isCancelled {
            let now = ContinuousClock.now
            let (isRetired, connections, rest) = state.withLock { state in
                (state.isRetired, state.connections, idle - (now - state.idleSince))
            }
            let isIdle = connections == 0 && rest <= .zero
            if !hasLeft, isRetired || isIdle {
                hasLeft = true
                await leave()
            }
            if hasLeft, state.withLock({ $0.connections == 0 }) { return }
            await bell.wait(upTo: connections == 0 && !hasLeft ? max(rest, .milliseconds(1)) : nil)
        }
    }

    private func welcome(_ stream: ChannelByteStream) async {
        state.withLock { $0.connections += 1 }
        defer {
            state.withLock { state in
                state.connections -= 1
                state.idleSince = .now
            }
            bell.ring()
        }
        switch ResidentIdentity.read(await greeting(stream), own: identity) {
        case .garbage: break
        case .retire:
            try? await stream.write(ByteBuffer(string: "retired\n"))
            state.withLock { $0.isRetired = true }
            bell.ring()
        case .serve(let role):
            guard (try? await stream.write(ByteBuffer(string: "ok\n"))) != nil else { break }
            await core.serve(stream, as: role)
        }
        await stream.close()
    }

    /// The line before the newline; whatever is not one in time is garbage.
    private func greeting(_ stream: ChannelByteStream) async -> String {
        // Unstructured: it closes a stream whose reader would otherwise wait for ever.
        let timer = Task {
            guard (try? await Task.sleep(for: Self.greetingDeadline)) != nil else { return }
            await stream.close()
        }
        defer { timer.cancel() }
        var line = ""
        while let bytes = try? await stream.read() {
            line += String(buffer: bytes)
            guard line.utf8.count <= ResidentIdentity.longestLine else { return "" }
            // The relay says nothing more before it has its answer.
            if line.hasSuffix("\n") { return String(line.dropLast()) }
        }
        return ""
    }
}

/// Hands a connection on once it is active: what is read from an accepted channel before that is never read.
private final class Arrival: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let stream: ChannelByteStream
    private let arrived: AsyncStream<ChannelByteStream>.Continuation

    init(_ stream: ChannelByteStream, _ arrived: AsyncStream<ChannelByteStream>.Continuation) {
        self.stream = stream
        self.arrived = arrived
    }

    func channelActive(context: ChannelHandlerContext) {
        if case .enqueued = arrived.yield(stream) {} else { context.close(promise: nil) }
        context.fireChannelActive()
    }
}
