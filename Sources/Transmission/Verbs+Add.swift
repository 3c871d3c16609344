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
        var expected: [Field: Value] = [:]
        let paused = try arguments.bool("paused")
        request["paused"] = paused.map { .bool($0) }
        let directory = try arguments.path("directory")
        request["download-dir"] = directory.map { .string($0) }
        expected[.peerLimit] = try arguments.int("peer_limit", 1...65_535).map { .int($0) }
        request["peer-limit"] = expected[.peerLimit]
        expected[.priority] = try arguments.int("priority", -1...1).map { .int($0) }
        request["bandwidthPriority"] = expected[.priority]
        let files = try FileWishes(&arguments, &request)
        guard files.isEmpty || !arguments.has("magnet") else {
            throw Problem(
                .badRequest,
                "The files of a magnet link are not known before it has fetched its metadata. Choose them then."
            )
        }
        // 3.00 takes labels and limits only once the torrent is there.
        var later: [String: Value] = [:]
        if let labels = try arguments.texts("labels", mayBeEmpty: true), !labels.isEmpty {
            later["labels"] = .array(labels.map { .string($0) })
            expected[.labels] = later["labels"]
        }
        try Self.takeLimits(&arguments, &later, &expected)
        try arguments.finish()

        let answer = try await client.call("torrent-add", request)
        let present = answer.named("torrent-duplicate")
        // What an earlier attempt at this very command added is no duplicate.
        let duplicate = mayBeDone ? nil : present
        guard let told = present ?? answer.named("torrent-added"),
            let hash = told.named("hashString")?.string.flatMap(InfoHash.init)
        else {
            throw Problem(.transmissionRefused, "Transmission took the command, but names no torrent that it added.")
        }
        if duplicate == nil, !later.isEmpty {
            later["ids"] = Self.ids([hash])
            _ = try await client.call("torrent-set", later)
        }
        guard let torrent = try await confirmed([hash], .all, { _ in true })?.first else {
            throw unconfirmed("the torrent is not there")
        }
        if duplicate == nil { return try await addedAsTold(torrent, paused, directory, expected, files) }
        return Self.added(torrent, isDuplicate: true)
    }

    /// Whether a torrent that was added bears the settings that it was to be added with.
    private func addedAsTold(
        _ torrent: Torrent,
        _ paused: Bool?,
        _ directory: String?,
        _ expected: [Field: Value],
        _ files: FileWishes
    ) async throws -> Value {
        let told = try await confirmed([torrent.hash]) { torrent in
            expected.allSatisfy { field, value in Self.isEqual(torrent[field], value) }
                && (directory.map { Self.withoutSlash(torrent[.directory].string ?? "") == Self.withoutSlash($0) }
                    ?? true)
                && (paused.map { torrent.isPaused(as: $0) } ?? true)
        }
        guard let torrent = told?.first else {
            throw unconfirmed("the torrent was added with other settings than it was to have")
        }
        guard try await shows(files, [torrent.hash]) else {
            throw unconfirmed("the torrent was added with other files or priorities than it was to have")
        }
        return Self.added(torrent, isDuplicate: false)
    }

    private static func added(_ torrent: Torrent, isDuplicate: Bool) -> Value {
        [
            "hash": .string(torrent.hash.hex), "name": .string(torrent.name), "duplicate": .bool(isDuplicate),
            "fields": .map(torrent.fields),
        ]
    }

    /// Limits in bytes per second become the daemon's units of 1,000; null lifts one.
    static func takeLimits(
        _ arguments: inout VerbArguments,
        _ request: inout [String: Value],
        _ expected: inout [Field: Value]
    ) throws(Problem) {
        let limits: [(String, String, Field, Field)] = [
            ("down_limit", "download", .downLimited, .downLimit), ("up_limit", "upload", .upLimited, .upLimit),
        ]
        for (name, key, isLimited, inBytes) in limits {
            if arguments.isNull(name) {
                request["\(key)Limited"] = false
            } else if let limit = try arguments.int(name, 0...1 << 40) {
                let units = (limit + 999) / 1000
                request["\(key)Limited"] = true
                request["\(key)Limit"] = .int(units)
                expected[inBytes] = .int(units * 1000)
            }
            expected[isLimited] = request["\(key)Limited"]
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

extension Torrent {
    /// Whether it rests, or does not, as it was added to do. 3.00 looks first whether the data are there, and what is done or
    /// damaged stops again by itself.
    fileprivate func isPaused(as paused: Bool) -> Bool {
        switch status {
        case .checkWait, .checking: true
        case .stopped: paused || self[.finished].bool == true || (self[.error].int ?? 0) == 3
        case .downloadWait, .downloading, .seedWait, .seeding, nil: !paused
        }
    }
}
