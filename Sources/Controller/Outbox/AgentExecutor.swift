/// Carries the outbox's jobs to the agents.
import Calls
import Jobs
import NIOCore
import Notation
import Seedbox

struct AgentExecutor: JobExecutor {
    /// With the rest of the arguments this fits one frame; a larger .torrent file goes on lane 0.
    private static let largestInline = 100_000
    /// The outbox waits by itself; this only bridges the moment between two connections.
    private static let patience = Duration.seconds(2)
    /// How long one look for the link lasts; then it is looked for again.
    private static let untilLive = Duration.seconds(3600)
    /// An agent reads back within seconds; verifying that a large move has begun may take it longer.
    private static let answer = Duration.seconds(300)

    let boxes: [any AgentReach]
    /// Where the files lie from which torrents were added.
    let queue: any JobQueue

    func whenLive(_ box: String) async throws {
        _ = try await reach(box).connection(within: Self.untilLive)
    }

    func execute(_ job: Job) async throws -> Value {
        let connection = try await Self.asking { try await reach(job.box).connection(within: Self.patience) }
        var arguments = job.arguments.map ?? [:]
        arguments["key"] = .string(job.key)
        if !job.precondition.isNull { arguments["only_if"] = job.precondition }
        var upload: [UInt8]?
        if let bytes = arguments["metainfo"]?.bytes, bytes.count > Self.largestInline {
            upload = bytes
            arguments["metainfo"] = nil
            arguments["upload"] = true
        }
        let sent = arguments
        let bytes = upload
        let overdue = Problem(.timedOut, "The agent has not answered in time; it is asked again.")
        return try await within(Self.answer, orThrow: overdue) {
            let call = try await connection.open(job.verb, .map(sent))
            if let bytes {
                try await call.send(ByteBuffer(bytes: bytes), lane: 0)
                try await call.end(lane: 0)
            }
            return try await call.result()
        }
    }

    func recipe(toUndo job: Job) async throws -> UndoRecipe? {
        let reach = try reach(job.box)
        let known = try await Self.asking { try await reach.known(job.targets) }
        guard !known.isEmpty, known.count == job.targets.count else { return nil }
        guard job.verb == "torrent.remove" else { return Undoing.recipe(job.verb, job.arguments, known) }
        guard known.count == 1, job.arguments["delete_data"]?.bool != true else { return nil }
        let details = try await Self.asking {
            try await reach.connection(within: Self.patience).call(
                "torrent.get",
                ["hash": .string(known[0].hash.hex), "details": ["trackers"]]
            )
        }
        let announces = (details["trackers"]?.array ?? []).compactMap { $0["announce"]?.string }
        let addition = try await queue.addition(of: known[0].hash, to: job.box)
        return Undoing.adding(known[0], announces: announces, metainfo: addition?.arguments["metainfo"])
    }

    /// What does not carry the job: whatever breaks the link under it, the job certainly was not sent.
    private static func asking<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        do {
            return try await body()
        } catch let problem as Problem where [.lost, .unsettled].contains(problem.code.jobVerdict) {
            throw Problem(.linkDown, problem.message)
        }
    }

    private func reach(_ box: String) throws -> any AgentReach {
        guard let reach = boxes.first(where: { $0.name == box }) else {
            throw Problem(.notFound, "There is no seedbox of that name any more. Cancel the job.")
        }
        return reach
    }
}
