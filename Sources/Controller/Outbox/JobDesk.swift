/// Answers the control socket's procedures that have to do with jobs, and passes the agents' own on.
import Calls
import Foundation
import Jobs
import Logging
import NIOCore
import Notation
import Seedbox
import Store

struct JobDesk: Sendable {
    /// The agent takes no larger .torrent file; the outbox keeps somewhat less.
    private static let largestUpload = 8 << 20
    private static let mostJobs: Int64 = 1000
    /// A question that changes nothing waits for the link no longer than this.
    private static let patience = Duration.seconds(20)
    /// A change that was carried out is seen with the agent's next look.
    private static let untilSeen = Duration.seconds(5)
    /// What may be asked of an agent by its own name; everything else goes through the outbox.
    static let questions: Set<String> = [
        "torrent.get", "session.get", "session.stats", "session.free_space", "session.port_test",
    ]
    /// What the outbox takes.
    static let verbs: Set<String> = [
        "torrent.add", "torrent.start", "torrent.start_now", "torrent.stop", "torrent.verify", "torrent.reannounce",
        "torrent.remove", "torrent.move", "torrent.rename", "torrent.set", "torrent.queue", "session.set",
        "session.blocklist_update",
    ]

    let outbox: Outbox
    let boxes: [any AgentReach]
    let audit: AuditLog

    /// Puts the outbox together: its queue in the ledger, its way to the boxes. It is not running yet.
    init(_ ledger: Ledger, boxes: [any AgentReach], audit: AuditLog, logger: Logger) {
        let queue = StoreQueue(ledger)
        outbox = Outbox(queue: queue, executor: AgentExecutor(boxes: boxes, queue: queue), logger: logger)
        self.boxes = boxes
        self.audit = audit
    }

    /// The answer; nil where the procedure is none of these. `who` and `origin` go into the job.
    func handle(_ call: IncomingCall, who: String, origin: String) async throws -> Value? {
        let arguments = call.arguments
        switch call.procedure {
        case "submit":
            let upload = arguments["upload"]?.bool == true ? try await Self.upload(call) : nil
            return try await settled(try await accept(arguments, upload, who: who, origin: origin), call)
        case "job.undo":
            return try await settled(try await undo(arguments, who: who, origin: origin), call)
        case "jobs.watch": return try await watch(call)
        case let question where Self.questions.contains(question):
            var rest = arguments.map ?? [:]
            let reach = try reach(rest.removeValue(forKey: "box")?.string)
            rest["patience"] = nil
            return try await reach.connection(within: Self.patience).call(question, .map(rest))
        default: return try await answer(call.procedure, arguments, who: who, origin: origin)
        }
    }

    /// The jobs that have not ended, the oldest first, and then each that changes; a slow reader gets the newest of each.
    private func watch(_ call: IncomingCall) async throws -> Value {
        let box = call.arguments["box"]?.string
        // Before the look, so that no change between the two is missed.
        let changes = outbox.changes()
        var open = JobFilter(limit: Int(Self.mostJobs))
        open.box = box
        open.states = JobState.Name.open
        for job in try await outbox.jobs(open).reversed() { try await call.emit(job.summary) }
        for await jobs in changes {
            for job in jobs where box == nil || job.box == box {
                try await call.ready()
                try await call.emit(job.summary)
            }
        }
        throw CancellationError()
    }

    /// What the ledger alone answers; nil where it does not.
    func answer(_ procedure: String, _ arguments: Value, who: String, origin: String) async throws -> Value? {
        switch procedure {
        case "jobs":
            var filter = JobFilter(limit: Int(max(1, min(arguments["limit"]?.int ?? 100, Self.mostJobs))))
            filter.box = arguments["box"]?.string
            filter.before = arguments["before"]?.int
            if arguments["open"]?.bool == true { filter.states = JobState.Name.open }
            return ["jobs": .array(try await outbox.jobs(filter).map(\.summary))]
        case "job": return try await outbox.job(Self.id(arguments)).value
        case "job.cancel":
            let id = try Self.id(arguments)
            return try await audit.noting("job.cancel", who: who, from: origin, target: "job \(id)") {
                try await outbox.cancel(id, by: who).value
            }
        default: return nil
        }
    }

