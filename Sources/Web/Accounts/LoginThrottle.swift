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

    /// Whether the address may try now.
    func mayTry(_ address: String) -> Bool {
        let since = now() - Self.window
        return failures.withLock { failures in
            guard let past = failures[address] else {
                // Nobody new gets as far as `failed` while it is full, so what is over must be forgotten here.
                if failures.count >= Self.addresses {
                    failures = failures.filter { $0.value.contains { $0 > since } }
                }
                return failures.count < Self.addresses
            }
            return past.count(where: { $0 > since }) < limit
        }
    }

    func failed(_ address: String) {
        let now = now()
        failures.withLock { failures in
            if failures.count >= Self.addresses {
                failures = failures.filter { $0.value.contains { $0 > now - Self.window } }
            }
            failures[address] = Array((failures[address, default: []] + [now]).suffix(limit))
        }
    }
}
