/// Verifying and announcing: commands that leave few traces.

import Glibc
import Notation
import Seedbox

extension Verbs {
    /// What tells whether a torrent was verified.
    private struct Trace: Sendable, Hashable {
        var status: TorrentStatus?
        var started: Int64
        /// Whether it is `recently-active`: something about it changed within the last minute.
        var isRecent: Bool

        /// A small torrent is verified before anybody could see that it was being verified: then Transmission tells of it as
        /// changed, and one that ran was started anew.
        func isVerified(since before: Trace) -> Bool {
            switch status {
            case .checkWait, .checking: true
            default: isRecent && !before.isRecent || started != before.started
            }
        }

        /// Where it rested and had changed just before, the two cannot be told apart.
        func mayBeVerified(since before: Trace) -> Bool {
            isVerified(since: before) || before.isRecent && isRecent && before.isResting && isResting
        }

        private var isResting: Bool { [.stopped, .downloadWait, .seedWait].contains(status) }
    }

    /// `hashes`: the torrents' rows, and `confirmed: false` where not every verification could be seen.
    func verify(_ arguments: inout VerbArguments) async throws -> Value {
        let hashes = try arguments.hashes()
        try arguments.finish()
        _ = try await known(hashes, .hot)
        let before = try await traces(hashes)
        func isDone(_ traces: [InfoHash: Trace], _ test: (Trace) -> (Trace) -> Bool) -> Bool {
            hashes.allSatisfy { hash in
                guard let trace = traces[hash], let before = before[hash] else { return false }
                return test(trace)(before)
            }
        }
        for _ in 0..<2 {
            _ = try await client.call("torrent-verify", ["ids": Self.ids(hashes)])
            let seen = try await polled(within: secondThought) {
                try await traces(hashes)
            } until: {
                isDone($0, Trace.isVerified)
            }
            if seen == nil, !isDone(try await traces(hashes), Trace.mayBeVerified) { continue }
            return try await reply(hashes, isConfirmed: seen != nil)
        }
        throw unconfirmed("not every torrent was verified")
    }

    func reply(_ hashes: [InfoHash], isConfirmed: Bool = true) async throws -> Value {
        reply(try await rows(hashes, .hot).map { Torrent(hash: $0.hash, $0.fields) }, isConfirmed: isConfirmed)
    }

    private func traces(_ hashes: [InfoHash]) async throws -> [InfoHash: Trace] {
        let answer = try await client.call(
            "torrent-get",
            ["ids": "recently-active", "format": "table", "fields": ["hashString", "id"]]
        )
        let recent = Set(try FieldTable.rows(answer).map(\.hash))
        let fields: Value = ["hashString", "startDate"]
        let dates = try await client.call("torrent-get", ["ids": Self.ids(hashes), "fields": fields])
        var started: [String: Int64] = [:]
        for torrent in dates["torrents"]?.array ?? [] {
            started[torrent.named("hashString")?.string ?? ""] = torrent.named("startDate")?.int
        }
        var traces: [InfoHash: Trace] = [:]
        for row in try await rows(hashes, .hot) {
            traces[row.hash] = Trace(
                status: Torrent(hash: row.hash, row.fields).status,
                started: started[row.hash.hex] ?? 0,
                isRecent: recent.contains(row.hash)
            )
        }
        return traces
    }

    /// How one tracker's announcements stand.
    private struct Announcement: Sendable, Hashable {
        var isDue: Bool
        var times: [Int64?]

        /// 2 queued, 3 under way.
        private static let due: ClosedRange<Int64> = 2...3

        init(_ stat: Value) {
            isDue = stat.named("announceState")?.int.map(Self.due.contains) ?? false
            times = ["lastAnnounceStartTime", "lastAnnounceTime", "nextAnnounceTime"].map { stat.named($0)?.int }
        }
    }

    /// Seconds: trackers often allow no second announcement sooner, and Transmission passes it over then.
    private static let freshness: Int64 = 600

    /// `hashes`: the torrents' rows. What does not run, or has no tracker, has nothing to announce; what a tracker has answered
    /// within the last minutes is up to date where nothing more happens. Neither is seen, so both are `confirmed: false`.
    func reannounce(_ arguments: inout VerbArguments) async throws -> Value {
        let hashes = try arguments.hashes()
        try arguments.finish()
        let running = try await known(hashes, .hot).filter { row in
            [.downloading, .seeding].contains(Torrent(hash: row.hash, row.fields).status)
        }.map(\.hash)
        let before = try await announcements(running)
        _ = try await client.call("torrent-reannounce", ["ids": Self.ids(hashes)])
        func isSeen(_ hash: InfoHash, _ now: [InfoHash: Announcements]) -> Bool {
            guard let now = now[hash], let before = before[hash], !now.trackers.isEmpty else { return false }
            return now.trackers.contains(where: \.isDue) || now.trackers != before.trackers
        }
        func isAnnounced(_ now: [InfoHash: Announcements], orFresh: Bool) -> Bool {
            running.allSatisfy { hash in
                guard let own = now[hash], before[hash] != nil, !own.trackers.isEmpty else { return true }
                return isSeen(hash, now) || orFresh && own.isFresh
            }
        }
        var announced = try await polled(within: secondThought) {
            try await announcements(running)
        } until: {
            isAnnounced($0, orFresh: false)
        }
        if announced == nil {
            announced = try await polled {
                try await announcements(running)
            } until: {
                isAnnounced($0, orFresh: true)
            }
        }
        guard let announced else { throw unconfirmed("no tracker of a torrent is being announced to") }
        return try await reply(hashes, isConfirmed: hashes.allSatisfy { isSeen($0, announced) })
    }

    /// How a torrent's announcements stand.
    private struct Announcements: Sendable, Hashable {
        /// Whether a tracker has answered lately.
        var isFresh: Bool
        var trackers: [Announcement]
    }

    private func announcements(_ hashes: [InfoHash]) async throws -> [InfoHash: Announcements] {
        guard !hashes.isEmpty else { return [:] }
        let fields: Value = ["hashString", "trackerStats"]
        let answer = try await client.call("torrent-get", ["ids": Self.ids(hashes), "fields": fields])
        let now = Int64(time(nil))
        var announcements: [InfoHash: Announcements] = [:]
        for torrent in answer["torrents"]?.array ?? [] {
            guard let hash = torrent.named("hashString")?.string.flatMap(InfoHash.init) else { continue }
            let stats = torrent.named("trackerStats")?.array ?? []
            announcements[hash] = Announcements(
                isFresh: stats.contains { stat in
                    stat.named("lastAnnounceSucceeded")?.bool == true
                        && now - (stat.named("lastAnnounceTime")?.int ?? 0) < Self.freshness
                },
                trackers: stats.map(Announcement.init)
            )
        }
        return announcements
    }
}
