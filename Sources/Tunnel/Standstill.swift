/// Whether tor stands still in its bootstrap: it has told why it cannot go on, and has come no further since.
package struct Standstill: Sendable {
    /// Tor complains of each relay that it does not reach, also where the next one answers.
    package static let usual = Duration.seconds(20)

    private let patience: Duration
    private var began: (percent: Int, time: Duration)?

    init(_ patience: Duration) { self.patience = patience }

    /// What is left of the patience with a tor that is like this now.
    mutating func remaining(_ status: Tor.Status, at now: Duration) -> Duration {
        guard status.bootstrapProblem != nil, let percent = status.news?.bootstrap else {
            began = nil
            return patience
        }
        guard let began, began.percent >= percent else {
            began = (percent, now)
            return patience
        }
        return patience - (now - began.time)
    }
}
