/// What `farseed deploy-agent` did or would do, for people and for programs.
import Notation
import Seedbox

struct DeployReport: Sendable {
    enum Action: String, Sendable, CaseIterable {
        case copy, `switch`, authorize
    }

    var box: String
    var isDry = false
    private(set) var plan: DeployPlan?
    private(set) var done: [Action] = []
    /// The way to the new agent.
    var check = DoctorReport()
    var problem: Problem?
    private(set) var isRolledBack = false
    /// Why it could not be taken back.
    private(set) var fault: String?

    init(box: String) { self.box = box }

    mutating func planned(_ plan: DeployPlan, isDry: Bool) {
        self.plan = plan
        self.isDry = isDry
    }

    mutating func passed(_ action: Action) { done.append(action) }

    mutating func rolledBack(to label: DeployLabel?) {
        isRolledBack = true
        problem?.message += label.map { " Taken back: \($0) serves again." } ?? " Taken back: nothing is installed."
    }

    mutating func stuck(_ reason: String) {
        fault = reason
        problem?.message +=
            " It could not be taken back (\(reason)); see \"Installing the agent\" in Docs/Operations.md."
    }

    private var actions: [Action] {
        guard let plan else { return [] }
        return Action.allCases.filter { action in
            switch action {
            case .copy: plan.copies
            case .switch: plan.switches
            case .authorize: plan.authorizes
            }
        }
    }

    /// The documented schema of `deploy-agent --json` (`Docs/Operations.md`).
    var value: Value {
        func names(_ actions: [Action]) -> Value { .array(actions.map { .string($0.rawValue) }) }
        var map: [String: Value] = [
            "box": .string(box), "ok": .bool(problem == nil), "dry_run": .bool(isDry),
            "version": plan.map { .string($0.label.description) } ?? .null,
            "before": (plan?.before).map { .string($0.description) } ?? .null,
            "planned": names(actions), "done": names(done), "rolled_back": .bool(isRolledBack),
            "hops": check.hops,
        ]
        if let problem { map["problem"] = problem.value }
        return .map(map)
    }

    func lines(on terminal: Terminal) -> [String] {
        guard let plan else { return [] }
        let head = "farseed-agent \(plan.label) on \(box)"
        if isDry {
            return ["\(head): " + (plan.isEmpty ? "nothing to do." : "to do:")] + actions.map { "  " + words($0, plan) }
        }
        var lines = actions.map { ("\(done.contains($0) ? "✓" : "✗") ") + words($0, plan) }
        lines += check.lines(on: terminal)
        if problem == nil {
            lines.append(
                plan.isEmpty
                    ? "\(head): is installed and serves; nothing was changed."
                    : "\(head): serves. A controller that runs takes it from its next connection on."
            )
        }
        return lines
    }

    private func words(_ action: Action, _ plan: DeployPlan) -> String {
        switch action {
        case .copy: "copy the file and compare its SHA-256"
        case .switch: plan.before.map { "switch from \($0) to \(plan.label)" } ?? "switch to \(plan.label)"
        case .authorize: "bind the key to it in authorized_keys"
        }
    }
}
