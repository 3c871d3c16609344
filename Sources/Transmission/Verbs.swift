/// Carries out the verbs over RPC, each on named torrents only, and confirms it by reading back.

package import Notation
import Seedbox

/// Every verb that takes hashes first asks whether Transmission knows them all: it answers `success` for unknown ones.
package struct Verbs: Sendable {
    let client: RPCClient
    /// How long a change may take to show.
    let patience: Duration
    /// After so long a command without effect is given once more.
    var secondThought: Duration { patience / 5 }
    /// The states of which every torrent must have one before anything is done; nil for any.
    private var states: Set<TorrentStatus>?

    package init(client: RPCClient, patience: Duration = .seconds(5)) {
        self.client = client
        self.patience = patience
    }

    /// Throws a `Problem`, or an `UnsettledProblem` where Transmission may have acted.
    package func perform(_ verb: Verb, _ value: Value, attempt: Attempt = .only) async throws -> Value {
        let change = Change()
        do {
            return try await Change.$current.withValue(change) { try await carryOut(verb, value, attempt) }
        } catch let error as TransmissionError {
            if change.mayHaveActed, error.leavesOpen { throw UnsettledProblem(error.problem) }
            throw error.problem
        }
    }

    private func carryOut(_ verb: Verb, _ value: Value, _ attempt: Attempt) async throws -> Value {
        var arguments = try VerbArguments(value)
        let states = try arguments.condition()
        guard states == nil || arguments.has("hashes") || arguments.has("hash") else {
            throw Problem(.badRequest, "`only_if` goes with commands on torrents that are there already.")
        }
        var verbs = self
        // Whether an earlier attempt found its condition met is not known; what it began is ended.
        verbs.states = attempt.mayBeDone ? nil : states
        return try await verbs.carryOut(verb, &arguments, attempt)
    }

    private func carryOut(_ verb: Verb, _ arguments: inout VerbArguments, _ attempt: Attempt) async throws -> Value {
        switch verb {
        case .add: return try await add(&arguments, attempt.mayBeDone)
        case .start: return try await act("torrent-start", &arguments) { $0.status != .stopped || $0.isAtLimit }
        case .startNow:
            return try await act("torrent-start-now", &arguments) { $0.isPastQueue || $0.isAtLimit }
        case .stop: return try await act("torrent-stop", &arguments) { $0.status == .stopped }
        case .verify: return try await verify(&arguments)
        case .reannounce: return try await reannounce(&arguments)
        case .remove: return try await remove(&arguments, attempt.mayBeDone)
        case .move: return try await move(&arguments)
        case .rename: return try await rename(&arguments, attempt.mayBeDone)
        case .set: return try await set(&arguments)
        case .queue: return try await queue(&arguments, attempt)
        case .details: return try await details(&arguments)
        case .sessionGet: return try await sessionGet(&arguments)
        case .sessionSet: return try await sessionSet(&arguments)
        case .statistics: return try await statistics(&arguments)
        case .freeSpace: return try await freeSpace(&arguments)
        case .portTest: return try await portTest(&arguments)
        case .blocklistUpdate: return try await blocklistUpdate(&arguments)
        }
    }

    // What the verbs share.

    /// Asks for rows of these torrents, and refuses where one is missing or in a state that the command is not meant for.
    func known(
        _ hashes: [InfoHash],
        _ selection: FieldTable.Selection = .all
    ) async throws -> [TorrentRow] {
        let rows = try await rows(hashes, states == nil ? selection : .all)
        let present = Set(rows.map(\.hash))
        let missing = hashes.filter { !present.contains($0) }
        guard missing.isEmpty else {
            let some = missing.prefix(3).map(\.hex).joined(separator: ", ")
            throw Problem(
                .notFound,
                "Transmission has no torrent \(some)\(missing.count > 3 ? " and \(missing.count - 3) more" : ""). Nothing "
                    + "was done."
            )
        }
        guard let states else { return rows }
        let torrents = rows.map { Torrent(hash: $0.hash, $0.fields) }
        if let torrent = torrents.first(where: { torrent in !states.contains { $0 == torrent.status } }) {
            throw Problem(
                .conflict,
                "Torrent \(torrent.hash.hex.prefix(8)) is \(torrent.status?.rawValue ?? "in an unknown state") by now, "
                    + "which the command was not meant for. Nothing was done."
            )
        }
        return rows
    }

    func rows(_ hashes: [InfoHash], _ selection: FieldTable.Selection) async throws(TransmissionError) -> [TorrentRow] {
        let answer = try await client.call(
            "torrent-get",
            [
                "ids": Self.ids(hashes), "format": "table",
                "fields": .array(FieldTable.names(selection).map { .string($0) }),
            ]
        )
        var rows = try FieldTable.rows(answer)
        // What the watcher mends at its leisure must be whole at once here.
        let suspects = rows.filter { $0.fields[.name]?.string.map(NameRepair.isSuspicious) ?? false }.map(\.hash)
        guard !suspects.isEmpty else { return rows }
        let links = try FieldTable.rows(
            try await client.call(
                "torrent-get",
                ["ids": Self.ids(suspects), "format": "table", "fields": ["hashString", "id", "magnetLink"]]
            )
        )
        let names = Dictionary(links.map { ($0.hash, $0.magnetLink.flatMap(NameRepair.name(inMagnet:))) }) { first, _ in
            first
        }
        for index in rows.indices {
            if let name = names[rows[index].hash] ?? nil { rows[index].fields[.name] = .string(name) }
        }
        return rows
    }

    static func ids(_ hashes: [InfoHash]) -> Value {
        precondition(!hashes.isEmpty, "an empty list of ids would mean all torrents")
        return .array(hashes.map { .string($0.hex) })
    }

    /// Asks again and again until the answer is as it should be; nil where the patience ends first.
    func polled<Answer>(
        within limit: Duration? = nil,
        _ ask: () async throws -> Answer,
        until isDone: (Answer) -> Bool
    ) async throws -> Answer? {
        let deadline = ContinuousClock.now + (limit ?? patience)
        var pause = Duration.milliseconds(20)
        while true {
            let answer = try await ask()
            if isDone(answer) { return answer }
            guard ContinuousClock.now + pause < deadline else { return nil }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(500))
        }
    }

    /// Reads again and again until all torrents are there and as they should be; nil where the patience ends first.
    func confirmed(
        _ hashes: [InfoHash],
        _ selection: FieldTable.Selection = .all,
        within limit: Duration? = nil,
        _ isDone: (Torrent) -> Bool
    ) async throws -> [Torrent]? {
        try await polled(within: limit) {
            try await rows(hashes, selection).map { Torrent(hash: $0.hash, $0.fields) }
        } until: { torrents in
            torrents.count == hashes.count && torrents.allSatisfy(isDone)
        }
    }

    /// `isConfirmed` is false where Transmission's word is all there is.
    func reply(_ torrents: [Torrent], isConfirmed: Bool = true) -> Value {
        let named = torrents.map { ($0.hash.hex, Value.map($0.fields)) }
        let rows = Value.map(Dictionary(named) { first, _ in first })
        return isConfirmed ? ["torrents": rows] : ["torrents": rows, "confirmed": false]
    }

    func unconfirmed(_ what: String, after wait: Duration? = nil) -> Problem {
        Problem(
            .transmissionRefused,
            "Transmission took the command, but \((wait ?? patience).components.seconds) seconds later \(what). Look at the "
                + "torrent's error, and try again."
        )
    }

    private func act(
        _ method: String,
        _ arguments: inout VerbArguments,
        _ isDone: (Torrent) -> Bool
    ) async throws -> Value {
        let hashes = try arguments.hashes()
        try arguments.finish()
        _ = try await known(hashes, .hot)
        // 3.00 starts a torrent after its verification even where it was stopped meanwhile, and many wait for theirs.
        let waits = [secondThought, patience, patience, patience]
        for wait in waits {
            _ = try await client.call(method, ["ids": Self.ids(hashes)])
            if let torrents = try await confirmed(hashes, .hot, within: wait, isDone) { return reply(torrents) }
        }
        throw unconfirmed("not every torrent shows what \(method) should have done", after: waits.reduce(.zero, +))
    }
}

extension Torrent {
    /// Running or about to, without a place in the queue to wait for.
    fileprivate var isPastQueue: Bool {
        switch status {
        case .downloading, .seeding, .checkWait, .checking: true
        case .stopped, .downloadWait, .seedWait, nil: false
        }
    }

    /// Stopped again at once, because its ratio is reached or something is wrong with its data.
    fileprivate var isAtLimit: Bool { self[.finished].bool == true || (self[.error].int ?? 0) == 3 }
}
