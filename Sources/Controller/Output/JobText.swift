/// What `farseed jobs` prints.
import Notation
import Seedbox

enum JobText {
    static func lines(_ jobs: [Value], now: Int64, on terminal: Terminal) -> [String] {
        guard !jobs.isEmpty else { return ["No jobs."] }
        var table = TextTable(columns: [
            .init(title: "JOB", right: true), .init(title: "STATE"), .init(title: "BOX"), .init(title: "COMMAND"),
            .init(title: "TORRENTS", right: true), .init(title: "WHO"), .init(title: "AGE", right: true),
            .init(title: "PROBLEM", flexible: true),
        ])
        table.rows = jobs.map { job in
            let state = text(job["state"])
            let accepted = job["accepted_at"]?.int ?? now
            return [
                .init(job["id"]?.int.map(String.init) ?? "?", .faint), .init(state, tint(state)),
                .init(text(job["box"])),
                .init(text(job["verb"])), .init(job["targets"]?.int.map(String.init) ?? ""), .init(text(job["who"])),
                .init(Amounts.duration(max(0, now - accepted) / 1000)),
                .init(visible(job["problem"]?["message"]?.string ?? "", atMost: 300)),
            ]
        }
        return table.lines(on: terminal)
    }

    /// One change of one job, as `farseed jobs --watch` tells it.
    static func line(_ job: Value, on terminal: Terminal) -> String {
        let state = text(job["state"])
        let reason = visible(job["problem"]?["message"]?.string ?? "", atMost: 300)
        let words = [
            Tint.faint.paint(job["id"]?.int.map(String.init) ?? "?", terminal.colours),
            tint(state)?.paint(state, terminal.colours) ?? state, text(job["box"]), text(job["verb"]), text(job["who"]),
        ]
        return words.joined(separator: " ") + (reason.isEmpty ? "" : ": \(reason)")
    }

    private static func text(_ value: Value?) -> String { visible(value?.string ?? "", atMost: 40) }

    private static func tint(_ state: String) -> Tint? {
        switch state {
        case "done": .green
        case "failed", "expired": .red
        case "cancelled": .faint
        default: .yellow
        }
    }
}
