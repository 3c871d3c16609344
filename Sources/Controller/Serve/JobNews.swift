/// The outbox over WAMP: the topic `farseed.jobs`, the verbs that a page may call, and taking jobs back.
import Foundation
import Jobs
import Notation
import Seedbox
import ServiceLifecycle
import Synchronization
import WAMP
import Web

final class JobNews: Service {
    private let outbox: Outbox
    private let realm: Realm
    private let audit: AuditLog
    private let uploads = UploadDesk()
    /// The newest jobs by number, as they are retained for who subscribes.
    private let known = Mutex<[Int64: Value]>([:])

    private static let topic = "farseed.jobs"
    /// Jobs that a subscriber gets first; older ones are asked for by `farseed jobs`.
    private static let mostKnown = 200

    init(outbox: Outbox, realm: Realm, audit: AuditLog) {
        self.outbox = outbox
        self.realm = realm
        self.audit = audit
    }

    /// Registers `farseed.<box>.<verb>`: the command is on disk when the caller gets its job.
    func offer(_ boxes: [String]) async throws {
        note(try await outbox.jobs(JobFilter(limit: Self.mostKnown)))
        realm.retain(Self.topic) { [weak self] _ in
            self.map { ["jobs": .array($0.known.withLock { $0.sorted { $0.key > $1.key }.map(\.value) })] }
        }
        for box in boxes {
            for verb in JobDesk.verbs {
                realm.register("farseed.\(box).\(verb)") { [outbox, uploads] call in
                    try await RealmError.telling { try await Self.submit(verb, to: box, call, outbox, uploads).summary }
                }
            }
        }
        realm.register("farseed.upload") { [uploads] call in
            try await RealmError.telling {
                guard let part = call.payload.kwargs["bytes"]?.bytes else {
                    throw Problem(.badRequest, "`bytes` is a part of a .torrent file.")
                }
                let id = call.payload.kwargs["id"]?.string
                return ["id": .string(try uploads.add(part, to: id, by: Self.who(call), at: Self.now))]
            }
        }
        realm.register("farseed.job.cancel") { [outbox, audit] call in
            try await RealmError.telling {
                let (id, who) = (try Self.id(call), Self.who(call))
                return try await audit.noting("job.cancel", who: who, from: call.client, target: "job \(id)") {
                    try await outbox.cancel(id, by: who).summary
                }
            }
        }
        realm.register("farseed.job.undo") { [outbox] call in
            try await RealmError.telling {
                try await outbox.undo(Self.id(call), who: Self.who(call), origin: call.client).summary
            }
        }
    }

    /// As jobs and the audit log name the caller.
    private static func who(_ call: RealmCall) -> String {
        call.caller.worker.map { "worker.\($0)" } ?? call.caller.authid
    }

    private static func id(_ call: RealmCall) throws -> Int64 {
        guard let id = call.payload.kwargs["id"]?.int else { throw Problem(.badRequest, "`id` is a job's number.") }
        return id
    }

    private static var now: Int64 { Int64(Date.now.timeIntervalSince1970 * 1000) }

    private static func submit(
        _ verb: String,
        to box: String,
        _ call: RealmCall,
        _ outbox: Outbox,
        _ uploads: UploadDesk
    ) async throws -> Job {
        var arguments = call.payload.kwargs
        let named = (arguments["hashes"]?.array ?? []) + (arguments["hash"].map { [$0] } ?? [])
        let targets = named.compactMap { $0.string.flatMap(InfoHash.init) }
        guard targets.count == named.count else {
            throw Problem(.badRequest, "`hashes` holds what is no info hash; give 40 or 64 hex digits each.")
        }
        let key = arguments.removeValue(forKey: "key")?.string
        if let upload = arguments.removeValue(forKey: "upload") {
            guard let id = upload.string, verb == "torrent.add", arguments["metainfo"] == nil else {
                throw Problem(.badRequest, "`upload` is the `id` of `farseed.upload`, instead of `metainfo`.")
            }
            arguments["metainfo"] = .bytes(try uploads.take(id, by: who(call), at: now))
        }
        return try await outbox.submit(
            JobRequest(
                box: box,
                verb: verb,
                arguments: .map(arguments),
                targets: targets,
                who: who(call),
                origin: call.client,
                key: key
            )
        )
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            for await jobs in outbox.changes() {
                note(jobs)
                realm.publish(Self.topic, ["jobs": .array(jobs.map(\.summary))])
            }
        }
    }

    private func note(_ jobs: [Job]) {
        known.withLock { known in
            for job in jobs { known[job.id] = job.summary }
            for id in known.keys.sorted().dropLast(Self.mostKnown) { known[id] = nil }
        }
    }
}
