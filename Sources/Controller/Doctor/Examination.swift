/// The walk to a seedbox: tor, every hop to the agent, then the agent, Transmission and the disk.
import Calls
import Notation
import Seedbox
import Synchronization
import Tunnel

enum Examination {
    private static let patience = Duration.seconds(60)
    /// For an own tor to start, or a given one's control port to answer.
    private static let starting = Duration.seconds(30)
    /// For tor to say where the relays of a circuit stand.
    private static let placing = Duration.seconds(2)

    /// Enters what is found into `report`; throws the `Problem` of the first hop that fails. `tor` may have begun just now.
    ///
    /// - Parameter told: what is waited for, in a few words.
    static func walk(
        _ report: inout DoctorReport,
        by tor: CommandTor,
        to box: Configuration.Box,
        of configuration: Configuration,
        told: @escaping @Sendable (String) -> Void
    ) async throws {
        defer { report.warnings = tor.tor.status.warnings }
        do {
            told("Tor…")
            try await examine(tor.tor, &report, told)
            let watch = WayWatch()
            report.began(.descriptor)
            told("A session with the agent…")
            let session = try await goTheWay(by: tor, to: box, of: configuration, watch, &report)
            do {
                told("The agent…")
                try await examine(session.connection, &report)
                if let isolation = watch.trace.isolation {
                    await tor.tor.status(within: placing) { $0.news?.isPlaced(isolation) ?? true }
                    let relays = tor.tor.status.news?.paths[isolation] ?? []
                    report.detail(relays.map { visible($0.description) }.joined(separator: " → "), of: .tcp)
                }
                await session.end()
            } catch {
                await session.end()
                throw error
            }
        } catch {
            if let problem = Failure.problem(error) { report.failed(problem) }
            throw error
        }
    }

    /// Tor: its version, its SOCKS port and its bootstrap.
    private static func examine(
        _ tor: Tor,
        _ report: inout DoctorReport,
        _ told: @escaping @Sendable (String) -> Void
    ) async throws {
        var since = ContinuousClock.now
        func lap() -> Duration {
            defer { since = .now }
            return ContinuousClock.now - since
        }
        report.began(.tor)
        await tor.told(within: starting)
        if tor.status.isStarting {
            throw tor.status.problem
                ?? Problem(.torFailed, "Tor did not open its control port in time. Look into its log, or try again.")
        }
        if let version = tor.status.version {
            let isRecent = TorVersion.isRecent(version)
            let detail = version + (isRecent ? "" : ", older than \(TorVersion.wanted): update it")
            report.passed(.tor, visible(detail), took: lap())
        } else if tor.isAskable {
            report.untold(.tor, "its control port does not tell its version", took: lap())
        } else {
            report.untold(.tor, "without `control` in the configuration its version is not told")
        }
        report.began(.socks)
        since = .now
        try await tor.probe()
        report.passed(.socks, visible(tor.socks.description), took: lap())
        report.began(.bootstrap)
        guard tor.status.news != nil else {
            return report.untold(.bootstrap, "not told without a control port")
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await status in tor.statuses() {
                    guard let news = status.news else { continue }
                    told("Tor's bootstrap: \(news.bootstrap) %, \(visible(news.phase, atMost: 60))…")
                }
            }
            await tor.usable(within: CommandTor.bootstrapping)
            group.cancelAll()
        }
        let status = tor.status
        guard status.isUsable else {
            throw status.problem ?? status.bootstrapProblem
                ?? Problem(
                    .torNotReady,
                    "Tor is still bootstrapping (\(status.news?.bootstrap ?? 0) %). Wait for it, or look into its log."
                )
        }
        report.passed(.bootstrap, status.news.map { "\($0.bootstrap) %" } ?? "", took: lap())
    }

    /// Opens a session whose agent has greeted, and enters the hops that it has crossed.
    private static func goTheWay(
        by tor: CommandTor,
        to box: Configuration.Box,
        of configuration: Configuration,
        _ watch: WayWatch,
        _ report: inout DoctorReport
    ) async throws -> OwnSession {
        let isAsked = tor.tor.status.news != nil
        // Not in a group, which would have to own the session, too; it ends below in any case.
        let descriptors = Task { [tor = tor.tor] in
            for await status in tor.statuses() { watch.note { $0.heard(of: status.news?.descriptors ?? [:], at: $1) } }
        }
        defer { descriptors.cancel() }
        do {
            let session = try await tor.open(
                box,
                of: configuration,
                progress: { event in watch.note { $0.heard(event, at: $1) } },
                failed: { failure in watch.note { $0.greeted(failure, at: $1) } }
            )
            do {
                try await session.greeted()
            } catch {
                await session.end()
                throw error
            }
            watch.note { $0.greeted(at: $1) }
            report.walked(watch.trace, isAsked: isAsked)
            return session
        } catch {
            report.walked(watch.trace, isAsked: isAsked)
            throw error
        }
    }

    /// The agent, what it may do, Transmission and the disk.
    private static func examine(_ agent: CallConnection, _ report: inout DoctorReport) async throws {
        let overdue = Problem(.timedOut, "The agent greeted, but does not answer. Look at its log on the seedbox.")
        report.began(.agent)
        let roundTrip = try await within(patience, orThrow: overdue) { try await agent.ping() }
        var since = ContinuousClock.now
        let status = try await within(patience, orThrow: overdue) { try await agent.call("status") }
        let software = visible(status["software"]?.string ?? "?", atMost: 80)
        let role = visible(status["role"]?.string ?? "?", atMost: 20)
        report.passed(
            .agent,
            "\(software), role \(role), round trip \(DoctorReport.milliseconds(roundTrip)) ms",
            took: ContinuousClock.now - since
        )
        report.began(.transmission)
        since = .now
        let daemon = try await within(patience, orThrow: overdue) { try await transmission(agent) }
        try Backend.check(daemon)
        let version = visible(status["transmission"]?["version"]?.string ?? "?", atMost: 80)
        let settings = try await within(patience, orThrow: overdue) { try await agent.call("session.get") }
        report.passed(
            .transmission,
            daemon.state == .busy ? "\(version), busy with its disk" : version,
            took: ContinuousClock.now - since
        )
        report.began(.disk)
        since = .now
        let directory = settings["download_dir"]?.string ?? "/"
        let room = try await within(patience, orThrow: overdue) {
            try await agent.call("session.free_space", ["path": .string(directory)])
        }
        let free = room["free"]?.int ?? 0
        report.passed(
            .disk,
            "\(Amounts.bytes(free)) free in \(visible(directory, atMost: 200))",
            took: ContinuousClock.now - since
        )
    }

    /// Whoever begins to watch is told of Transmission after a fresh look; what the agent knows may be half a minute old.
    private static func transmission(_ agent: CallConnection) async throws -> DaemonStatus {
        let call = try await agent.open("watch", ["topics": ["daemon"]])
        defer { call.cancel() }
        for await input in call.events {
            guard case .event(let value) = input, case .daemon(let status, _)? = Event(value) else { continue }
            return status
        }
        _ = try await call.result()
        throw Problem(.connectionLost, "The agent ended while it was asked of Transmission. Try again.")
    }
}

/// The clock beside a trace; told from the session's own tasks.
private final class WayWatch: Sendable {
    private let began = ContinuousClock.now
    private let state = Mutex(WayTrace())

    var trace: WayTrace { state.withLock { $0 } }

    func note(_ body: (inout WayTrace, Duration) -> Void) {
        let time = ContinuousClock.now - began
        state.withLock { body(&$0, time) }
    }
}
