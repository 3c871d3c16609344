// A job as the store's row, and back.

import Notation
import Seedbox
import Store

extension Job {
    /// The most bytes of a job's arguments, so that a `.torrent` file fits and a film does not.
    static let largestRequest = 8 << 20

    /// Everything of a new job. A problem where the request is larger than the outbox takes.
    func newRow() throws(Problem) -> JobRow {
        var request: [String: Value] = ["arguments": arguments]
        if !precondition.isNull { request["precondition"] = precondition }
        let bytes = CBOR.encode(.map(request))
        guard bytes.count <= Self.largestRequest else {
            throw Problem(.tooLarge, "This job has \(bytes.count) bytes; the outbox takes \(Self.largestRequest).")
        }
        // What could not be read again must not be accepted.
        guard (try? CBOR.decode(bytes)) != nil else {
            throw Problem(.tooLarge, "This job's arguments are nested too deeply for the outbox.")
        }
        var row = stateRow
        row.targets = CBOR.encode(.array(targets.map { .string($0.hex) }))
        row.request = bytes
        row.undo = undo?.encoded
        return row
    }

    /// What changes in a job's life; the request, which does not, is left out.
    var stateRow: JobRow {
        JobRow(
            id: id,
            key: key,
            box: box,
            verb: verb,
            targets: [],
            request: nil,
            who: who,
            origin: origin,
            acceptedAt: acceptedAt,
            expiresAt: expiresAt,
            state: state.name.rawValue,
            outcome: CBOR.encode(state.outcome),
            attempts: attempts,
            changedAt: changedAt,
            endedAt: state.isEnd ? changedAt : nil,
            undoes: undoes
        )
    }

    /// As it stands in lists.
    var lean: Job {
        var job = self
        job.arguments = .null
        job.precondition = .null
        job.undo = nil
        return job
    }

    /// A row that cannot be read becomes a failed job that says so, and keeps its place.
    init(_ row: JobRow) {
        self.init(
            id: row.id,
            key: row.key,
            box: row.box,
            verb: row.verb,
            who: row.who,
            origin: row.origin,
            acceptedAt: row.acceptedAt,
            expiresAt: row.expiresAt
        )
        attempts = row.attempts
        changedAt = row.changedAt
        undo = row.undo.flatMap(UndoRecipe.init(encoded:))
        hasUndo = row.hasUndo
        undoes = row.undoes
        undoneBy = row.undoneBy
        guard let targets = (try? CBOR.decode(row.targets))?.array,
            let request = row.request.map({ (try? CBOR.decode($0))?.map }) ?? [:],
            let outcome = try? CBOR.decode(row.outcome),
            let name = JobState.Name(rawValue: row.state),
            let state = JobState(name, outcome)
        else {
            state = .failed(Problem(.internalFault, "What the database holds of job \(row.id) cannot be read."))
            return
        }
        self.state = state
        arguments = request["arguments"] ?? .null
        precondition = request["precondition"] ?? .null
        self.targets = targets.compactMap { $0.string.flatMap(InfoHash.init) }
    }
}

extension UndoRecipe {
    var encoded: [UInt8] {
        CBOR.encode([
            "verb": .string(verb), "arguments": arguments, "targets": .array(targets.map { .string($0.hex) }),
        ])
    }

    init?(encoded bytes: [UInt8]) {
        guard let value = try? CBOR.decode(bytes), let verb = value["verb"]?.string else { return nil }
        self.init(
            verb: verb,
            arguments: value["arguments"] ?? .null,
            targets: (value["targets"]?.array ?? []).compactMap { $0.string.flatMap(InfoHash.init) }
        )
    }
}

extension JobState {
    /// What the state owns, beside its name.
    fileprivate var outcome: Value {
        switch self {
        case .accepted, .sent, .expired: [:]
        case .waiting(let pause), .confirming(let pause):
            .map(["until": .int(pause.until)].merging(pause.problem.map { ["problem": $0.value] } ?? [:]) { $1 })
        case .done(let result): ["result": result]
        case .failed(let problem): ["problem": problem.value]
        case .cancelled(let who): ["by": .string(who)]
        }
    }

    fileprivate init?(_ name: Name, _ outcome: Value) {
        let problem = outcome["problem"].flatMap(Problem.init)
        switch name {
        case .accepted: self = .accepted
        case .waiting: self = .waiting(Pause(until: outcome["until"]?.int ?? 0, problem: problem))
        case .sent: self = .sent
        case .confirming: self = .confirming(Pause(until: outcome["until"]?.int ?? 0, problem: problem))
        case .done: self = .done(outcome["result"] ?? .null)
        case .failed:
            guard let problem else { return nil }
            self = .failed(problem)
        case .expired: self = .expired
        case .cancelled: self = .cancelled(by: outcome["by"]?.string ?? "")
        }
    }
}
