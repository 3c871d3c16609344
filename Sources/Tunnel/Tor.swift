/// Tor as all links of a controller share it: a given SOCKS port, or an own child process.
import Calls
package import Logging
package import NIOCore
import Seedbox
import ServiceLifecycle
import Synchronization

package final class Tor: Service {
    package enum Source: Sendable {
        /// A tor that runs anyway. Without a control port nothing is known of it but what SOCKS answers.
        case given(socks: TorAddress, control: TorAddress?, credential: ControlPort.Credential)
        /// A tor of our own, which ends with us.
        case own(TorChild)
        /// The one that another process runs in the child's directory, and where none does, a child of our own.
        case shared(TorChild)
    }

    /// Where to connect to.
    package let socks: TorAddress
    private let source: Source
    let group: any EventLoopGroup
    private let logger: Logger
    private let state: Mutex<State>

    private struct State {
        var status: Status
        var listeners: [Int: AsyncStream<Status>.Continuation] = [:]
        var lastListener = 0
        /// The version that the log has a warning of.
        var versionTold: String?
    }

    package init(_ source: Source, group: any EventLoopGroup, logger: Logger) {
        self.source = source
        self.group = group
        self.logger = logger
        switch source {
        case .given(let socks, _, _):
            self.socks = socks
            state = Mutex(State(status: Status()))
        case .own(let child), .shared(let child):
            socks = child.socks
            state = Mutex(State(status: Status(isStarting: true)))
        }
    }

    package var status: Status { state.withLock(\.status) }

    /// The status now, and whenever it changes; a slow listener gets the newest.
    package func statuses() -> AsyncStream<Status> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let number = state.withLock { state in
                state.lastListener += 1
                state.listeners[state.lastListener] = continuation
                continuation.yield(state.status)
                return state.lastListener
            }
            continuation.onTermination = { [weak self] _ in
                _ = self?.state.withLock { $0.listeners.removeValue(forKey: number) }
            }
        }
    }

    /// True where there is a control port to ask.
    package var isAskable: Bool {
        if case .given(_, nil, _) = source { false } else { true }
    }

    /// Returns once tor can be used, an own one has failed, it has told why it cannot go on and has stood still for
    /// `stillness`, or `patience` is over.
    package func usable(within patience: Duration, stillness: Duration = Standstill.usual) async {
        let began = ContinuousClock.now
        var standstill = Standstill(stillness)
        while !Task.isCancelled {
            let (status, time) = (status, ContinuousClock.now - began)
            let left = min(patience - time, standstill.remaining(status, at: time))
            if status.isUsable || status.hasFailed || left <= .zero { return }
            await self.status(within: left) { $0 != status }
        }
    }

    /// Returns once tor has told of itself or why it does not, or `patience` is over.
    package func told(within patience: Duration) async {
        guard isAskable else { return }
        await status(within: patience) { $0.news != nil || $0.hasFailed || !$0.isStarting && $0.problem != nil }
    }

    /// Returns once `isReached` holds, or `patience` is over.
    package func status(within patience: Duration, _ isReached: @escaping @Sendable (Status) -> Bool) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await status in self.statuses() where isReached(status) { return }
            }
            group.addTask { try? await Task.sleep(for: patience) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Has tor forget its circuits and what it knows of onion services, where there is a control port to say so.
    ///
    /// Tor keeps a descriptor, the introduction points in it and the first relays of its circuits for hours, also when a
    /// relay among them has died for good.
    package func forget() async {
        let port: ControlPort
        switch source {
        case .given(_, nil, _): return
        case .given(_, let control?, let credential): port = ControlPort(control, credential: credential, group: group)
        case .own(let child), .shared(let child): port = ControlPort(child.control, group: group)
        }
        do {
            try await within(.seconds(10), orThrow: CancellationError()) { try await port.signal("NEWNYM") }
        } catch {
            // Tor is restarting, or allows no more than one such wish in 10 s: the way is tried as it is.
            logger.debug("Tor was not told to forget its circuits")
        }
    }

    /// Keeps asking, and keeps an own tor running, until cancelled or shut down.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            switch source {
            case .given(_, nil, _): try? await gracefulShutdown()
            case .given(_, let control?, let credential): await keep { try await follow(control, credential) }
            case .own(let child): await keep { try await run(child) }
            case .shared(let child): await keep { try await share(child) }
            }
        }
    }

    private func follow(_ control: TorAddress, _ credential: ControlPort.Credential) async throws {
        defer { change { $0.news = nil } }
        try await ControlPort(control, credential: credential, group: group).follow { news in
            change { $0 = Status(news: news) }
        }
    }

    private func run(_ child: TorChild) async throws {
        let version = try await child.version()
        change { $0.programVersion = version }
        defer { change { $0 = Status(problem: $0.problem, isStarting: true, programVersion: version) } }
        try await child.run(group: group, logger: logger) { news in
            change { $0 = Status(news: news, programVersion: version) }
        }
    }

    private func share(_ child: TorChild) async throws {
        do {
            try await run(child)
        } catch let problem as Problem where problem == TorChild.taken {
            // Until its port is open it is a tor that has not started.
            defer { change { $0 = Status(problem: $0.problem, isStarting: true) } }
            try await ControlPort(child.control, group: group).follow { news in change { $0 = Status(news: news) } }
        }
    }

    /// Runs `body` again and again with growing pauses.
    private func keep(_ body: () async throws -> Void) async {
        var pauses = TorPauses()
        while !Task.isCancelled {
            let began = ContinuousClock.now
            do {
                try await body()
            } catch is CancellationError {
                return
            } catch {
                let problem = error as? Problem
                change { $0.problem = problem ?? $0.problem }
                logger.debug("Tor cannot be followed", metadata: ["tor.problem": "\(problem?.code.rawValue ?? "io")"])
            }
            try? await Task.sleep(for: pauses.next(afterRunning: ContinuousClock.now - began))
        }
    }

    private func change(_ body: (inout Status) -> Void) {
        state.withLock { state in
            let before = state.status
            body(&state.status)
            guard state.status != before else { return }
            if let version = state.status.version, version != state.versionTold, !TorVersion.isRecent(version) {
                state.versionTold = version
                logger.warning(
                    "This tor is older than \(TorVersion.wanted), which has fixes for long-lived streams; update it",
                    metadata: ["tor.version": "\(version)"]
                )
            }
            for listener in state.listeners.values { listener.yield(state.status) }
        }
    }
}
