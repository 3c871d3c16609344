/// Slows down guessing: after some failures an address waits before it may try again.
import Synchronization

final class LoginThrottle: Sendable {
    /// Failures are forgotten after this long.
    static let window = Duration.seconds(60)
    /// Addresses remembered at once; more than these and everybody waits their turn.
    static let addresses = 10_000

    private let limit: Int
    private let now: @Sendable () -> ContinuousClock.Instant
    private let failures = Mutex<[String: [ContinuousClock.Instant]]>([:])

    init(limit: Int, now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }) {
        self.limit = limit
        self.now = now
    }

    /// Whether the address may try now. The attempt counts as failed until it is taken back: guesses made at once must
    /// not all be let in before the first of them has failed.
    func begin(_ address: String) -> Bool {
        let now = now()
        let since = now - Self.window
        return failures.withLock { failures in
            let past = failures[address, default: []].filter { $0 > since }
            if failures[address] == nil, failures.count >= Self.addresses {
                failures = failures.filter { $0.value.contains { $0 > since } }
                guard failures.count < Self.addresses else { return false }
            }
            guard past.count < limit else { return false }
            failures[address] = past + [now]
            return true
        }
    }

    /// The attempt was no failure.
    func takeBack(_ address: String) {
        failures.withLock { failures in
            guard var past = failures[address] else { return }
            _ = past.popLast()
            failures[address] = past.isEmpty ? nil : past
        }
    }
}
