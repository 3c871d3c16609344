/// A session for one command: one attempt after the other, as long as another circuit may do better.
package import NIOCore
package import Seedbox

package struct OneShotLink: Sendable {
    private let configuration: TunnelConfiguration
    private let tor: Tor
    private let group: any EventLoopGroup

    /// Attempts before the last failure is told.
    private static let mostAttempts = 3

    package init(_ configuration: TunnelConfiguration, tor: Tor, group: any EventLoopGroup) {
        self.configuration = configuration
        self.tor = tor
        self.group = group
    }

    /// Goes all the way; throws the `Problem` of the last attempt. `progress` is told of each hop.
    package func open(_ progress: @escaping @Sendable (LinkStatus) -> Void) async throws -> AgentSession {
        try await attempts(progress) { dialer, address, isolation, reached in
            try await dialer.dial(address, isolation: isolation, reached: reached)
        }
    }

    /// Likewise, to a login that runs commands and not to an agent.
    package func openAdmin() async throws -> AdminSession {
        try await attempts({ _ in }) { dialer, address, isolation, reached in
            AdminSession(try await dialer.logIn(address, isolation: isolation, reached: reached))
        }
    }

    private func attempts<Success: Sendable>(
        _ progress: @escaping @Sendable (LinkStatus) -> Void,
        _ dial: (Dialer, String, String, @escaping @Sendable (Dialer.Stage) -> Void) async throws -> Success
    ) async throws -> Success {
        let dialer = Dialer(configuration, socks: tor.socks, group: group)
        var attempt = 0
        while true {
            let address = configuration.addresses[attempt % configuration.addresses.count]
            attempt += 1
            do {
                return try await dial(dialer, address, Wall.nonce()) { [tor] stage in
                    progress(LinkView.status(of: stage, failure: nil, tor: tor.status))
                }
            } catch let failure as DialFailure {
                progress(LinkView.status(of: failure.stage, failure: failure, tor: tor.status))
                let isWorthIt = failure.remedy == .newCircuit || configuration.addresses.count > 1
                guard isWorthIt, attempt < Self.mostAttempts else { throw failure.problem }
                try await Task.sleep(for: configuration.timing.spacing)
            }
        }
    }
}
