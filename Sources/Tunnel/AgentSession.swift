/// A session with an agent: the calls to it and the SSH connection below them, which live and end together.
package import Calls
import NIOCore
import SSH
package import Seedbox
import Synchronization
package import Wire

package final class AgentSession: Sendable {
    package let connection: CallConnection
    let channel: SSHChannel
    let stream: SSHByteStream
    private let ssh: SSHConnection
    private let state = Mutex(State())

    private struct State {
        var hello: Hello?
        var running: Task<DialFailure?, Never>?
    }

    /// Of a channel on which the forced command has been asked for.
    init(_ channel: SSHChannel, ssh: SSHConnection, hello: Hello) {
        self.channel = channel
        self.ssh = ssh
        stream = SSHByteStream(channel)
        connection = CallConnection(stream: stream, hello: hello, side: .caller)
    }

    /// What the agent said of itself, once it has greeted.
    package internal(set) var hello: Hello? {
        get { state.withLock(\.hello) }
        set { state.withLock { $0.hello = newValue } }
    }

    /// Drives the calls from the greeting on. A task of its own: the greeting and the link's life both need it running,
    /// and `end()` ends it.
    func start() {
        let (connection, ssh) = (connection, ssh)
        let task = Task<DialFailure?, Never> {
            do {
                try await connection.run()
                return await Self.loss(ssh)
            } catch let problem as Problem {
                return DialFailure(problem, at: .greeting)
            } catch let error as CallsError {
                // The reason below is the better one: the channel only saw its end.
                if let loss = await Self.loss(ssh) { return loss }
                guard error.code == .lost else { return DialFailure(error, at: .greeting) }
                return Self.agentEnded
            } catch {
                return DialFailure(
                    Problem(.connectionLost, "The connection to the agent was lost."),
                    .newCircuit,
                    at: .handshake
                )
            }
        }
        state.withLock { $0.running = task }
    }

    /// The channel ended and the SSH connection did not: so did the program at its other end.
    static let agentEnded = DialFailure(
        Problem(
            .connectionLost,
            "The agent on the VPS ended without a word: it was killed or has crashed. It is started again by itself; "
                + "if that goes on, look into the journal there."
        ),
        .newCircuit,
        at: .greeting
    )

    /// Why the SSH connection ended, where it has.
    private static func loss(_ ssh: SSHConnection) async -> DialFailure? {
        // Not the future's own wait, which no cancellation ends.
        let (ends, post) = AsyncStream<SSHError>.makeStream()
        ssh.closed.whenSuccess { post.yield($0) }
        let ended = try? await within(.milliseconds(200), orThrow: CancellationError()) {
            for await end in ends { return end }
            throw CancellationError()
        }
        guard let ended, ended.code != .closed, ended.code != .channelClosed else { return nil }
        return DialFailure(Problem(.connectionLost, ended.message), .newCircuit, at: .handshake)
    }

    /// Waits for the end; the reason and the stage that it befell, where it is not our own doing.
    func ended() async -> DialFailure? {
        guard let running = state.withLock(\.running) else { return nil }
        return await running.value
    }

    /// Bytes that the SSH connection has carried, both ways.
    var carried: UInt64 { get async { await ssh.carried } }

    /// Pings until it is cancelled; a circuit that has died in silence ends the connection and what runs on it.
    package func keepAlive(_ timing: LinkTiming) async {
        var smoothed: Duration?
        while (try? await Task.sleep(for: timing.pingEvery)) != nil {
            let limit = timing.dead(after: smoothed)
            let silent = Problem(
                .connectionLost,
                "The seedbox has not answered for \(limit.components.seconds) s: the circuit is dead. Try again."
            )
            do {
                let new = try await within(limit, orThrow: silent) { [connection] in try await connection.ping() }
                smoothed = LinkTiming.smoothed(smoothed, new)
            } catch let problem as Problem where problem == silent {
                return await connection.close(problem)
            } catch {
                return
            }
        }
    }

    /// Whoever was given the connection just before it was replaced makes his call within this time.
    private static let lastCalls = Duration.seconds(2)

    /// Lets the calls under way end, and then ends.
    func retire(_ timing: LinkTiming) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [connection] in
                guard (try? await Task.sleep(for: Self.lastCalls)) != nil else { return }
                try? await connection.idle()
            }
            group.addTask { await self.keepAlive(timing) }
            group.addTask { [ssh] in
                while await ssh.carried < 2 * timing.recycleAfter {
                    guard (try? await Task.sleep(for: timing.pingEvery)) != nil else { return }
                }
            }
            await group.next()
            group.cancelAll()
        }
        await end(Self.worn)
    }

    private static let worn = Problem(
        .connectionLost,
        "This was under way on a session that has carried as much as one may (see `recycle-after`), and that has ended."
    )

    /// Ends everything; returns when the descriptor is closed. Calls that are under way fail with `problem`.
    package func end(_ problem: Problem? = nil) async {
        await connection.close(problem, goodbye: false)
        await ssh.close()
        state.withLock(\.running)?.cancel()
    }
}
