/// Lets what a program says last and the answer that follows leave in one write.
///
/// A machine without clock. sshd leaves Nagle's algorithm on: of two packets that it sends within a moment the second waits
/// for the first one's acknowledgement, which the tor beside it delays by 40 ms.
struct Gathering: Sendable {
    private var calls: Set<UInt32> = []
    /// What waits has waited long enough, whoever else begins.
    private var isDue = false
    private var period: UInt64 = 0

    /// Whether what is queued is held back.
    var holds: Bool { !calls.isEmpty && !isDue }

    /// A call's answer may be near. Returns the period that this begins, to be ended in time; nil where one lasts.
    mutating func begin(_ call: UInt32) -> UInt64? {
        let isFirst = calls.isEmpty
        calls.insert(call)
        guard isFirst else { return nil }
        period += 1
        return period
    }

    /// The answer is queued; true where nothing is held back any longer.
    mutating func answered(_ call: UInt32) -> Bool {
        guard calls.remove(call) != nil, calls.isEmpty else { return false }
        isDue = true
        return true
    }

    /// The time of a period is over; true where nothing is held back any longer.
    mutating func end(_ period: UInt64) -> Bool {
        guard self.period == period, !calls.isEmpty else { return false }
        calls = []
        isDue = true
        return true
    }

    /// What was queued is on its way.
    mutating func taken() { isDue = false }
}