    /// Keeps what the arguments of `submit` ask for; with `upload` as its .torrent file.
    func accept(_ asked: Value, _ upload: [UInt8]?, who: String, origin: String) async throws -> Job {
        let reach = try reach(asked["box"]?.string)
        guard let verb = asked["verb"]?.string, Self.verbs.contains(verb) else {
            throw Problem(.badRequest, "`verb` is none that the outbox takes.")
        }
        var arguments = asked["arguments"]?.map ?? [:]
        if let upload { arguments["metainfo"] = .bytes(upload) }
        let named = asked["targets"]?.array ?? []
        let targets = named.compactMap { $0.string.flatMap(InfoHash.init) }
        guard targets.count == named.count else { throw Problem(.badRequest, "`targets` are info hashes.") }
        if try await mayNotWait(asked) { _ = try await reach.connection(within: .zero) }
        return try await outbox.submit(
            JobRequest(
                box: reach.name,
                verb: verb,
                arguments: .map(arguments),
                targets: targets,
                precondition: asked["only_if"] ?? .null,
                who: who,
                origin: origin,
                key: asked["key"]?.string,
                expiry: asked["expiry"]?.int.map { .seconds($0) }
            )
        )
    }

    private func undo(_ asked: Value, who: String, origin: String) async throws -> Job {
        let id = asked["id"]?.int
        if try await mayNotWait(asked) {
            _ = try await reach(try await outbox.undoable(id, who: who).box).connection(within: .zero)
        }
        return try await outbox.undo(id, who: who, origin: origin, key: asked["key"]?.string)
    }

    /// Whoever wants no queue fails now where the link is down, before anything is kept; a job that is kept already goes
    /// on all the same, and its asker hears what becomes of it.
    private func mayNotWait(_ asked: Value) async throws -> Bool {
        guard asked["queue"]?.bool == false else { return false }
        guard let key = asked["key"]?.string else { return true }
        return try await outbox.job(key: key) == nil
    }

    /// The job's end where the caller waits for it. Whoever gives up only stops waiting; the job goes on.
    private func settled(_ job: Job, _ call: IncomingCall) async throws -> Value {
        let reach = try reach(job.box)
        try await call.emit(job.summary)
        guard call.arguments["wait"]?.bool == true else { return job.value }
        let ended = try await outbox.ended(job.id)
        guard case .done(let result) = ended.state else { return ended.value }
        // The caller's next command, and whoever waits for a state, shall see what this one did.
        if let isSeen = Self.sight(of: ended, result) { await reach.wait(within: Self.untilSeen, until: isSeen) }
        return ended.value
    }

    /// Whether the mirror shows what a job has done; nil where nobody waits for that.
    private static func sight(of job: Job, _ result: Value) -> (@Sendable ([InfoHash: Torrent]) -> Bool)? {
        let targets = job.targets
        switch job.verb {
        case "torrent.add":
            guard let added = result["hash"]?.string.flatMap(InfoHash.init) else { return nil }
            return { $0[added] != nil }
        case "torrent.remove": return { torrents in targets.allSatisfy { torrents[$0] == nil } }
        case "torrent.stop":
            return { torrents in targets.allSatisfy { torrents[$0].map { $0.status == .stopped } ?? true } }
        case "torrent.start", "torrent.start_now":
            return { torrents in targets.allSatisfy { torrents[$0].map { $0.status != .stopped } ?? true } }
        default: return nil
        }
    }

    private static func upload(_ call: IncomingCall) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for await input in call.inputs {
            switch input {
            case .data(0, let piece):
                guard bytes.count + piece.readableBytes <= largestUpload else {
                    throw Problem(.tooLarge, "A .torrent file of more than \(largestUpload >> 20) MiB is not kept.")
                }
                bytes.append(contentsOf: piece.readableBytesView)
            case .end(0): return bytes
            case .data, .end, .event: break
            }
        }
        throw Problem(.cancelled, "The .torrent file did not come whole.")
    }

    private static func id(_ arguments: Value) throws -> Int64 {
        guard let id = arguments["id"]?.int else { throw Problem(.badRequest, "`id` is a job's number.") }
        return id
    }

    /// The box of that name, or the only one.
    private func reach(_ name: String?) throws -> any AgentReach {
        let names = boxes.map(\.name).joined(separator: ", ")
        guard let name else {
            if boxes.count == 1 { return boxes[0] }
            throw Problem(.ambiguous, "There are \(boxes.count) seedboxes: say which by --box. Known: \(names).")
        }
        guard let reach = boxes.first(where: { $0.name == name }) else {
            throw Problem(.notFound, "The controller knows no seedbox of that name. Known: \(names).")
        }
        return reach
    }
}
