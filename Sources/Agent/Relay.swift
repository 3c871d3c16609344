/// Carries one session between sshd and the resident agent, which it starts where there is none.

import Calls
import Glibc
import Logging
import NIOCore
import NIOPosix

struct Relay {
    /// What the resident's answer may take, and its start.
    static let answerDeadline = Duration.seconds(5)
    static let startMilliseconds: Int32 = 5000
    /// Attempts: a resident that retires is one, a start that another relay was quicker at is another.
    static let attempts = 4

    let directory: StateDirectory
    let identity: String
    let role: Role
    let configuration: String?
    let group: any EventLoopGroup
    let logger: Logger

    /// A stream to a resident that took this session; nil where there is none to be had, for whatever reason.
    func connect() async -> (stream: ChannelByteStream, first: ByteBuffer)? {
        // The kernel's limit for the path of a socket.
        guard directory.socket.utf8.count < 104 else { return nil }
        for attempt in 0..<Self.attempts {
            if let stream = await open() {
                switch await greet(stream) {
                case .taken(let first): return (stream, first)
                case .retired, .silent: await stream.close()
                }
            }
            if attempt < Self.attempts - 1, !start() {
                // Another relay's resident is on its way up.
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        return nil
    }

    /// Until either side ends.
    static func run(_ outside: ChannelByteStream, _ inside: ChannelByteStream, first: ByteBuffer) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await copy(from: outside, to: inside)
            }
            group.addTask {
                if first.readableBytes > 0 { try? await outside.write(first) }
                await copy(from: inside, to: outside)
            }
            await group.next()
            // What one side said last has been written; nothing more can come of the other.
            await inside.close()
            await outside.close()
            group.cancelAll()
        }
    }

    private static func copy(from source: ChannelByteStream, to sink: ChannelByteStream) async {
        do {
            while let bytes = try await source.read() { try await sink.write(bytes) }
        } catch {
            // Either end is gone, and with it the session.
        }
    }

    private func open() async -> ChannelByteStream? {
        let loop = group.next()
        let promise = loop.makePromise(of: ChannelByteStream.self)
        do {
            _ = try await ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    let stream = ChannelByteStream.install(on: channel)
                    stream.cascade(to: promise)
                    return stream.map { _ in }
                }
                .connect(unixDomainSocketPath: directory.socket)
                .get()
            return try await promise.futureResult.get()
        } catch {
            promise.fail(error)
            return nil
        }
    }

    private enum Answer {
        case taken(ByteBuffer)
        case retired
        case silent
    }

    private func greet(_ stream: ChannelByteStream) async -> Answer {
        let timer = Task {
            guard (try? await Task.sleep(for: Self.answerDeadline)) != nil else { return }
            await stream.close()
        }
        defer { timer.cancel() }
        do {
            try await stream.write(ByteBuffer(string: ResidentIdentity.line(identity, role)))
            var answer = ByteBuffer()
            while var bytes = try await stream.read() {
                answer.writeBuffer(&bytes)
                if answer.readableBytesView.starts(with: "ok\n".utf8) {
                    answer.moveReaderIndex(forwardBy: 3)
                    return .taken(answer)
                }
                if answer.readableBytesView.starts(with: "retired\n".utf8) { return .retired }
                if answer.readableBytes > 16 { return .silent }
            }
        } catch {
            // As good as silent.
        }
        return .silent
    }

    /// Starts a resident and waits until it takes connections; false where it did not come up.
    private func start() -> Bool {
        var arguments = ["farseed-agent", "resident"]
        if let configuration { arguments += ["--config", configuration] }
        do {
            return try DetachedProcess.start(
                "/proc/self/exe",
                arguments: arguments,
                log: directory.path + "/agent.log",
                readyWithin: Self.startMilliseconds
            )
        } catch {
            logger.warning("resident agent cannot be started", metadata: ["resident.reason": "\(error.message)"])
            return false
        }
    }
}
