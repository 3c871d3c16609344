/// The link's machine while a session answers, or should: pings, suspicion, the spare, the end.
import Seedbox

extension LinkMachine {
    func wantsSpare(_ live: Live) -> Bool { timing.standby || live.isWorn }

    mutating func adopt(_ live: Live, at now: Duration) -> [Action] {
        adoptedAt = now
        state = .live(live, spare: .none)
        failure = nil
        failures = 0
        hurried = 0
        missedWays = 0
        lates = 0
        wasLive = true
        return [wantsSpare(live) ? .set(.retry, timing.spacing) : .cancel(.retry), .adopt(live.id)] + pinging(live)
    }

    private func pinging(_ live: Live) -> [Action] {
        [
            .cancel(.ping), .ping(live.id), .set(.suspect, timing.suspect(after: live.roundTrip)),
            .set(.dead, timing.dead(after: live.roundTrip)),
        ]
    }

    mutating func ping(at now: Duration) -> [Action] {
        guard case .live(let live, let spare) = state else { return [] }
        guard case .warm(var spare) = spare else { return pinging(live) }
        guard let askedAt = spare.askedAt else {
            // It has answered: what failed before it is over.
            (failures, hurried) = (0, 0)
            spare.askedAt = now
            state = .live(live, spare: .warm(spare))
            return pinging(live) + [.ping(spare.id)]
        }
        guard now - askedAt >= timing.dead(after: spare.roundTrip) else { return pinging(live) }
        state = .live(live, spare: .none)
        return pinging(live) + [.end(spare.id), .set(.retry, timing.spacing)]
    }

    mutating func heard(_ id: Int, _ roundTrip: Duration, _ carried: UInt64, at now: Duration) -> [Action] {
        switch state {
        case .live(let live, .warm(var spare)) where spare.id == id:
            spare.answered(roundTrip)
            state = .live(live, spare: .warm(spare))
            return []
        case .suspect(let old, .warm(var spare)) where spare.id == id:
            spare.answered(roundTrip)
            return adopt(spare, at: now) + [.end(old.id)]
        case .live(let live, let spare) where live.id == id: return answered(live, roundTrip, carried, spare, at: now)
        case .suspect(let live, let spare) where live.id == id:
            failures = 0
            if wantsSpare(live) || carried >= timing.recycleAfter {
                if case .warm = spare { return [.cancel(.retry)] + answered(live, roundTrip, carried, spare, at: now) }
                return answered(live, roundTrip, carried, spare, at: now)
            }
            var actions = answered(live, roundTrip, carried, .none, at: now) + [.cancel(.retry)]
            if case .coming(let rival) = spare { actions.append(.abandon(rival.id)) }
            return actions
        default: return []
        }
    }

    /// The session in use has answered.
    private mutating func answered(
        _ live: Live,
        _ roundTrip: Duration,
        _ carried: UInt64,
        _ spare: Spare,
        at now: Duration
    ) -> [Action] {
        var live = live
        live.answered(roundTrip)
        let actions: [Action] = [.cancel(.suspect), .cancel(.dead), .set(.ping, timing.pingEvery)]
        let wasWorn = live.isWorn
        live.isWorn = carried >= timing.recycleAfter
        state = .live(live, spare: spare)
        guard live.isWorn, !wasWorn else { return actions }
        switch spare {
        case .warm(let next): return adopt(next, at: now) + [.retire(live.id)]
        case .coming: return actions
        case .none: return actions + [.set(.retry, .zero)]
        }
    }

    mutating func suspected(at now: Duration) -> [Action] {
        guard case .live(let live, let spare) = state else { return [] }
        state = .suspect(live, spare: spare)
        switch spare {
        case .coming: return []
        case .warm(let spare):
            return [.ping(spare.id), .set(.retry, timing.suspect(after: spare.roundTrip))]
        case .none:
            if let wait = spacing(at: now) { return [.set(.retry, wait)] }
            return retry(at: now)
        }
    }

