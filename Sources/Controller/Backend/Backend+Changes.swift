/// How a command changes something: as a job, which the daemon carries out, or without one the command itself.
import Calls
import Foundation
import Notation
import Seedbox

/// One verb with its arguments, as the agent takes them.
struct Change: Sendable {
    var verb: String
    var arguments: [String: Value]
    /// Torrents that it acts on; in order with other jobs on them.
    var targets: [InfoHash] = []
    /// States of which the torrents must have one when the command reaches the seedbox; empty for any.
    var onlyIf: [TorrentStatus] = []
    /// A .torrent file, which may be larger than a frame and so travels on lane 0.
    var upload: [UInt8]?
}

extension Change {
    fileprivate var condition: Value? {
        onlyIf.isEmpty ? nil : ["status": .array(onlyIf.map { .string($0.rawValue) })]
    }
}

/// What became of a change.
enum ChangeOutcome: Sendable {
    case done(result: Value, job: Value)
    /// Accepted and not ended yet; it is not lost. `told` says so to a person.
    case pending(job: Value, told: String)

    var job: Value {
        switch self {
        case .done(_, let job), .pending(let job, _): job
        }
    }

    /// The torrents that its job acts on, or has added.
    var hashes: [InfoHash] {
        let arguments = job["arguments"]
        let named = arguments?["hashes"]?.array ?? arguments?["hash"].map { [$0] } ?? job["hashes"]?.array ?? []
        return named.compactMap { $0.string.flatMap(InfoHash.init) }
    }
}

/// How long a change is waited for, and what happens while the link is down.
struct Patience: Sendable {
    /// Nil: as long as `grace`; without a daemon as long as one attempt to open the way takes, and `grace` from then on,
    /// longer where the agent has the job by then.
    var limit: Duration?
    /// Without a limit, as long as the job has not ended: there is something to wait for that comes after it.
    var untilEnd = false
    /// Returns as soon as the job is accepted.
    var returnsAtOnce = false
    /// Fails where the link is down instead of leaving a job behind.
    var refusesQueue = false
    /// How long a job may wait before it is begun; nil: the daemon's default.
    var expiry: Duration?
    /// 32 hex digits by which a repetition is known; nil: a new one.
    var key: String?
    /// A job on a live link ends long before; on one that is down nobody wants to sit and wait.
    var grace = Duration.seconds(20)

    /// When the limit is over that begins now.
    var deadline: ContinuousClock.Instant? { limit.map { .now + $0 } }
}

extension Backend {
    /// Carries a change out; throws the `Problem` that ended it.
    func change(_ change: Change, _ patience: Patience) async throws -> ChangeOutcome {
        let key = patience.key ?? Self.newKey()
        let asked = Self.submission(change, patience)
        var toDaemon = asked
        if let box { toDaemon["box"] = .string(box) }
        if change.upload != nil { toDaemon["upload"] = true }
        let errand = DaemonErrand("submit", toDaemon, upload: change.upload, key: key, patience, configuration)
        switch road {
        case .daemon(let connection): return try await errand.carriedOut(over: connection)
        case .own(let reach, let outbox):
            return try await outbox.change(asked, key: key, change.upload, over: reach, patience) { daemon in
                try await Self.greeting(daemon) { try await errand.carriedOut(over: daemon) }
            }
        }
    }

    /// Drives the connection to a daemon that has just been reached.
    static func greeting<Success: Sendable>(
        _ daemon: CallConnection,
        _ body: @Sendable () async throws -> Success
    ) async throws -> Success {
        try await driven(daemon) {
            _ = try await ControlSocket.greeted(daemon)
            return try await body()
        }
    }

    /// What is asked for, but for the key, the seedbox and a file.
    private static func submission(_ change: Change, _ patience: Patience) -> [String: Value] {
        var arguments: [String: Value] = [
            "verb": .string(change.verb), "arguments": .map(change.arguments),
            "targets": .array(change.targets.map { .string($0.hex) }),
        ]
        if let condition = change.condition { arguments["only_if"] = condition }
        if let expiry = patience.expiry { arguments["expiry"] = .int(expiry.components.seconds) }
        return arguments
    }

    static func pending(_ job: Value) -> ChangeOutcome {
        .pending(
            job: job,
            told: "accepted as job \(number(job)); it is carried out once the link allows. `farseed jobs` shows it."
        )
    }

    static func outcome(of job: Value) throws -> ChangeOutcome {
        if job["state"]?.string == "done" { return .done(result: job["result"] ?? .null, job: job) }
        guard job["ended"]?.bool == true else { return pending(job) }
        if job["state"]?.string == "expired" {
            throw Problem(
                .timedOut,
                "Job \(number(job)) was not begun within its time and is no longer wanted. Nothing was done."
            )
        }
        throw job["problem"].flatMap(Problem.init)
            ?? Problem(.cancelled, "Job \(number(job)) was \(visible(job["state"]?.string ?? "ended", atMost: 20)).")
    }

    static func number(_ job: Value) -> String { job["id"]?.int.map(String.init) ?? "?" }

    /// 128 random bits.
    static func newKey() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<32).map { _ in String(UInt8.random(in: 0..<16, using: &generator), radix: 16) }.joined()
    }

    static let overdue = Problem(
        .timedOut,
        "No answer came in time. Whether the command was carried out is not known: look with `farseed list`, or repeat it "
            + "with the same --key."
    )

    /// Asks for what changes nothing: the verb goes to the agent, through the daemon's warm session where there is one.
    func ask(_ verb: String, _ arguments: [String: Value] = [:]) async throws -> Value {
        try await connection().call(verb, self.arguments(arguments))
    }

    /// All torrents, of which `selections` mean these.
    func selected(_ selections: [TorrentSelection]) async throws -> [Torrent] {
        try TorrentSelection.torrents(selections, in: try await torrents().sorted)
    }

    /// The torrents that a change is to act on. Without a daemon, whole hashes are not looked up first: then the change
    /// is on disk before anything is sent, and is kept where the link is down.
    func targets(_ selections: [TorrentSelection]) async throws -> [Torrent] {
        guard case .own = road else { return try await selected(selections) }
        var hashes: [InfoHash] = []
        for selection in selections {
            guard let hash = selection.wholeHash else { return try await selected(selections) }
            if !hashes.contains(hash) { hashes.append(hash) }
        }
        return hashes.map { Torrent(hash: $0) }
    }

    /// The torrent with its name, if that has become known meanwhile.
    func named(_ torrent: Torrent) -> Torrent {
        guard case .own(let reach, _) = road else { return torrent }
        return reach.named(torrent)
    }
}
