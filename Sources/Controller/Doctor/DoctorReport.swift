/// What `farseed doctor` finds: each hop with the time it took, and the first that fails.
import Foundation
import Notation
import Seedbox
import Synchronization

/// When each hop's state was first told; called from the session's own tasks.
final class HopTrace: Sendable {
    struct Entry: Sendable {
        var status: LinkStatus
        var at: ContinuousClock.Instant
    }

    let began = ContinuousClock.now
    private let state = Mutex<[Entry]>([])

    var entries: [Entry] { state.withLock { $0 } }

    func note(_ status: LinkStatus) { state.withLock { $0.append(Entry(status: status, at: .now)) } }
}

/// What the examination found, in order.
struct DoctorReport: Sendable {
    struct Step: Sendable, Equatable {
        var hop: String
        var isPassed: Bool
        var detail: String
        var took: Duration?
    }

    var box: String?
    private(set) var steps: [Step] = []
    private(set) var problem: Problem?

    mutating func passed(_ hop: String, _ detail: String, took: Duration? = nil) {
        steps.append(Step(hop: hop, isPassed: true, detail: detail, took: took))
    }

    mutating func failed(_ problem: Problem) {
        self.problem = problem
        let hop = Self.hop(of: problem.code)
        if steps.last?.isPassed == false { return }
        steps.append(Step(hop: hop, isPassed: false, detail: "", took: nil))
    }

    /// The hops as the session told of them: each that came up with the time since the one before.
    mutating func reached(_ trace: HopTrace, arrived: Bool) {
        var since = trace.began
        let entries = trace.entries
        for hop in LinkStatus.Hop.allCases where hop != .transmission {
            guard let up = entries.first(where: { $0.status[hop].state == .up }) else {
                // A session that stands has crossed every hop, also one that nobody told of.
                if arrived { passed(hop.rawValue, "") }
                continue
            }
            let detail = entries.last { $0.status[hop].state == .up }?.status[hop].detail ?? ""
            passed(hop.rawValue, visible(detail, atMost: 200), took: max(.zero, up.at - since))
            since = max(since, up.at)
        }
    }

    /// Which hop a code belongs to.
    static func hop(of code: Problem.Code) -> String {
        switch code {
        case .configurationInvalid, .secretUnreadable, .ambiguous, .notFound, .badRequest: "configuration"
        case .torMissing, .torFailed, .torNotReady, .socksUnreachable, .socksRefused, .socksInvalid, .torPolicy: "tor"
        case .onionNotFound, .onionAddressInvalid, .onionUnreachable, .onionAuthorizationMissing,
            .onionAuthorizationWrong, .hostUnreachable, .connectionRefused:
            "circuit"
        case .sshLibraryRefused, .sshFailed, .hostKeyMismatch, .loginRefused: "ssh"
        case .agentMissing, .agentUnexpected, .agentIncompatible, .agentFailed, .controllerOutdated, .notPermitted,
            .timedOut:
            "agent"
        case .transmissionDown, .transmissionBusy, .transmissionUnauthorized, .transmissionRefused: "transmission"
        default: "link"
        }
    }

    /// The documented schema of `doctor --json` (`Docs/Operations.md`).
    var value: Value {
        var map: [String: Value] = [
            "box": box.map { .string($0) } ?? .null, "ok": .bool(problem == nil),
            "hops": .array(
                steps.map { step in
                    var hop: [String: Value] = [
                        "hop": .string(step.hop), "state": step.isPassed ? "up" : "down",
                        "detail": .string(step.detail),
                    ]
                    if let took = step.took { hop["ms"] = .int(Self.milliseconds(took)) }
                    return .map(hop)
                }
            ),
        ]
        if let problem { map["problem"] = problem.value }
        return .map(map)
    }

    func lines(on terminal: Terminal) -> [String] {
        var table = TextTable(columns: [
            .init(title: ""), .init(title: ""), .init(title: "", right: true), .init(title: "", flexible: true),
        ])
        table.rows = steps.map { step in
            [
                .init(step.isPassed ? "✓" : "✗", step.isPassed ? .green : .red), .init(step.hop),
                .init(step.took.map { "\(Self.milliseconds($0)) ms" } ?? ""), .init(step.detail),
            ]
        }
        return table.lines(on: terminal, titles: false)
    }

    private static func milliseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
