/// How far each attempt at a session came, and when; it asks no clock.
import Seedbox
import Tunnel

struct WayTrace: Sendable {
    private struct Attempt {
        /// When each hop was crossed.
        var crossed: [Hop: Duration] = [:]
        var began = Duration.zero
        var address = ""
        var isolation = ""
        var failure: DialFailure?
    }

    private var attempts: [Int: Attempt] = [:]
    /// The attempt that was heard of last: of those that fail the last one's reason is told.
    private var last = 0
    /// When each address' descriptor came, by the address without `.onion`.
    private var descriptors: [String: Duration] = [:]
    private var sought: Set<String> = []

    /// The SOCKS password of the attempt that is told of.
    var isolation: String? { attempts[last]?.isolation }

    mutating func heard(_ event: OneShotLink.Event, at time: Duration) {
        switch event {
        case .reached(let number, let stage, let address, let isolation):
            last = number
            if stage == .socks {
                attempts[number] = Attempt(began: time, address: address, isolation: isolation)
            } else if let hop = Self.crossed(at: stage) {
                attempts[number]?.crossed[hop] = time
            }
        case .failed(let number, let failure):
            last = number
            attempts[number]?.failure = failure
        }
    }

    mutating func heard(of descriptors: [String: TorNews.Descriptor], at time: Duration) {
        for (address, state) in descriptors {
            sought.insert(address)
            if state == .received, self.descriptors[address] == nil { self.descriptors[address] = time }
        }
    }

    /// The agent of the session that was opened last has greeted, or why it has not.
    mutating func greeted(_ failure: DialFailure? = nil, at time: Duration) {
        if let failure { attempts[last]?.failure = failure } else { attempts[last]?.crossed[.forcedCommand] = time }
    }

    private static func crossed(at stage: Dialer.Stage) -> Hop? {
        switch stage {
        case .socks, .circuit: nil
        case .handshake: .tcp
        case .login: .hostKey
        case .greeting: .login
        }
    }

    /// The hops from the descriptor to the forced command, as far as they were crossed, and the one that failed.
    ///
    /// - Parameter isAsked: whether there is a control port that tells of descriptors.
    func told(isAsked: Bool) -> (steps: [DoctorReport.Step], failed: Hop?) {
        guard let attempt = attempts[last] else { return ([], nil) }
        var failed = attempt.failure.map(Hop.init)
        if let failed, failed < .descriptor { return ([], failed) }
        let isOnion = attempt.address.hasSuffix(".onion")
        let name = String(attempt.address.dropLast(isOnion ? ".onion".count : 0))
        let came = descriptors[name].map { max($0, attempt.began) }
        // Where the deadline passed, tor has not said what it waited for.
        let isLate = failed == .tcp && attempt.failure?.problem.code == .timedOut
        if isLate, isAsked, isOnion, came == nil, sought.contains(name) { failed = .descriptor }
        var steps: [DoctorReport.Step] = []
        var since = attempt.began
        for hop in [Hop.descriptor, .tcp, .hostKey, .login, .forcedCommand] {
            // What is lost amid a step is lost at the first that was not crossed.
            if let failure = failed, failure <= hop, attempt.crossed[hop] == nil { return (steps, hop) }
            if hop == .descriptor {
                let (state, detail) = descriptor(isOnion, isAsked, came != nil, isLate)
                steps.append(.init(hop, state, detail, took: came.map { $0 - since }))
                since = came ?? since
            } else if let time = attempt.crossed[hop] {
                steps.append(.init(hop, .up, "", took: max(.zero, time - since)))
                since = max(since, time)
            } else if hop == .forcedCommand, failed == .agent {
                // It has greeted, and its greeting is the failure.
                steps.append(.init(hop, .up, ""))
            } else {
                return (steps, failed)
            }
        }
        return (steps, failed)
    }

    private func descriptor(
        _ isOnion: Bool,
        _ isAsked: Bool,
        _ hasCome: Bool,
        _ isLate: Bool
    ) -> (DoctorReport.State, String) {
        if !isOnion { return (.up, "none is needed: the address is no onion service's") }
        if hasCome { return (.up, "found") }
        if isLate { return (.unknown, "not told apart from TCP" + (isAsked ? "" : " without a control port")) }
        return (.up, isAsked ? "tor had it already" : "found; not timed apart from TCP without a control port")
    }
}
