/// Removing, moving, renaming and queueing torrents.

import Notation
import Seedbox

extension Verbs {
    /// `hashes`, `delete_data` (false): `{removed: [hash]}`.
    func remove(_ arguments: inout VerbArguments, _ mayBeDone: Bool) async throws -> Value {
        let hashes = try arguments.hashes()
        let deletes = try arguments.bool("delete_data") ?? false
        try arguments.finish()
        let present = mayBeDone ? try await rows(hashes, .hot) : try await known(hashes, .hot)
        if !present.isEmpty {
            _ = try await client.call(
                "torrent-remove",
                ["ids": Self.ids(present.map(\.hash)), "delete-local-data": .bool(deletes)]
            )
        }
        let gone: [TorrentRow]? = try await polled {
            try await rows(hashes, .hot)
        } until: {
            $0.isEmpty
        }
        guard gone != nil else { throw unconfirmed("not every torrent is gone") }
        return ["removed": .array(hashes.map { .string($0.hex) })]
    }

    /// `hashes`, `directory`, `move_data` (true). Transmission answers nothing while it moves data, so whatever it answers
    /// afterwards tells how it went.
    func move(_ arguments: inout VerbArguments) async throws -> Value {
        let hashes = try arguments.hashes()
        guard let directory = try arguments.path("directory") else {
            throw Problem(.badRequest, "`directory` must be an absolute path.")
        }
        let moves = try arguments.bool("move_data") ?? true
        try arguments.finish()
        _ = try await known(hashes, .cold)
        _ = try await client.call(
            "torrent-set-location",
            ["ids": Self.ids(hashes), "location": .string(directory), "move": .bool(moves)]
        )
        let wanted = Self.withoutSlash(directory)
        let done = try await confirmed(hashes) { Self.withoutSlash($0[.directory].string ?? "") == wanted }
        guard let done else {
            let torrents = try await rows(hashes, .hot).map { Torrent(hash: $0.hash, $0.fields) }
            if let failed = torrents.first(where: { $0[.error].int == 3 }) {
                throw Problem(.transmissionRefused, "Moving failed: \(failed[.message].string ?? "no reason given").")
            }
            throw unconfirmed("not every torrent is in that directory")
        }
        return reply(done)
    }

    /// `hash`, `path` within the torrent (its name for the whole), `name`: `{hash, path, name}`.
    func rename(_ arguments: inout VerbArguments, _ mayBeDone: Bool) async throws -> Value {
        let hash = try arguments.hash()
        guard let path = try arguments.text("path"), !path.isEmpty, !path.hasPrefix("/"),
            !path.split(separator: "/", omittingEmptySubsequences: false).contains(where: { $0 == ".." || $0 == "." })
        else { throw Problem(.badRequest, "`path` must name a file or directory within the torrent.") }
        guard let name = try arguments.text("name"), !name.isEmpty, name != ".", name != "..", !name.contains("/")
        else {
            throw Problem(.badRequest, "`name` must be a new name without slashes.")
        }
        try arguments.finish()
        _ = try await known([hash], .cold)
        let reply: Value = ["hash": .string(hash.hex), "path": .string(path), "name": .string(name)]
        let renamed = (path.split(separator: "/").dropLast() + [name[...]]).joined(separator: "/")
        if mayBeDone, try await holds(hash, renamed) { return reply }
        _ = try await client.call(
            "torrent-rename-path",
            ["ids": Self.ids([hash]), "path": .string(path), "name": .string(name)]
        )
        let holds = try await polled {
            try await self.holds(hash, renamed)
        } until: {
            $0
        }
        guard holds != nil else { throw unconfirmed("nothing in the torrent bears the new name") }
        return reply
    }

    /// Whether a torrent has a file or directory of this path. 3.00 writes some characters wrongly.
    private func holds(_ hash: InfoHash, _ path: String) async throws -> Bool {
        let answer = try await client.call(
            "torrent-get",
            ["ids": Self.ids([hash]), "fields": ["hashString", "files", "file-count"]]
        )
        let torrent = answer["torrents"]?.array?.first ?? [:]
        let names = (Self.files(torrent) + (torrent["files"]?.array ?? [])).compactMap { $0["name"]?.string }
        return [path, NameRepair.wreck(of: path)].contains { path in
            names.contains { $0 == path || $0.hasPrefix(path + "/") }
        }
    }

    /// `hashes`, `to`: `top`, `up`, `down` or `bottom`.
    func queue(_ arguments: inout VerbArguments, _ attempt: Attempt) async throws -> Value {
        let hashes = try arguments.hashes()
        guard let move = try arguments.text("to").flatMap(QueueMove.init) else {
            throw Problem(.badRequest, "`to` must be top, up, down or bottom.")
        }
        try arguments.finish()
        let places = Value.map(
            Dictionary(
                try await known(hashes, .cold).map { ($0.hash.hex, $0.fields[.queue] ?? .null) },
                uniquingKeysWith: { first, _ in first }
            )
        )
        // A second step up would be one too many: a repetition takes it only from where the first was to start. The ends
        // of the queue are the same however often one goes there.
        if !move.isStep || attempt.before.map({ $0 == places }) ?? true {
            if move.isStep { try attempt.note(places) }
            let before = try await queueOrder()
            _ = try await client.call("queue-move-\(move.rawValue)", ["ids": Self.ids(hashes)])
            let moved = Set(hashes)
            let order = try await polled(queueOrder) { move.isDone(moved, from: before, to: $0) }
            guard order != nil else { throw unconfirmed("not every torrent has moved in the queue") }
        }
        return try await reply(hashes)
    }

    /// All torrents by their places.
    private func queueOrder() async throws -> [InfoHash] {
        let answer = try await client.call(
            "torrent-get",
            ["format": "table", "fields": ["hashString", "id", "queuePosition"]]
        )
        return try FieldTable.rows(answer).sorted { left, right in
            (left.fields[.queue]?.int ?? 0, left.hash) < (right.fields[.queue]?.int ?? 0, right.hash)
        }.map(\.hash)
    }

    static func withoutSlash(_ path: String) -> Substring {
        var path = path[...]
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }
}
