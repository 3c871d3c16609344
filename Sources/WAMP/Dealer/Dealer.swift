/// Registrations of one realm and the calls under way.
import Notation

struct Dealer {
    /// Who runs a procedure.
    enum Owner: Hashable {
        case session(SessionID)
        case shell
    }

    struct Callee {
        let owner: Owner
        let discloseCaller: Bool
        let forwardTimeout: Bool
        let cancels: Bool
        let makesProgress: Bool
    }

    struct Registration {
        let id: Int64
        let pattern: URIPattern
        let policy: InvocationPolicy
        let created: Moment
        /// In the order of their registration; never empty.
        var callees: [Callee]
        /// The next one of a round.
        var turn = 0
    }

    private(set) var registrations: [Int64: Registration] = [:]
    private(set) var index = PatternIndex()
    private var registered: [SessionID: Set<Int64>] = [:]
    private var lastID: Int64 = 0
    var calls = CallTable()

    // MARK: Registering

    /// Adds a callee; nil where the procedure is taken.
    mutating func register(
        _ callee: Callee,
        _ pattern: URIPattern,
        policy: InvocationPolicy,
        at now: Moment
    ) -> (registration: Int64, isFirst: Bool)? {
        if let id = index[pattern] {
            let existing = registrations[id]!
            guard existing.policy != .single, existing.policy == policy,
                !existing.callees.contains(where: { $0.owner == callee.owner })
            else { return nil }
            registrations[id]!.callees.append(callee)
            note(callee.owner, id)
            return (id, false)
        }
        lastID += 1
        registrations[lastID] = Registration(
            id: lastID,
            pattern: pattern,
            policy: policy,
            created: now,
            callees: [callee]
        )
        index.insert(pattern, lastID)
        note(callee.owner, lastID)
        return (lastID, true)
    }

    /// Takes a callee out: nil where it was not in, else whether it was the last.
    mutating func unregister(_ owner: Owner, from id: Int64) -> Bool? {
        guard let place = registrations[id]?.callees.firstIndex(where: { $0.owner == owner }) else { return nil }
        if case .session(let session) = owner {
            registered[session]?.remove(id)
            if registered[session]?.isEmpty == true { registered[session] = nil }
        }
        registrations[id]!.callees.remove(at: place)
        // The round goes on with the callee whose turn it was.
        if place < registrations[id]!.turn { registrations[id]!.turn -= 1 }
        guard registrations[id]!.callees.isEmpty else { return false }
        index.remove(registrations[id]!.pattern)
        registrations[id] = nil
        return true
    }

    func registrations(of session: SessionID) -> Set<Int64> { registered[session] ?? [] }

    private mutating func note(_ owner: Owner, _ id: Int64) {
        if case .session(let session) = owner { registered[session, default: []].insert(id) }
    }

    // MARK: Choosing

    /// The callee for the next call of a registration.
    mutating func choose(_ id: Int64, _ random: (Int) -> Int) -> Callee {
        let callees = registrations[id]!.callees
        switch registrations[id]!.policy {
        case .single, .first: return callees[0]
        case .last: return callees[callees.count - 1]
        case .random: return callees[random(callees.count)]
        case .roundrobin:
            let turn = registrations[id]!.turn % callees.count
            registrations[id]!.turn = turn + 1
            return callees[turn]
        }
    }
}
