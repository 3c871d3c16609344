/// The calls under way, found by their caller, by their callee and by their timer.
struct CallTable {
    struct Key: Hashable {
        let caller: SessionID
        let request: Int64
    }

    /// Where a call runs.
    enum Place: Hashable {
        case session(SessionID, invocation: Int64)
        case shell(InvocationID)
    }

    struct Call {
        let key: Key
        let place: Place
        /// Whether the caller takes progressive results.
        let receiveProgress: Bool
        /// Whether the callee can be interrupted.
        let cancels: Bool
        /// In milliseconds, between results too; nil where nobody watches it here.
        let timeout: Int64?
        /// Names the timer.
        let serial: Int64
        /// Whether the callee was interrupted and its answer is awaited.
        var isKilled = false
    }

    private var calls: [Key: Call] = [:]
    private var places: [Place: Key] = [:]
    private var serials: [Int64: Key] = [:]
    /// Request numbers of the calls that a session has made.
    private var made: [SessionID: Set<Int64>] = [:]
    /// Numbers of the invocations that a session runs.
    private var running: [SessionID: Set<Int64>] = [:]
    /// The last invocation number that each session was given.
    private var issued: [SessionID: Int64] = [:]
    private var lastSerial: Int64 = 0

    var isEmpty: Bool {
        calls.isEmpty && places.isEmpty && serials.isEmpty && made.isEmpty && running.isEmpty && issued.isEmpty
    }

    func count(_ caller: SessionID) -> Int { made[caller]?.count ?? 0 }

    subscript(key: Key) -> Call? { calls[key] }
    subscript(place: Place) -> Call? { places[place].flatMap { calls[$0] } }
    subscript(serial serial: Int64) -> Call? { serials[serial].flatMap { calls[$0] } }

    /// Whether the number was ever given to this callee; answers to finished calls are legal and late.
    func wasIssued(_ invocation: Int64, to session: SessionID) -> Bool {
        invocation <= issued[session] ?? 0
    }

    /// Enters a call and numbers its invocation.
    mutating func begin(
        _ key: Key,
        callee: Dealer.Callee,
        receiveProgress: Bool,
        timeout: Int64?
    ) -> Call {
        lastSerial += 1
        let place: Place
        switch callee.owner {
        case .session(let session):
            // The numbers of a session count from 1 and begin again after 2^53.
            let last = issued[session] ?? 0
            let next = last == WAMPIdentifier.range.upperBound ? 1 : last + 1
            issued[session] = next
            running[session, default: []].insert(next)
            place = .session(session, invocation: next)
        case .shell: place = .shell(InvocationID(value: lastSerial))
        }
        let call = Call(
            key: key,
            place: place,
            receiveProgress: receiveProgress,
            cancels: callee.cancels,
            timeout: timeout,
            serial: lastSerial
        )
        calls[key] = call
        places[place] = key
        serials[lastSerial] = key
        made[key.caller, default: []].insert(key.request)
        return call
    }

    mutating func kill(_ key: Key) { calls[key]?.isKilled = true }

    /// Forgets a call that has been answered or given up.
    mutating func end(_ call: Call) {
        calls[call.key] = nil
        places[call.place] = nil
        serials[call.serial] = nil
        made[call.key.caller]?.remove(call.key.request)
        if made[call.key.caller]?.isEmpty == true { made[call.key.caller] = nil }
        if case .session(let session, let invocation) = call.place {
            running[session]?.remove(invocation)
            if running[session]?.isEmpty == true { running[session] = nil }
        }
    }

    /// The calls that a leaving session has made, and those that it runs.
    func calls(made session: SessionID) -> [Call] {
        (made[session] ?? []).sorted().compactMap { calls[Key(caller: session, request: $0)] }
    }

    func calls(runBy session: SessionID) -> [Call] {
        (running[session] ?? []).sorted().compactMap { self[.session(session, invocation: $0)] }
    }

    mutating func forget(_ session: SessionID) { issued[session] = nil }
}
