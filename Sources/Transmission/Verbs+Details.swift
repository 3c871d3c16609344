/// What is told of one torrent when somebody looks at it, and only then.

import Notation
import Seedbox

extension Verbs {
    /// Files of one answer; more are asked with `files_from`.
    static let filesAtOnce = 500
    static let peersAtOnce = 500

    /// `hash`, `details`: of `files`, `peers`, `trackers`, `pieces`; `files_from` (0).
    func details(_ arguments: inout VerbArguments) async throws -> Value {
        let hash = try arguments.hash()
        let wanted = Set(try arguments.texts("details", mayBeEmpty: true) ?? ["files", "peers", "trackers", "pieces"])
        let filesFrom = Int(try arguments.int("files_from", 0...1 << 31) ?? 0)
        try arguments.finish()
        guard wanted.isSubset(of: ["files", "peers", "trackers", "pieces"]) else {
            throw Problem(.badRequest, "`details` holds something other than files, peers, trackers and pieces.")
        }
        let row = try await known([hash])[0]
        var fields: [Value] = ["hashString"]
        if wanted.contains("files") { fields += ["files", "fileStats", "file-count"] }
        if wanted.contains("peers") { fields += ["peers", "peersFrom"] }
        if wanted.contains("trackers") { fields += ["trackers", "trackerStats"] }
        if wanted.contains("pieces") { fields += ["pieces", "pieceCount", "pieceSize"] }
        let answer = try await client.call("torrent-get", ["ids": Self.ids([hash]), "fields": .array(fields)])
        guard let torrent = answer["torrents"]?.array?.first else {
            throw Problem(.notFound, "The torrent was removed just now.")
        }
        var map: [String: Value] = [
            "hash": .string(hash.hex), "fields": .map(Torrent(hash: hash, row.fields).fields),
        ]
        if wanted.contains("files") {
            let files = Self.fileRows(torrent)
            let page = files.dropFirst(filesFrom).prefix(Self.filesAtOnce)
            map["files"] = .array(Array(page))
            map["files_from"] = .int(Int64(filesFrom))
            map["files_count"] = .int(Int64(files.count))
        }
        if wanted.contains("peers") { map["peers"] = .array(Self.peers(torrent)) }
        if wanted.contains("trackers") { map["trackers"] = .array(Self.trackers(torrent)) }
        if wanted.contains("pieces") {
            map["piece_count"] = torrent.named("pieceCount")
            map["piece_size"] = torrent.named("pieceSize")
            // One bit a piece, the first the highest of its byte; base64 as it came.
            map["pieces"] = torrent["pieces"]
        }
        return .map(map)
    }

    /// As they are told, by their exact names: the release that counts no files is 3.00, which writes characters
    /// beyond the basic plane wrongly, and no magnet link tells those of files.
    static func files(_ torrent: Value) -> [Value] {
        let files = torrent["files"]?.array ?? []
        guard torrent.named("file-count")?.int ?? 0 == 0 else { return files }
        return files.map { file in
            var entries = file.map ?? [:]
            entries["name"] = file["name"]?.string.map { .string(NameRepair.label(from: $0)) }
            return .map(entries)
        }
    }

    private static func fileRows(_ torrent: Value) -> [Value] {
        let files = files(torrent)
        let stats = torrent.named("fileStats")?.array ?? []
        guard files.count == stats.count else { return [] }
        return zip(files, stats).map { file, stat in
            let wanted = stat["wanted"]
            return [
                "name": file["name"] ?? "", "size": file["length"] ?? 0,
                "done": stat.named("bytesCompleted") ?? 0,
                "wanted": .bool(wanted?.bool ?? (wanted?.int != 0)),
                "priority": stat["priority"] ?? 0,
            ]
        }
    }

    private static func peers(_ torrent: Value) -> [Value] {
        (torrent["peers"]?.array ?? []).prefix(peersAtOnce).map { peer in
            [
                "address": peer["address"] ?? "", "port": peer["port"] ?? 0,
                "client": peer.named("clientName") ?? "", "progress": peer["progress"] ?? 0,
                "down": peer.named("rateToClient") ?? 0, "up": peer.named("rateToPeer") ?? 0,
                "flags": peer.named("flagStr") ?? "", "encrypted": peer.named("isEncrypted") ?? false,
                "incoming": peer.named("isIncoming") ?? false, "utp": peer.named("isUTP") ?? false,
            ]
        }
    }

    private static func trackers(_ torrent: Value) -> [Value] {
        let stats = (torrent.named("trackerStats")?.array ?? []).map { ($0["id"]?.int ?? -1, $0) }
        let byID = Dictionary(stats) { first, _ in first }
        return (torrent["trackers"]?.array ?? []).prefix(200).map { tracker in
            let stat = byID[tracker["id"]?.int ?? -2]
            return [
                "announce": tracker["announce"] ?? "", "tier": tracker["tier"] ?? 0,
                "seeders": stat?.named("seederCount") ?? -1, "leechers": stat?.named("leecherCount") ?? -1,
                "downloads": stat?.named("downloadCount") ?? -1, "peers": stat?.named("lastAnnouncePeerCount") ?? 0,
                "message": stat?.named("lastAnnounceResult") ?? "",
                "succeeded": stat?.named("lastAnnounceSucceeded") ?? false,
                "announced_at": stat?.named("lastAnnounceTime") ?? 0,
                "next_at": stat?.named("nextAnnounceTime") ?? 0,
            ]
        }
    }
}
