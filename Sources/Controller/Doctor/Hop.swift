/// The hops that `farseed doctor` walks, in their order, and which of them a failure belongs to.
import Seedbox
import Tunnel

enum Hop: String, Sendable, CaseIterable, Comparable {
    case configuration
    /// The program or the control port, and the version.
    case tor
    case socks
    case bootstrap
    /// Of the onion service.
    case descriptor
    /// The stream to the SSH port.
    case tcp
    case hostKey = "host-key"
    case login
    /// The agent's greeting.
    case forcedCommand = "forced-command"
    /// Its version and what it may do.
    case agent
    case transmission
    case disk

    static func < (left: Hop, right: Hop) -> Bool { left.place < right.place }

    private var place: Int {
        guard let place = Self.allCases.firstIndex(of: self) else { preconditionFailure("A case is among all cases.") }
        return place
    }

    /// For people.
    var words: String { rawValue.split(separator: "-").joined(separator: " ") }

    /// Of a failure on the session's way.
    init(_ failure: DialFailure) {
        self =
            switch (failure.stage, failure.problem.code) {
            case (.socks, _): .socks
            case (.circuit, .onionNotFound), (.circuit, .onionAddressInvalid), (.circuit, .onionAuthorizationMissing),
                (.circuit, .onionAuthorizationWrong):
                .descriptor
            case (.circuit, _), (_, .connectionRefused): .tcp
            case (.handshake, _): .hostKey
            case (.login, _): .login
            case (.greeting, .agentIncompatible), (.greeting, .controllerOutdated), (.greeting, .notPermitted): .agent
            case (.greeting, _): .forcedCommand
            }
    }
}
