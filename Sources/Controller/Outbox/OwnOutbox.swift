/// The outbox where no daemon runs: jobs in the same ledger, sent by the command itself while it holds the state
/// directory. What it leaves, the next `farseed serve` or the next command that changes something carries out.
import Calls
import Foundation
import Jobs
import Logging
import Notation
import Seedbox
import Store

actor OwnOutbox {
    /// How a change goes through a daemon that has started meanwhile.
    typealias ThroughDaemon = @Sendable (CallConnection) async throws -> ChangeOutcome

    /// The lock is let go of after this at the latest, and always while the job only waits: a daemon that starts, or
    /// another command, has it then. What was under way is asked for again, under its key.
    static let longestHold = Duration.seconds(30)

    let configuration: Configuration
    let boxes: [OwnReach]
    let longestHold: Duration
    private let logger: Logger
    private var opened: (ledger: Ledger, audit: AuditLog)?

    init(
        _ configuration: Configuration,
        boxes: [OwnReach],
        longestHold: Duration = OwnOutbox.longestHold,
        logger: Logger
    ) {
        self.configuration = configuration
        self.boxes = boxes
        self.longestHold = longestHold
        self.logger = logger
    }

    // MARK: What commands use

    /// Keeps what the arguments of `submit` ask for, and carries it out as far as `patience` goes.
    func change(
        _ asked: [String: Value],
        key: String,
        _ upload: [UInt8]?,
        over reach: OwnReach,
        _ patience: Patience,
        daemon: ThroughDaemon
    ) async throws -> ChangeOutcome {
        let deadline = patience.deadline
        let own: [String: Value] = ["box": .string(reach.name), "key": .string(key)]
        let sent = Value.map(asked.merging(own) { $1 })
        if patience.refusesQueue { try await Self.open(reach, patience) }
        return try await carried(patience, until: deadline, daemon) { desk in
            try await desk.accept(sent, upload, who: Owner.name, origin: UserDesk.origin)
        }
    }

    /// Takes a job back, the newest of the owner's where `id` is nil. A daemon that starts meanwhile knows by `key` that
    /// it is taken back already.
    func undo(_ id: Int64?, key: String, _ patience: Patience, daemon: ThroughDaemon) async throws -> ChangeOutcome {
        let deadline = patience.deadline
        if patience.refusesQueue {
            let box = try await desk(boxes).outbox.undoable(id, who: Owner.name).box
            if let reach = boxes.first(where: { $0.name == box }) { try await Self.open(reach, patience) }
        }
        return try await carried(patience, until: deadline, daemon) { desk in
            try await desk.outbox.undo(id, who: Owner.name, origin: UserDesk.origin, key: key)
        }
    }

    /// What a command needs that watches the torrents of a job; nil where the seedbox is no more.
    nonisolated func backend(for box: String) -> Backend? {
        boxes.first { $0.name == box }.map {
            Backend(road: .own($0, self), box: box, configuration: configuration)
        }
    }

    /// What the ledger alone answers: `jobs`, `job`, `job.cancel`.
    func answer(_ procedure: String, _ arguments: Value) async throws -> Value {
        let directory = configuration.stateDirectory
        guard FileMode(StateDirectory.database(configuration)) != nil else {
            if FileMode(directory) != nil { try StateDirectory.prepareOwn(directory) }
            throw Problem(
                .controllerAbsent,
                "No daemon runs, and none has ever kept a job in \(visible(directory)). Start it with "
                    + "`farseed serve`."
            )
        }
        let desk = try await desk(boxes)
        let answer = try await desk.answer(procedure, arguments, who: Owner.name, origin: UserDesk.origin)
        guard let answer else { preconditionFailure("Only the desk's own procedures are asked here.") }
        return answer
    }

    /// Writes down what begins, and again how it failed. The way to the seedbox is opened meanwhile.
    ///
    /// What cannot be written down is told in the log, and done all the same: a full disk here is no reason to keep the
    /// owner from the seedbox.
    func noting<Success: Sendable>(
        _ action: String,
        target: String,
        over reach: OwnReach,
        _ body: @Sendable () async throws -> Success
    ) async throws -> Success {
        if let problem = refusal { throw problem }
        async let _ = try? reach.session()
        let audit = await writableAudit()
        audit?.note(action, who: Owner.name, from: UserDesk.origin, target: target)
        await audit?.flush()
        do {
            return try await body()
        } catch {
            let outcome = Failure.problem(error)?.code.rawValue
            if let outcome {
                audit?.note(action, who: Owner.name, from: UserDesk.origin, target: target, outcome: outcome)
            }
            throw error
        }
    }

    /// Why this user may not work here at all.
    private var refusal: Problem? {
        do {
            try StateDirectory.prepareOwn(configuration.stateDirectory)
            return nil
        } catch {
            let problem = Failure.problem(error)
            return problem?.code == .notPermitted ? problem : nil
        }
    }

    private func writableAudit() async -> AuditLog? {
        do {
            return try await open(searched: false).audit
        } catch {
            logger.error(
                "The audit log could not be opened, so this is not written down.",
                metadata: ["error.code": "\(Failure.problem(error)?.code.rawValue ?? "\(type(of: error))")"]
            )
            return nil
        }
    }

    /// Closes the ledger, where it was needed.
    func end() async {
        guard let (ledger, audit) = opened else { return }
        opened = nil
        await audit.flush()
        // Every commit is on disk; the process's end closes what this does not.
        try? ledger.close()
    }

    // MARK: How

    /// `searched`: the whole file is looked through for damage first, which takes longer the longer it is.
    private func open(searched: Bool = true) async throws -> (ledger: Ledger, audit: AuditLog) {
        if let opened { return opened }
        try StateDirectory.prepareOwn(configuration.stateDirectory)
        let path = StateDirectory.database(configuration)
        let ledger = try await Ledger.open(LedgerConfiguration(path: path, searchesForDamage: searched))
        let new = (ledger, AuditLog(ledger: ledger, logger: logger))
        opened = new
        return new
    }

    /// The same as the daemon's, over the command's own sessions.
    func desk(_ boxes: [OwnReach]) async throws -> JobDesk {
        let (ledger, audit) = try await open()
        return JobDesk(ledger, boxes: boxes, audit: audit, logger: logger)
    }

    /// Fails where the way cannot be opened now.
    private static func open(_ reach: OwnReach, _ patience: Patience) async throws {
        let closed = Problem(
            .timedOut,
            "The way to the seedbox was not open in time. Nothing was done, and nothing is kept."
        )
        _ = try await within(patience.limit, orThrow: closed) { try await reach.connection(within: .zero) }
    }
}
