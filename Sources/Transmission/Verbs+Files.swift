/// Which files of a torrent are wanted, and how much.

import Notation
import Seedbox

/// What a command says of files, by their numbers.
struct FileWishes: Sendable, Hashable {
    private var wanted: [Int64: Bool] = [:]
    private var priorities: [Int64: Int64] = [:]

    /// Takes `wanted`, `unwanted`, `high`, `normal` and `low`, and adds to the request what the daemon calls them.
    init(_ arguments: inout VerbArguments, _ request: inout [String: Value]) throws(Problem) {
        try Self.take("wanted", "files-wanted", true, &wanted, &arguments, &request)
        try Self.take("unwanted", "files-unwanted", false, &wanted, &arguments, &request)
        try Self.take("high", "priority-high", 1, &priorities, &arguments, &request)
        try Self.take("normal", "priority-normal", 0, &priorities, &arguments, &request)
        try Self.take("low", "priority-low", -1, &priorities, &arguments, &request)
    }

    private static func take<Wish>(
        _ name: String,
        _ key: String,
        _ wish: Wish,
        _ wishes: inout [Int64: Wish],
        _ arguments: inout VerbArguments,
        _ request: inout [String: Value]
    ) throws(Problem) {
        guard let files = try arguments.files(name) else { return }
        request[key] = .array(files.map { .int($0) })
        for file in Set(files) where wishes.updateValue(wish, forKey: file) != nil {
            throw Problem(.badRequest, "`\(name)` and another list name file \(file) both.")
        }
    }

    var isEmpty: Bool { wanted.isEmpty && priorities.isEmpty }

    /// Whether one torrent's arrays `wanted` and `priorities` say the same.
    func areMet(by torrent: Value) -> Bool {
        let flags = torrent["wanted"]?.array ?? []
        let levels = torrent["priorities"]?.array ?? []
        return wanted.allSatisfy { file, isWanted in
            // 0 and 1 in the old protocol.
            guard flags.indices.contains(Int(file)) else { return false }
            return (flags[Int(file)].bool ?? (flags[Int(file)].int != 0)) == isWanted
        }
            && priorities.allSatisfy { file, priority in
                levels.indices.contains(Int(file)) && levels[Int(file)].int == priority
            }
    }
}

extension Verbs {
    /// Whether all the torrents come to show these wishes in time.
    func shows(_ wishes: FileWishes, _ hashes: [InfoHash]) async throws -> Bool {
        guard !wishes.isEmpty else { return true }
        let fields: Value = ["hashString", "wanted", "priorities"]
        let shown = try await polled {
            try await client.call("torrent-get", ["ids": Self.ids(hashes), "fields": fields])["torrents"]?.array ?? []
        } until: { torrents in
            torrents.count == hashes.count && torrents.allSatisfy(wishes.areMet)
        }
        return shown != nil
    }
}
