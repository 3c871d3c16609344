/// Adding torrents.

import Notation
import Seedbox

extension Verbs {
    /// A .torrent file larger than this is none.
    package static let largestMetainfo = 16 << 20

    /// One of `magnet`, `url` (http or https) and `metainfo` (the file's bytes, or base64 text); `paused`, `directory`,
    /// `labels`, `wanted`, `unwanted`, `high`, `normal`, `low`, `priority`, `peer_limit`, `down_limit`, `up_limit`.
    /// Answers `{hash, name, duplicate, fields}`; a duplicate is left as it is.
    func add(_ arguments: inout VerbArguments, _ mayBeDone: Bool) async throws -> Value {
        var request = try source(&arguments)
        request["paused"] = try arguments.bool("paused").map { .bool($0) }
        request["download-dir"] = try arguments.path("directory").map { .string($0) }
        request["peer-limit"] = try arguments.int("peer_limit", 1...65_535).map { .int($0) }
        request["bandwidthPriority"] = try arguments.int("priority", -1...1).map { .int($0) }
        for (name, key) in Self.fileLists {
            request[key] = try arguments.files(name).map { .array($0.map { .int($0) }) }
        }
        // 3.00 takes labels and limits only once the torrent is there.
        var later: [String: Value] = [:]
        if let labels = try arguments.texts("labels", mayBeEmpty: true), !labels.isEmpty {
            later["labels"] = .array(labels.map { .string($0) })
        }
        try Self.takeLimits(&arguments, &later)
        try arguments.finish()

        let answer = try await client.call("torrent-add", request)
        let present = answer.named("torrent-duplicate")
        // What an earlier attempt at this very command added is no duplicate.
        let duplicate = mayBeDone ? nil : present
        guard let told = present ?? answer.named("torrent-added"),
            let hash = told.named("hashString")?.string.flatMap(InfoHash.init)
        else { throw RPCDialect.unintelligible }
        if duplicate == nil, !later.isEmpty {
            later["ids"] = Self.ids([hash])
            _ = try await client.call("torrent-set", later)
        }
        guard let torrents = try await confirmed([hash], .all, { _ in true }), let torrent = torrents.first else {
            throw unconfirmed("the torrent is not there")
        }
        return [
            "hash": .string(hash.hex), "name": .string(torrent.name), "duplicate": .bool(duplicate != nil),
            "fields": .map(torrent.fields),
        ]
    }

    static let fileLists = [
        ("wanted", "files-wanted"), ("unwanted", "files-unwanted"), ("high", "priority-high"),
        ("normal", "priority-normal"), ("low", "priority-low"),
    ]

    /// Limits in bytes per second become the daemon's units of 1,000; null lifts one.
    static func takeLimits(_ arguments: inout VerbArguments, _ request: inout [String: Value]) throws(Problem) {
        for (name, key) in [("down_limit", "download"), ("up_limit", "upload")] {
            if arguments.isNull(name) {
                request["\(key)Limited"] = false
            } else if let limit = try arguments.int(name, 0...1 << 40) {
                request["\(key)Limited"] = true
                request["\(key)Limit"] = .int((limit + 999) / 1000)
            }
        }
    }

    private func source(_ arguments: inout VerbArguments) throws(Problem) -> [String: Value] {
        let magnet = try arguments.text("magnet")
        let url = try arguments.text("url")
        let metainfo = arguments.value("metainfo")
        guard [magnet != nil, url != nil, metainfo != nil].count(where: \.self) == 1 else {
            throw Problem(.badRequest, "Give exactly one of `magnet`, `url` and `metainfo`.")
        }
        // `filename` also takes paths on the seedbox, which are nobody's to name.
        if let magnet {
            guard magnet.hasPrefix("magnet:?"), magnet.unicodeScalars.allSatisfy({ $0.value > 0x20 }) else {
                throw Problem(.badRequest, "`magnet` must begin with magnet:? and hold no spaces.")
            }
            return ["filename": .string(magnet)]
        }
        if let url {
            guard url.hasPrefix("http://") || url.hasPrefix("https://"),
                url.unicodeScalars.allSatisfy({ $0.value > 0x20 })
            else { throw Problem(.badRequest, "`url` must begin with http:// or https:// and hold no spaces.") }
            return ["filename": .string(url)]
        }
        if let bytes = metainfo?.bytes {
            guard bytes.first == UInt8(ascii: "d"), bytes.count <= Self.largestMetainfo else {
                throw Problem(.badRequest, "`metainfo` is not the content of a .torrent file.")
            }
            return ["metainfo": .string(Base64.encode(bytes))]
        }
        // A bencoded dictionary begins with d and a digit.
        guard let text = metainfo?.string, text.utf8.count <= Self.largestMetainfo * 4 / 3 + 4, text.hasPrefix("Z")
        else {
            throw Problem(.badRequest, "`metainfo` is not the content of a .torrent file, as bytes or in base64.")
        }
        return ["metainfo": .string(text)]
    }
}
