package import Notation

/// How things stand between home and one seedbox, hop by hop: the link line of the page and of `farseed status`.
package struct LinkStatus: Sendable, Hashable {
    /// The hops in the order that data cross them.
    package enum Hop: String, Sendable, CaseIterable {
        case tor, circuit, ssh, agent, transmission
    }

    package enum HopState: String, Sendable {
        /// Not reached yet, because an earlier hop is not up.
        case unknown
        /// On its way.
        case waiting
        case up
        case down
    }

    package struct HopStatus: Sendable, Hashable {
        package var state: HopState
        /// A few words for a person, such as "bootstrapped 45 %, loading relay descriptors".
        package var detail: String

        package init(_ state: HopState, _ detail: String = "") {
            self.state = state
            self.detail = detail
        }
    }

    /// What should be mended although data may flow; the code words are for programs.
    package struct Warning: Sendable, Hashable {
        package enum Code: String, Sendable {
            case torOutdated = "tor-outdated"
            case clockSkew = "clock-skew"
            case torControl = "tor-control"
        }

        package var code: Code
        /// A sentence for a person: what is wrong and what to do.
        package var message: String

        package init(_ code: Code, _ message: String) {
            self.code = code
            self.message = message
        }

        package var value: Value { ["code": .string(code.rawValue), "message": .string(message)] }
    }

    /// The state of the link's machine by its own name: `connecting`, `live`, `suspect` and so on.
    package var state: String
    package var hops: [Hop: HopStatus]
    /// Why it is not live.
    package var problem: Problem?
    package var warnings: [Warning] = []
    /// Smoothed round-trip time.
    package var roundTrip: Duration?
    /// When data last came from the agent, Unix milliseconds; nil before the first.
    package var dataAt: Int64?

    package init(
        state: String = "idle",
        hops: [Hop: HopStatus] = [:],
        problem: Problem? = nil,
        roundTrip: Duration? = nil,
        dataAt: Int64? = nil
    ) {
        self.state = state
        self.hops = hops
        self.problem = problem
        self.roundTrip = roundTrip
        self.dataAt = dataAt
    }

    package subscript(hop: Hop) -> HopStatus {
        get { hops[hop] ?? HopStatus(.unknown) }
        set { hops[hop] = newValue }
    }

    /// As published on `farseed.link.<box>` (`Docs/Subscriptions.md`).
    package var value: Value {
        var map: [String: Value] = [
            "state": .string(state),
            "hops": .array(
                Hop.allCases.map { hop in
                    [
                        "hop": .string(hop.rawValue), "state": .string(self[hop].state.rawValue),
                        "detail": .string(self[hop].detail),
                    ]
                }
            ),
        ]
        if let problem { map["problem"] = problem.value }
        if !warnings.isEmpty { map["warnings"] = .array(warnings.map(\.value)) }
        if let roundTrip {
            let (seconds, attoseconds) = roundTrip.components
            map["rtt_ms"] = .int(seconds * 1000 + attoseconds / 1_000_000_000_000_000)
        }
        if let dataAt { map["data_at"] = .int(dataAt) }
        return .map(map)
    }
}
