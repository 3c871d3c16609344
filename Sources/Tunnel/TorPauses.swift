/// Pauses before a lost control port or an ended tor is tried again: doubled from the first to the last.
struct TorPauses: Sendable {
    static let first = Duration.seconds(1)
    static let longest = Duration.seconds(60)
    /// A tor that ran this long was in order; the next pause is short again.
    static let steady = Duration.seconds(120)

    private var pause = first

    /// The pause after one that ran for `duration`.
    mutating func next(afterRunning duration: Duration) -> Duration {
        if duration > Self.steady { pause = Self.first }
        defer { pause = min(pause * 2, Self.longest) }
        return pause
    }
}
