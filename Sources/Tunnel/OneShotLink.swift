/// A session for one command: one way after the other, and beside each other, as long as another may do better.
package import NIOCore
import Seedbox

package struct OneShotLink: Sendable {
    private let configuration: TunnelConfiguration
    private let tor: Tor
    private let group: any EventLoopGroup

    /// What is told of the attempts, which are numbered from 1 on and may overlap.
    package enum Event: Sendable {
        /// `isolation` is the SOCKS password, by which tor tells the attempt's circuit.
        case reached(Int, Dialer.Stage, address: String, isolation: String)
        case failed(Int, DialFailure)
    }

    /// Attempts before the last failure is told.
    static let mostAttempts = 3
    /// The first attempt of every command: tor lets it share a circuit with the command before it, which saves the time
    /// that a circuit takes. The others have one of their own, for that circuit may be the fault.
    static let sharedCircuit = "commands"

    package init(_ configuration: TunnelConfiguration, tor: Tor, group: any EventLoopGroup) {
        self.configuration = configuration
        self.tor = tor
        self.group = group
    }

    /// Goes as far as asking for the agent; throws the `Problem` of the last attempt. `progress` is told how far each comes.
    ///
    /// Calls may be made at once and go out with our greeting, which saves a round trip; `greeted` is to be awaited
    /// beside them.
    package func open(_ progress: @escaping @Sendable (Event) -> Void) async throws -> AgentSession {
        try await fastest(progress, discard: { await $0.end() }) { dialer, address, isolation, reached in
            try await dialer.ask(address, isolation: isolation, reached: reached)
        }
    }

    /// Waits for the agent's greeting; throws the `Problem` that keeps it away, and has ended the session then.
    ///
    /// - Parameter failed: told of it first.
    package func greeted(
        _ session: AgentSession,
        failed: @escaping @Sendable (DialFailure) -> Void
    ) async throws {
        do {
            try await session.greeted(within: configuration.timing.greeting)
        } catch let failure as DialFailure {
            failed(failure)
            throw failure.problem
        }
    }

    /// Like `open`, to a login that runs commands and not to an agent.
    package func openAdmin() async throws -> AdminSession {
        try await fastest({ _ in }, discard: { await $0.end() }) { dialer, address, isolation, reached in
            AdminSession(try await dialer.logIn(address, isolation: isolation, reached: reached))
        }
    }

    private enum Outcome<Success: Sendable>: Sendable {
        case opened(Success)
        case failed(Int, DialFailure)
        case cancelled
        /// The attempt of this number has failed, or has taken so long that another may be faster.
        case late(Int)
    }

    /// The first attempt to succeed. A further one begins when one has failed of its circuit, and when one takes long:
    /// tor may wait for minutes on a circuit that leads nowhere.
    func fastest<Success: Sendable>(
        _ progress: @escaping @Sendable (Event) -> Void,
        discard: @escaping @Sendable (Success) async -> Void,
        _ dial:
            @escaping @Sendable (Dialer, String, String, @escaping @Sendable (Dialer.Stage) -> Void) async throws ->
            Success
    ) async throws -> Success {
        let dialer = Dialer(configuration, tor: tor, group: group)
        return try await withThrowingTaskGroup(of: Outcome<Success>.self) { [self] tasks in
            var (begun, running, mayBegin) = (0, 0, true)
            while true {
                if mayBegin, begun < Self.mostAttempts {
                    let address = configuration.addresses[begun % configuration.addresses.count]
                    let isolation = begun == 0 ? Self.sharedCircuit : Wall.nonce()
                    begun += 1
                    running += 1
                    tasks.addTask { [begun] in
                        do {
                            return .opened(
                                try await dial(dialer, address, isolation) { stage in
                                    progress(.reached(begun, stage, address: address, isolation: isolation))
                                }
                            )
                        } catch let failure as DialFailure {
                            return .failed(begun, failure)
                        } catch {
                            return .cancelled
                        }
                    }
                    tasks.addTask { [configuration, begun] in
                        try? await Task.sleep(for: configuration.timing.hedgeAfter)
                        return .late(begun)
                    }
                }
                mayBegin = false
                switch try await tasks.next() ?? .cancelled {
                case .opened(let success):
                    try await Self.end(&tasks, discard)
                    return success
                case .failed(let number, let failure):
                    running -= 1
                    progress(.failed(number, failure))
                    let isWorthIt = failure.remedy == .newCircuit || configuration.addresses.count > 1
                    let isHopeless = failure.remedy == .tellOwner && !isWorthIt
                    if isHopeless || running == 0 && !(isWorthIt && begun < Self.mostAttempts) {
                        try await Self.end(&tasks, discard)
                        throw failure.problem
                    }
                    if isWorthIt, begun < Self.mostAttempts {
                        tasks.addTask { [configuration, begun] in
                            try? await Task.sleep(for: configuration.timing.spacing)
                            return .late(begun)
                        }
                    }
                case .late(let number): mayBegin = number == begun && !Task.isCancelled
                case .cancelled:
                    guard Task.isCancelled else { continue }
                    try await Self.end(&tasks, discard)
                    throw CancellationError()
                }
            }
        }
    }

    /// Ends the attempts under way, and what one of them may just have opened.
    private static func end<Success: Sendable>(
        _ tasks: inout ThrowingTaskGroup<Outcome<Success>, any Error>,
        _ discard: @Sendable (Success) async -> Void
    ) async throws {
        tasks.cancelAll()
        while let outcome = try await tasks.next() {
            if case .opened(let late) = outcome { await discard(late) }
        }
    }
}
