/// `farseed set` and `farseed rename`: what a torrent is called and what it may use.
import ArgumentParser
import Foundation
import Notation
import Seedbox

struct SetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change torrents' labels, priorities, limits, wanted files and trackers."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var selection: SelectionArguments

    @Option(name: [.short, .long], help: "Replace the labels by this; may be given several times.")
    var label: [String] = []

    @Flag(name: .long, help: "Take all labels away.")
    var noLabels = false

    @Option(name: .long, help: "low, normal or high.")
    var priority: Priority?

    @Option(name: .long, help: "Bytes per second from peers, such as 500k, or none.")
    var downLimit: RateArgument?

    @Option(name: .long, help: "Bytes per second to peers, or none.")
    var upLimit: RateArgument?

    @Option(name: .long, help: "Whether the session's limits apply too: true or false.")
    var sessionLimits: Bool?

    @Option(name: .long, help: "Ratio to seed to; none, or session for the session's.")
    var ratio: LimitArgument?

    @Option(name: .long, help: "Minutes idle after which seeding ends; none, or session.")
    var idle: LimitArgument?

    @Option(name: .long, help: "Peers at most.")
    var peerLimit: Int?

    @Option(name: .long, help: "File numbers wanted, such as 0,2,5-7.")
    var wanted: NumberList?

    @Option(name: .long, help: "File numbers not wanted.")
    var unwanted: NumberList?

    @Option(name: .long, help: "File numbers of high priority.")
    var high: NumberList?

    @Option(name: .long, help: "File numbers of normal priority.")
    var normal: NumberList?

    @Option(name: .long, help: "File numbers of low priority.")
    var low: NumberList?

    @Option(name: .long, help: "An announce address to add; may be given several times.")
    var addTracker: [String] = []

    @Option(name: .long, help: "An announce address to take away.")
    var removeTracker: [String] = []

    func validate() throws {
        if noLabels, !label.isEmpty { throw ValidationError("--label and --no-labels exclude each other.") }
        if arguments.isEmpty { throw ValidationError("Say what to set; `farseed help set` lists it.") }
    }

    var arguments: [String: Value] {
        var map: [String: Value] = [:]
        if noLabels || !label.isEmpty { map["labels"] = .array(label.map { .string($0) }) }
        if let priority { map["priority"] = .int(priority.number) }
        if let downLimit { map["down_limit"] = downLimit.value }
        if let upLimit { map["up_limit"] = upLimit.value }
        if let sessionLimits { map["session_limits"] = .bool(sessionLimits) }
        if let ratio {
            map["ratio_mode"] = .int(ratio.mode)
            if case .limit(let limit) = ratio { map["ratio_limit"] = .double(limit) }
        }
        if let idle {
            map["idle_mode"] = .int(idle.mode)
            if case .limit(let minutes) = idle { map["idle_limit"] = .int(Int64(minutes)) }
        }
        if let peerLimit { map["peer_limit"] = .int(Int64(peerLimit)) }
        let files = [
            ("wanted", wanted), ("unwanted", unwanted), ("high", high), ("normal", normal), ("low", low),
        ]
        for (name, list) in files {
            if let list { map[name] = list.value }
        }
        if !addTracker.isEmpty { map["trackers_add"] = .array(addTracker.map { .string($0) }) }
        if !removeTracker.isEmpty { map["trackers_remove"] = .array(removeTracker.map { .string($0) }) }
        return map
    }

    func run() async throws {
        let selections = try selection.selections
        try await Backend.with(options.choice) { backend in
            let torrents = try await backend.targets(selections)
            guard !torrents.isEmpty else { return try await change.finishEmpty() }
            try await change.carryOut(
                Change(
                    verb: "torrent.set",
                    arguments: arguments.merging(["hashes": torrents.hashes]) { own, _ in own },
                    targets: torrents.map(\.hash)
                ),
                on: torrents,
                told: "set",
                backend
            )
        }
    }
}

struct RenameCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename",
        abstract: "Rename a torrent, or a file or directory within it."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions

    @Option(name: .long, help: "The file or directory within the torrent; without it the whole is renamed.")
    var path: String?

    @Argument(help: "Which torrent.")
    var torrent: String

    @Argument(help: "The new name, without slashes.")
    var name: String

    func validate() throws {
        if name.isEmpty || name.contains("/") || name == "." || name == ".." {
            throw ValidationError("The new name must not be empty and holds no slash.")
        }
    }

    func run() async throws {
        let selection = try TorrentSelection(torrent)
        try await Backend.with(options.choice) { backend in
            // The whole is renamed by its name.
            let torrents = try await path == nil ? backend.selected([selection]) : backend.targets([selection])
            guard let one = torrents.first, torrents.count == 1 else {
                throw Problem(.ambiguous, "One torrent is renamed at a time, and that means \(torrents.count).")
            }
            try await change.carryOut(
                Change(
                    verb: "torrent.rename",
                    arguments: [
                        "hash": .string(one.hash.hex), "path": .string(path ?? one.name), "name": .string(name),
                    ],
                    targets: [one.hash]
                ),
                on: [one],
                told: "renamed",
                backend
            )
        }
    }
}
