/// The life of the link to one seedbox, as a pure machine: what happened goes in, what to do comes out.
package import Seedbox

/// ```
///                      torUsable                 opened
///  waitingForTor ───────────────▶ attempting ──────────────▶ live ◀───────────┐ heard: the rival is abandoned
///        ▲                        ▲   │   ▲                  │ │              │ rival opened: it is adopted
///        │ tor not usable         │   │   │ rival goes on    │ │ suspect      │
///        │                  retry │   │   │                  │ ▼              │
///        └───────────────── backingOff│   └───────────────suspect ────────────┘
///                             ▲   ▲   │ failed    ended, dead │
///                             │   └───┘                       │ ended or dead, and no rival under way
///                             │ (lost: a pause of `spacing`)  │
///                             └───────────────────────────────┘
/// ```
///
/// While suspect, the old session keeps its chance and a rival is begun on another circuit; the first to answer wins.
/// Where one is wanted, a spare session stands by on a circuit of its own: it takes over in one round trip. A session
/// that has carried much is replaced in the same way, and its calls may end on it.
/// An attempt gets a rival, too, when it takes long, and then makes room for another: tor waits for minutes on a circuit
/// that leads nowhere. After every three ways that led nowhere tor is told to forget what it knows (`SIGNAL NEWNYM`), and
/// more and more seldom where that does not help.
/// Time is a value: the moment of each event, from any origin. So is chance: `jitter` is a random number from 0 to 1.
package struct LinkMachine: Sendable {
    package enum Event: Sendable, Hashable {
        /// Tor can be tried (again): it runs and has bootstrapped, or nothing is known to the contrary.
        case torUsable
        case torUnusable
        /// An attempt has come as far as this stage.
        case reached(Int, Dialer.Stage)
        /// An attempt has become a session.
        case opened(Int)
        case failed(Int, DialFailure)
        /// A session has ended, without our asking, by what befell this stage.
        case ended(Int, Problem, at: Dialer.Stage = .handshake)
        /// A session has answered a ping; it has carried so many bytes until then.
        case heard(Int, roundTrip: Duration, carried: UInt64 = 0)
        case timer(Timer)
        /// Somebody wants it tried now.
        case kicked
    }

    package enum Timer: Sendable, Hashable, CaseIterable {
        case retry, ping, suspect, dead
    }

    package enum Action: Sendable, Hashable {
        /// Begin an attempt, to the address of this number, on a circuit of its own.
        case attempt(Int, address: Int)
        /// Stop an attempt; nothing more is heard of it.
        case abandon(Int)
        /// This session is the one in use from now on.
        case adopt(Int)
        /// Close a session; nothing more is heard of it.
        case end(Int)
        /// Close a session once the calls on it have ended; nothing more is heard of it.
        case retire(Int)
        /// Ping a session; the answer is `heard`.
        case ping(Int)
        /// Start or restart a timer.
        case set(Timer, Duration)
        case cancel(Timer)
        /// Tell tor to forget its circuits and descriptors: what it knows has led nowhere too often.
        case forget
    }

    package enum State: Sendable, Hashable {
        /// There is no tor to connect to yet, or it is still bootstrapping.
        case waitingForTor
        /// On the way: SOCKS, circuit, SSH, greeting. A rival is begun where that takes long; the first to open wins.
        case attempting(Attempt, rival: Attempt?)
        /// A session answers.
        case live(Live, spare: Spare)
        /// A session has not answered for a while; another is on the way, or will be.
        case suspect(Live, spare: Spare)
        /// Nothing is on the way until the retry timer.
        case backingOff(isLoss: Bool)
    }

    package struct Attempt: Sendable, Hashable {
        package var id: Int
        /// The number of the address it goes to.
        var address: Int
        package var stage = Dialer.Stage.socks
    }

    package struct Live: Sendable, Hashable {
        package var id: Int
        /// Smoothed.
        package var roundTrip: Duration?
        /// When a ping went out that has not been answered; kept of a spare only.
        var askedAt: Duration?
        /// It has carried enough and is to be replaced.
        var isWorn = false

        mutating func answered(_ roundTrip: Duration) {
            self.roundTrip = LinkTiming.smoothed(self.roundTrip, roundTrip)
            askedAt = nil
        }
    }

    /// What takes the place of the session in use.
    package enum Spare: Sendable, Hashable {
        case none
        case coming(Attempt)
        /// It answers and waits.
        case warm(Live)
    }

    package internal(set) var state = State.waitingForTor
    /// Why the link is not live, or what the last attempt failed of; nil when live and before the first failure.
    package internal(set) var failure: DialFailure?

    let timing: LinkTiming
    private let addresses: Int
    private var isTorUsable = false
    private var lastID = 0
    /// When the last attempt began.
    private var lastBegan: Duration?
    /// Attempts that have failed in a row, and those of them that asked for another circuit at once.
    var failures = 0
    var hurried = 0
    /// When the session in use was adopted, and how many in a row have died soon after it.
    var adoptedAt = Duration.zero
    var quickDeaths = 0
    /// How often in a row an attempt has taken long.
    var lates = 0
    /// Ways through Tor in a row that led nowhere.
    var missedWays = 0
    /// A link that was live once is `lost` when it is not.
    var wasLive = false

    /// Attempts in a row that are made without a pause, where another circuit may do better.
    static let mostHurried = 2
    /// After so many ways that led nowhere tor is told to forget what it knows: for two minutes it does not go again to an
    /// introduction point that has failed once, though the seedbox's tor may be back there the moment after.
    static let mostMissedWays = 3
    /// So often it is told every time, and then after twice as many ways, four times and so on: others use that tor too,
    /// and a seedbox that is off for a day is not to cost them their circuits.
    static let mostForgets = 8
    /// A session that lives for this long was a good one. Of those that die sooner so many are replaced at once; then
    /// the pauses grow, since an agent that crashes would have us build circuits without end.
    static let steadyAfter = Duration.seconds(60)
    static let mostQuickDeaths = 3
    /// The longest pause while tor's own port does not answer: asking costs nothing, and tor comes back suddenly.
    static let localPause = Duration.seconds(2)

    package init(_ timing: LinkTiming, addresses: Int) {
        precondition(addresses > 0, "A box has an address.")
        self.timing = timing
        self.addresses = addresses
    }

    /// The state's name as it is shown.
    package var name: String {
        switch state {
        case .waitingForTor: "waiting-for-tor"
        case .attempting(let attempt, let rival):
            switch max(attempt.stage, rival?.stage ?? .socks) {
            case .socks, .circuit: "connecting"
            case .handshake, .login: "authenticating"
            case .greeting: "greeting"
            }
        case .live: "live"
        case .suspect: "suspect"
        case .backingOff(let isLoss): isLoss ? "lost" : "backing-off"
        }
    }

    /// The session in use.
    package var session: Live? {
        switch state {
        case .live(let live, _), .suspect(let live, _): live
        case .waitingForTor, .attempting, .backingOff: nil
        }
    }

    package mutating func handle(_ event: Event, at now: Duration, jitter: Double) -> [Action] {
        switch event {
        case .torUsable: torUsable(at: now)
        case .torUnusable: torUnusable()
        case .reached(let id, let stage): reached(id, stage)
        case .opened(let id): opened(id, at: now)
        case .failed(let id, let failure): failed(id, failure, at: now, jitter: jitter)
        case .ended(let id, let problem, let stage): ended(id, problem, at: stage, now: now, jitter: jitter)
        case .heard(let id, let roundTrip, let carried): heard(id, roundTrip, carried, at: now)
        case .timer(.retry): retry(at: now)
        case .timer(.ping): ping(at: now)
        case .timer(.suspect): suspected(at: now)
        case .timer(.dead): dead(at: now, jitter: jitter)
        case .kicked: kicked(at: now)
        }
    }

    // MARK: Tor

    private mutating func torUsable(at now: Duration) -> [Action] {
        let wasUsable = isTorUsable
        isTorUsable = true
        switch state {
        case .waitingForTor: return begin(at: now)
        // It has just come back, so what kept us from it is over.
        case .backingOff where !wasUsable: return begin(at: now)
        case .backingOff, .attempting, .live, .suspect: return []
        }
    }

    /// What is under way shows by itself whether it still goes.
    private mutating func torUnusable() -> [Action] {
        isTorUsable = false
        return []
    }

    // MARK: Attempts

    /// Begins an attempt, or says when: a guard refuses clients that are too fast.
    private mutating func begin(at now: Duration) -> [Action] {
        guard isTorUsable else {
            state = .waitingForTor
            return [.cancel(.retry)]
        }
        if let wait = spacing(at: now) {
            state = .backingOff(isLoss: wasLive)
            return [.set(.retry, wait)]
        }
        let (attempt, action) = makeAttempt(at: now)
        state = .attempting(attempt, rival: nil)
        return [.set(.retry, timing.hedgeAfter), action]
    }

    func spacing(at now: Duration) -> Duration? {
        guard let lastBegan, now - lastBegan < timing.spacing else { return nil }
        return timing.spacing - (now - lastBegan)
    }

    /// Each failure moves on to the next address, and a rival takes another one than the attempt beside it.
    private mutating func makeAttempt(at now: Duration, beside other: Attempt? = nil) -> (Attempt, Action) {
        lastID += 1
        lastBegan = now
        let address = other.map { ($0.address + 1) % addresses } ?? failures % addresses
        return (Attempt(id: lastID, address: address), .attempt(lastID, address: address))
    }

    private mutating func reached(_ id: Int, _ stage: Dialer.Stage) -> [Action] {
        switch state {
        case .attempting(var attempt, let rival) where attempt.id == id:
            attempt.stage = stage
            state = .attempting(attempt, rival: rival)
        case .attempting(let attempt, var rival?) where rival.id == id:
            rival.stage = stage
            state = .attempting(attempt, rival: rival)
        case .live(let live, .coming(var spare)) where spare.id == id:
            spare.stage = stage
            state = .live(live, spare: .coming(spare))
        case .suspect(let live, .coming(var spare)) where spare.id == id:
            spare.stage = stage
            state = .suspect(live, spare: .coming(spare))
        default: break  // Of an attempt that was abandoned meanwhile.
        }
        return []
    }

    private mutating func opened(_ id: Int, at now: Duration) -> [Action] {
        switch state {
        case .attempting(let attempt, let rival) where attempt.id == id:
            return adopt(Live(id: id), at: now) + (rival.map { [.abandon($0.id)] } ?? [])
        case .attempting(let attempt, let rival?) where rival.id == id:
            return adopt(Live(id: id), at: now) + [.abandon(attempt.id)]
        case .suspect(let old, .coming(let spare)) where spare.id == id:
            return adopt(Live(id: id), at: now) + [.end(old.id)]
        case .live(let old, .coming(let spare)) where spare.id == id:
            if old.isWorn { return adopt(Live(id: id), at: now) + [.retire(old.id)] }
            missedWays = 0
            state = .live(old, spare: .warm(Live(id: id, askedAt: now)))
            return [.ping(id)]
        default: return [.end(id)]  // It won a race that was over.
        }
    }

    private mutating func failed(_ id: Int, _ failure: DialFailure, at now: Duration, jitter: Double) -> [Action] {
        missed(failure) + next(after: failure, of: id, at: now, jitter: jitter)
    }

    private mutating func missed(_ failure: DialFailure) -> [Action] {
        let ledNowhere = failure.stage == .circuit && [.hostUnreachable, .torNotReady].contains(failure.problem.code)
        return failure.remedy == .newCircuit || ledNowhere ? missed() : []
    }

    private mutating func missed() -> [Action] {
        missedWays += 1
        let (rounds, rest) = missedWays.quotientAndRemainder(dividingBy: Self.mostMissedWays)
        return rest == 0 && (rounds <= Self.mostForgets || rounds & (rounds - 1) == 0) ? [.forget] : []
    }

    private mutating func next(
        after failure: DialFailure,
        of id: Int,
        at now: Duration,
        jitter: Double
    ) -> [Action] {
        switch state {
        case .attempting(let attempt, let rival) where attempt.id == id || rival?.id == id:
            self.failure = failure
            failures += 1
            let pause: Action = .set(.retry, pause(after: failure, jitter: jitter, at: now))
            guard let other = attempt.id == id ? rival : attempt else {
                state = .backingOff(isLoss: false)
                return [pause]
            }
            // What is wrong at one address need not be at the other.
            if failure.remedy == .tellOwner, other.address == (attempt.id == id ? attempt : rival)?.address {
                state = .backingOff(isLoss: false)
                return [pause, .abandon(other.id)]
            }
            state = .attempting(other, rival: nil)
            return [pause]
        case .suspect(let live, .coming(let spare)) where spare.id == id:
            failures += 1
            state = .suspect(live, spare: .none)
            return [.set(.retry, pause(after: failure, jitter: jitter, at: now))]
        case .live(let live, .coming(let spare)) where spare.id == id:
            failures += 1
            state = .live(live, spare: .none)
            return [.set(.retry, pause(after: failure, jitter: jitter, at: now))]
        default: return []
        }
    }

    /// Full jitter: anything from nothing to a bound that doubles.
    mutating func pause(after failure: DialFailure, jitter: Double, at now: Duration) -> Duration {
        let least = spacing(at: now) ?? .zero
        if failure.remedy == .newCircuit, hurried < Self.mostHurried {
            hurried += 1
            return least
        }
        hurried = 0
        if failure.remedy == .tellOwner { return timing.retryFault }
        let doublings = min(max(failures - 1, 0), 16)
        var bound = min(timing.retryFirst * (1 << doublings), timing.retryLast)
        if failure.stage == .socks { bound = min(bound, Self.localPause) }
        return max(least, bound * jitter)
    }

    mutating func retry(at now: Duration) -> [Action] {
        switch state {
        case .backingOff: return begin(at: now)
        case .suspect(let live, let spare):
            if case .coming = spare { return [] }
            let (attempt, action) = makeAttempt(at: now)
            state = .suspect(live, spare: .coming(attempt))
            // One that stood by and does not answer either.
            if case .warm(let silent) = spare { return [.end(silent.id), action] }
            return [action]
        case .live(let live, .none) where wantsSpare(live):
            if let wait = spacing(at: now) { return [.set(.retry, wait)] }
            guard isTorUsable else { return [.set(.retry, timing.hedgeAfter)] }
            let (attempt, action) = makeAttempt(at: now)
            state = .live(live, spare: .coming(attempt))
            return [action]
        case .attempting(let attempt, let rival):
            if let wait = spacing(at: now) { return [.set(.retry, wait)] }
            // Without tor it goes no faster; later it may.
            guard isTorUsable else { return [.set(.retry, timing.hedgeAfter)] }
            return late(attempt, rival, at: now)
        case .waitingForTor, .live: return []
        }
    }

    /// What is under way takes long: a rival is begun, and where there is one the older makes room for it, unless one of
    /// them has found its way. Each gets more time than the one before it, for the network may just be slow.
    private mutating func late(_ attempt: Attempt, _ rival: Attempt?, at now: Duration) -> [Action] {
        guard max(attempt.stage, rival?.stage ?? .socks) <= .circuit else {
            // The deadlines of SSH and of the greeting end it; only an attempt that stands alone gets a rival.
            guard rival == nil else { return [] }
            let (rival, action) = makeAttempt(at: now, beside: attempt)
            state = .attempting(attempt, rival: rival)
            return [action]
        }
        var actions: [Action] = []
        if let lastBegan, now - lastBegan >= timing.hedgeAfter {
            lates += 1
            actions += missed()
        }
        let (next, action) = makeAttempt(at: now, beside: rival ?? attempt)
        state = .attempting(rival ?? attempt, rival: next)
        if rival != nil { actions.append(.abandon(attempt.id)) }
        let doublings = min(max(lates - 2, 0), 8)
        return actions + [action, .set(.retry, min(timing.hedgeAfter * (1 << doublings), timing.socks))]
    }

    private mutating func kicked(at now: Duration) -> [Action] {
        guard case .backingOff = state else { return [] }
        return begin(at: now)
    }
}