    mutating func dead(at now: Duration, jitter: Double) -> [Action] {
        guard let live = session else { return [] }
        let stage = silentStage
        let problem = Problem(.connectionLost, Self.silence(at: stage) + " A new session is being opened.")
        return [.end(live.id)] + over(problem, at: stage, now: now, jitter: jitter)
    }

    /// The stage that the silence of a session is put down to: how far what was begun beside it has come. Without that it
    /// is the circuit, which is what dies in silence.
    var silentStage: Dialer.Stage {
        switch state {
        case .live(_, .coming(let rival)), .suspect(_, .coming(let rival)): max(rival.stage, .circuit)
        case .live, .suspect, .waitingForTor, .attempting, .backingOff: .circuit
        }
    }

    private static func silence(at stage: Dialer.Stage) -> String {
        switch stage {
        case .socks, .circuit: "The seedbox has not answered for too long: the circuit to it is dead."
        case .handshake, .login:
            "The seedbox has not answered for too long, and its sshd is slow to answer on another circuit, too."
        case .greeting: "The agent has not answered for too long, though sshd on the VPS does."
        }
    }

    mutating func ended(
        _ id: Int,
        _ problem: Problem,
        at stage: Dialer.Stage,
        now: Duration,
        jitter: Double
    ) -> [Action] {
        switch state {
        case .live(let live, .warm(let spare)) where spare.id == id:
            failures += 1
            state = .live(live, spare: .none)
            let failure = DialFailure(problem, .backOff, at: stage)
            return [.set(.retry, pause(after: failure, jitter: jitter, at: now))]
        case .suspect(let live, .warm(let spare)) where spare.id == id:
            state = .suspect(live, spare: .none)
            return [.set(.retry, spacing(at: now) ?? .zero)]
        default:
            guard session?.id == id else { return [] }
            return over(problem, at: stage, now: now, jitter: jitter)
        }
    }

    /// The session is no more: what was to take its place does, or an attempt is begun.
    private mutating func over(
        _ problem: Problem,
        at stage: Dialer.Stage,
        now: Duration,
        jitter: Double
    ) -> [Action] {
        quickDeaths = now - adoptedAt < Self.steadyAfter ? quickDeaths + 1 : 0
        let failure =
            problem.code == .connectionLost
            ? DialFailure(problem, .newCircuit, at: stage) : DialFailure(problem, at: .greeting)
        self.failure = failure
        var actions: [Action] = [.cancel(.ping), .cancel(.suspect), .cancel(.dead)]
        switch state {
        case .live(_, .coming(let attempt)), .suspect(_, .coming(let attempt)):
            state = .attempting(attempt, rival: nil)
            return actions + [.set(.retry, timing.hedgeAfter)]
        case .live(_, .warm(let spare)), .suspect(_, .warm(let spare)):
            // One that has been silent, too, shares the fault.
            guard let askedAt = spare.askedAt, now - askedAt > timing.suspectAfter else {
                return actions + adopt(spare, at: now)
            }
            actions.append(.end(spare.id))
        default: break
        }
        state = .backingOff(isLoss: true)
        // Also where nothing stands against it, so that the loss is a state of its own that is seen.
        var least = spacing(at: now) ?? .zero
        if quickDeaths > Self.mostQuickDeaths {
            let doublings = min(quickDeaths - Self.mostQuickDeaths - 1, 16)
            least = max(least, min(timing.retryFirst * (1 << doublings), timing.retryLast) * jitter)
        }
        // What the agent said in its goodbye, it says again to the next session that comes at once.
        switch failure.remedy {
        case .tellOwner: return actions + [.set(.retry, timing.retryFault)]
        case .backOff: return actions + [.set(.retry, max(least, timing.retryFirst))]
        case .newCircuit: return actions + [.set(.retry, least)]
        }
    }
}
