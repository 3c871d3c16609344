/// What takes a command back, worked out from the torrents as they were before it; pure.
import Foundation
import Jobs
import Notation
import Seedbox

enum Undoing {
    /// Nil for what cannot be taken back.
    static func recipe(_ verb: String, _ arguments: Value, _ torrents: [Torrent]) -> UndoRecipe? {
        switch verb {
        case "torrent.stop": acting("torrent.start", torrents.filter { $0.status != .stopped })
        case "torrent.start", "torrent.start_now": acting("torrent.stop", torrents.filter { $0.status == .stopped })
        case "torrent.move": moving(arguments, torrents)
        case "torrent.rename": renaming(arguments, torrents)
        case "torrent.set": setting(arguments, torrents)
        default: nil
        }
    }

    private static func acting(_ verb: String, _ torrents: [Torrent], _ more: [String: Value] = [:]) -> UndoRecipe? {
        guard !torrents.isEmpty else { return nil }
        let hashes = torrents.map(\.hash)
        let arguments = more.merging(["hashes": .array(hashes.map { .string($0.hex) })]) { own, _ in own }
        return UndoRecipe(verb: verb, arguments: .map(arguments), targets: hashes)
    }

    private static func moving(_ arguments: Value, _ torrents: [Torrent]) -> UndoRecipe? {
        let directories = Set(torrents.map { $0[.directory].string })
        guard directories.count == 1, let directory = directories.first ?? nil else { return nil }
        let movesData = arguments["move_data"]?.bool ?? true
        return acting("torrent.move", torrents, ["directory": .string(directory), "move_data": .bool(movesData)])
    }

    /// Of the whole torrent or of a path within it: the last part gets its old name again.
    private static func renaming(_ arguments: Value, _ torrents: [Torrent]) -> UndoRecipe? {
        guard torrents.count == 1, let path = arguments["path"]?.string, let name = arguments["name"]?.string else {
            return nil
        }
        var parts = path.split(separator: "/").map(String.init)
        guard let old = parts.popLast() else { return nil }
        return UndoRecipe(
            verb: "torrent.rename",
            arguments: [
                "hash": .string(torrents[0].hash.hex), "path": .string((parts + [name]).joined(separator: "/")),
                "name": .string(old),
            ],
            targets: [torrents[0].hash]
        )
    }

    /// Only where all torrents had the same values, and only what a torrent's fields tell.
    private static func setting(_ arguments: Value, _ torrents: [Torrent]) -> UndoRecipe? {
        var old: [String: Value] = [:]
        for name in (arguments.map ?? [:]).keys where name != "hashes" {
            guard settings.contains(name), let field = Field(name: name) else { return nil }
            let values = Set(torrents.map { limit(field, of: $0) })
            guard values.count == 1, let value = values.first else { return nil }
            old[name] = value
        }
        return old.isEmpty ? nil : acting("torrent.set", torrents, old)
    }

    private static let settings: Set<String> = [
        "labels", "priority", "session_limits", "ratio_mode", "ratio_limit", "idle_mode", "idle_limit", "peer_limit",
        "down_limit", "up_limit",
    ]

    /// A limit that is not in force is null, as the verb takes it.
    private static func limit(_ field: Field, of torrent: Torrent) -> Value {
        switch field {
        case .downLimit: torrent[.downLimited].bool == true ? torrent[field] : .null
        case .upLimit: torrent[.upLimited].bool == true ? torrent[field] : .null
        case .labels: torrent[field].isNull ? [] : torrent[field]
        default: torrent[field]
        }
    }

    /// Adds a removed torrent again where its data are; Transmission verifies them.
    ///
    /// By the file that it was once added from, where that is kept; else by a magnet link, which needs a peer that has
    /// the metadata. The members of a private torrent give them to nobody, so without the file there is no way back.
    static func adding(_ torrent: Torrent, announces: [String], metainfo: Value?) -> UndoRecipe? {
        var arguments: [String: Value] = ["paused": .bool(torrent.status == .stopped)]
        if let metainfo {
            arguments["metainfo"] = metainfo
        } else if let magnet = magnet(torrent, announces) {
            arguments["magnet"] = .string(magnet)
        } else {
            return nil
        }
        if let directory = torrent[.directory].string { arguments["directory"] = .string(directory) }
        if let labels = torrent[.labels].array, !labels.isEmpty { arguments["labels"] = .array(labels) }
        if let priority = torrent[.priority].int, priority != 0 { arguments["priority"] = .int(priority) }
        return UndoRecipe(verb: "torrent.add", arguments: .map(arguments), targets: [torrent.hash])
    }

    private static func magnet(_ torrent: Torrent, _ announces: [String]) -> String? {
        // A version 2 hash alone makes no magnet link that every version takes.
        guard torrent.hash.hex.utf8.count == 40, torrent[.isPrivate].bool != true else { return nil }
        func encoded(_ text: String) -> String {
            text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        }
        var magnet = "magnet:?xt=urn:btih:\(torrent.hash.hex)&dn=\(encoded(torrent.name))"
        for announce in announces.prefix(50) { magnet += "&tr=\(encoded(announce))" }
        return magnet
    }
}
