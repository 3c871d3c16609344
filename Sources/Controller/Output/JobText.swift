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
