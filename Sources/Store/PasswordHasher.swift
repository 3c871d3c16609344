// Hashes passwords a few at a time on threads of their own, so that a flood of log-ins slows nothing but log-ins.

import Foundation
import Glibc
import Seedbox
import Synchronization

final class PasswordHasher: Sendable {
    /// Hashes at once: with the standard cost 64 MiB in all.
    private static let parallel = 2
    /// Log-ins that may wait; the next one is refused at once.
    private static let waiting = 128

    /// How much nicer its threads are than the program.
    private static let nicer: Int32 = 10

    private enum Turn {
        case now, later, never
    }

    private struct State {
        var running = 0
        var queue: [@Sendable () -> Void] = []
    }

    let cost: ScryptCost
    /// What a log-in under an unknown name is compared with, so that it takes as long as any other.
    private let decoy: PasswordHash
    private let state = Mutex(State())

    init(cost: ScryptCost) {
        self.cost = cost
        decoy = PasswordHash(cost: cost, salt: AccessSecret.random(16), hash: [UInt8](repeating: 0, count: 32))
    }

    func hash(_ password: String) async throws -> PasswordHash {
        let cost = cost
        return try await run { try PasswordHash(password: password, cost: cost) }
    }

    /// Whether `password` is the one of `hash`; without a hash it works as long and says no.
    func verify(_ password: String, _ hash: PasswordHash?) async throws -> Bool {
        let against = hash ?? decoy
        let isRight = try await run { try against.matches(password) }
        return isRight && hash != nil
    }

    private func run<Answer: Sendable>(_ work: @escaping @Sendable () throws -> Answer) async throws -> Answer {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Answer, any Error>) in
            let task: @Sendable () -> Void = { continuation.resume(with: Result { try work() }) }
            let turn: Turn = state.withLock { state in
                if state.running < Self.parallel {
                    state.running += 1
                    return .now
                }
                guard state.queue.count < Self.waiting else { return .never }
                state.queue.append(task)
                return .later
            }
            switch turn {
            case .now: start(task)
            case .later: break
            case .never:
                continuation.resume(
                    throwing: Problem(.refused, "Too many people are logging in at this moment. Try again in a minute.")
                )
            }
        }
    }

    /// A thread for as long as there is work: cheap beside a hash, and its low priority is nobody else's.
    private func start(_ first: @escaping @Sendable () -> Void) {
        Thread.detachNewThread {
            // On Linux 0 is this thread, which has a nice value of its own; event loops go first, however nice they are.
            let thread = __priority_which_t(PRIO_PROCESS.rawValue)
            _ = setpriority(thread, 0, min(getpriority(thread, 0) + Self.nicer, 19))
            var task = first
            while true {
                task()
                let next = self.state.withLock { state -> (@Sendable () -> Void)? in
                    guard !state.queue.isEmpty else {
                        state.running -= 1
                        return nil
                    }
                    return state.queue.removeFirst()
                }
                guard let next else { return }
                task = next
            }
        }
    }
}
