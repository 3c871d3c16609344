/// The link line: what the machine, tor and the agent say, as states of the five hops.
import Seedbox

struct LinkView {
    var machine: LinkMachine
    var tor: Tor.Status
    /// The stage that the newest attempt has reached.
    var stage: Dialer.Stage?
    /// The relays of our circuit, where tor tells.
    var path: [TorRelay]?
    /// What the agent calls itself.
    var software: String?
    var heardAt: Int64?
    /// Tor says that the circuit of the session that was lost is no more.
    var isCircuitGone = false

    var status: LinkStatus {
        var status = LinkStatus(
            state: name,
            problem: problem,
            roundTrip: machine.session?.roundTrip,
            dataAt: heardAt
        )
        status.warnings = warnings
        status[.tor] = torHop
        for (hop, first, last, words) in Self.hops { status[hop] = hopStatus(first, last, words) }
        if status[.circuit].state == .up, let path, !path.isEmpty {
            status[.circuit].detail = path.map(\.description).joined(separator: " → ")
        }
        if status[.agent].state == .up { status[.agent].detail = software.map { String($0.prefix(40)) } ?? "" }
        if case .live(_, .warm) = machine.state { status[.ssh].detail = "another session stands by" }
        return status
    }

    /// Each hop with the stages that it spans, and what is said while it is on its way.
    private static let hops: [(LinkStatus.Hop, Dialer.Stage, Dialer.Stage, String)] = [
        (.circuit, .circuit, .circuit, "looking for a way"), (.ssh, .handshake, .login, "logging in"),
        (.agent, .greeting, .greeting, "greeting"),
    ]

    private var name: String {
        guard case .waitingForTor = machine.state, let news = tor.news, news.bootstrap < 100 else {
            return machine.name
        }
        return "bootstrapping"
    }

    private var problem: Problem? {
        if machine.session != nil { return nil }
        if case .waitingForTor = machine.state { return tor.problem ?? tor.bootstrapProblem }
        guard isCircuitGone else { return machine.failure?.problem }
        return Problem(
            .connectionLost,
            "The circuit to the seedbox broke: a relay on the way or the seedbox's own tor went away. A new session is "
                + "being opened."
        )
    }

    /// Without a session the SOCKS port tells more of a tor than that its control port does not answer.
    private var warnings: [LinkStatus.Warning] {
        tor.warnings.filter { $0.code != .torControl || tor.problem?.code != .torFailed || machine.session != nil }
    }

    private var torHop: LinkStatus.HopStatus {
        if tor.isStarting {
            if tor.problem == nil { return .init(.waiting, "starting") }
            return .init(.down, tor.hasFailed ? "ended" : "in use")
        }
        if let news = tor.news {
            if news.bootstrap < 100 {
                return .init(.waiting, "bootstrapped \(news.bootstrap) %, \(Tor.Status.plain(news.phase))")
            }
            if machine.session != nil || failedAt != .socks { return .init(.up, version) }
        }
        if machine.session != nil { return .init(.up, version) }
        if failedAt == .socks {
            let code = machine.failure?.problem.code
            return .init(.down, code == .socksUnreachable ? "does not answer" : Self.words(code))
        }
        if let stage = current, stage > .socks { return .init(.up) }
        return failedAt == nil ? .init(current == nil ? .unknown : .waiting) : .init(.up)
    }

    private var version: String {
        guard let version = tor.version else { return "" }
        return TorVersion.isRecent(version) ? version : "\(version), outdated"
    }

    private func hopStatus(_ first: Dialer.Stage, _ last: Dialer.Stage, _ words: String) -> LinkStatus.HopStatus {
        switch machine.state {
        case .live: return .init(.up)
        case .suspect:
            // What is silent is in doubt, and what lies behind it is out of reach.
            let silent = machine.silentStage
            if silent > last { return .init(.up) }
            return silent >= first ? .init(.waiting, "no answer; trying another circuit") : .init(.unknown)
        case .waitingForTor, .attempting, .backingOff: break
        }
        if let current, current > last { return .init(.up) }
        if let failedAt, failedAt >= first, failedAt <= last { return .init(.down, Self.words(problem?.code)) }
        if let current { return current >= first ? .init(.waiting, words) : .init(.unknown) }
        return failedAt.map { $0 > last } == true ? .init(.up) : .init(.unknown)
    }

    /// The stage that an attempt is at; of two, the one that is further.
    private var current: Dialer.Stage? {
        guard case .attempting(let attempt, let rival) = machine.state else { return nil }
        return max(attempt.stage, rival?.stage ?? .socks)
    }

    /// The stage that failed last, until an attempt has come past it.
    private var failedAt: Dialer.Stage? {
        let stage = isCircuitGone ? .circuit : machine.failure?.stage
        switch machine.state {
        case .backingOff: return stage
        case .attempting: return stage.flatMap { failed in current.map { $0 > failed } == true ? nil : failed }
        case .waitingForTor, .live, .suspect: return nil
        }
    }

    private static func words(_ code: Problem.Code?) -> String {
        code.map { $0.rawValue.split(separator: "-").joined(separator: " ") } ?? "down"
    }
}
