/// What `farseed doctor` finds: each hop with the time it took, and the first that fails.
import Notation
import Seedbox

/// What the examination found, in order.
struct DoctorReport: Sendable {
    enum State: String, Sendable {
        case up, down
        /// Nothing tells, and nothing that lies behind it has proved it yet.
        case unknown
    }

    struct Step: Sendable, Equatable {
        var hop: Hop
        var state: State
        var detail: String
        var took: Duration?

        init(_ hop: Hop, _ state: State, _ detail: String, took: Duration? = nil) {
            self.hop = hop
            self.state = state
            self.detail = detail
            self.took = took
        }
    }

    var box: String?
    var warnings: [LinkStatus.Warning] = []
    private(set) var steps: [Step] = []
    private(set) var problem: Problem?
    /// The hop that is being walked: what goes wrong is put down to it.
    private var current = Hop.configuration

    mutating func began(_ hop: Hop) { current = hop }

    /// Whoever has passed a hop has passed those before it, also where nothing told so.
    mutating func passed(_ hop: Hop, _ detail: String, took: Duration? = nil) {
        for index in steps.indices where steps[index].state == .unknown { steps[index].state = .up }
        steps.append(Step(hop, .up, detail, took: took))
    }

    mutating func untold(_ hop: Hop, _ detail: String, took: Duration? = nil) {
        steps.append(Step(hop, .unknown, detail, took: took))
    }

    /// The hops of the session's way.
    mutating func walked(_ way: WayTrace, isAsked: Bool) {
        let (steps, failed) = way.told(isAsked: isAsked)
        for step in steps {
            if step.state == .up { passed(step.hop, step.detail, took: step.took) } else { self.steps.append(step) }
        }
        if let failed { current = failed }
    }

    mutating func detail(_ text: String, of hop: Hop) {
        for index in steps.indices where steps[index].hop == hop { steps[index].detail = text }
    }

    /// The walk ends; what had been passed may have ended since.
    mutating func failed(_ problem: Problem) {
        self.problem = problem
        steps.removeAll { $0.hop >= current }
        steps.append(Step(current, .down, problem.code.rawValue.split(separator: "-").joined(separator: " ")))
    }

    /// The documented schema of `doctor --json` (`Docs/Operations.md`).
    var value: Value {
        var map: [String: Value] = [
            "box": box.map { .string($0) } ?? .null, "ok": .bool(problem == nil), "hops": hops,
        ]
        if let problem { map["problem"] = problem.value }
        if !warnings.isEmpty { map["warnings"] = .array(warnings.map(\.value)) }
        return .map(map)
    }

    /// Of `value`.
    var hops: Value {
        .array(
            steps.map { step in
                var hop: [String: Value] = [
                    "hop": .string(step.hop.rawValue), "state": .string(step.state.rawValue),
                    "detail": .string(step.detail),
                ]
                if let took = step.took { hop["ms"] = .int(Self.milliseconds(took)) }
                return .map(hop)
            }
        )
    }

    func lines(on terminal: Terminal) -> [String] {
        var table = TextTable(columns: [
            .init(title: ""), .init(title: ""), .init(title: "", right: true), .init(title: "", flexible: true),
        ])
        table.rows = steps.map { step in
            [
                Self.mark(step.state), .init(step.hop.words),
                .init(step.took.map { "\(Self.milliseconds($0)) ms" } ?? ""), .init(step.detail),
            ]
        }
        return table.lines(on: terminal, titles: false)
            + warnings.map { Tint.yellow.paint("! " + visible($0.message), terminal.colours) }
    }

    private static func mark(_ state: State) -> TextTable.Cell {
        switch state {
        case .up: .init("✓", .green)
        case .down: .init("✗", .red)
        case .unknown: .init("?", .yellow)
        }
    }

    static func milliseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
