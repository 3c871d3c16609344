/// `farseed show`, `files`, `peers` and `trackers`: all that is known of one torrent.
import ArgumentParser
import Foundation
import Notation
import Seedbox

/// The torrent to look at.
struct OneTorrent: ParsableArguments {
    @Argument(help: "Which torrent: a hash or its first digits, or a whole name.")
    var torrent: String

    /// Its hash and details; `wanted` are `files`, `peers`, `trackers`.
    func details(_ wanted: [String], _ choice: BoxChoice) async throws -> Value {
        let selection = try TorrentSelection(torrent)
        return try await Backend.with(choice) { backend in
            let torrents = try await backend.selected([selection])
            guard let one = torrents.first, torrents.count == 1 else {
                throw Problem(.ambiguous, "One torrent is shown at a time, and that means \(torrents.count).")
            }
            return try await backend.details(one.hash, wanted)
        }
    }
}

extension Backend {
    /// The agent tells files in pages; here they are joined.
    func details(_ hash: InfoHash, _ wanted: [String]) async throws -> Value {
        let details = Value.array(wanted.map { .string($0) })
        var answer = try await ask("torrent.get", ["hash": .string(hash.hex), "details": details]).map ?? [:]
        guard var files = answer["files"]?.array else { return .map(answer) }
        while let count = answer["files_count"]?.int, Int64(files.count) < count {
            let next = try await ask(
                "torrent.get",
                ["hash": .string(hash.hex), "details": ["files"], "files_from": .int(Int64(files.count))]
            )
            guard let page = next["files"]?.array, !page.isEmpty else { break }
            files += page
        }
        answer["files"] = .array(files)
        answer["files_from"] = nil
        return .map(answer)
    }
}

struct ShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show all that is known of a torrent."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<TorrentRecord>
    @OptionGroup var one: OneTorrent

    func run() async throws {
        let details = try await one.details(["files", "trackers"], options.choice)
        if try output.print(details, records: [Self.record(details)]) { return }
        OutputFile.standard.print(DetailText.overview(details, on: .of(STDOUT_FILENO)))
    }

    /// As `list` has it.
    private static func record(_ details: Value) -> Value {
        .map((details["fields"]?.map ?? [:]).merging(["hash": details["hash"] ?? .null]) { $1 })
    }
}

struct FilesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "files", abstract: "List a torrent's files.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<FileRecord>
    @OptionGroup var one: OneTorrent

    func run() async throws {
        let details = try await one.details(["files"], options.choice)
        let files = details["files"]?.array ?? []
        if try output.print(details, records: FileRecord.numbered(files)) { return }
        OutputFile.standard.print(DetailText.files(files, on: .of(STDOUT_FILENO)))
    }
}

struct PeersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "peers", abstract: "List a torrent's peers.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<PeerRecord>
    @OptionGroup var one: OneTorrent

    func run() async throws {
        let details = try await one.details(["peers"], options.choice)
        let peers = details["peers"]?.array ?? []
        if try output.print(details, records: peers) { return }
        OutputFile.standard.print(DetailText.peers(peers, on: .of(STDOUT_FILENO)))
    }
}

struct TrackersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "trackers", abstract: "List a torrent's trackers.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<TrackerRecord>
    @OptionGroup var one: OneTorrent

    func run() async throws {
        let details = try await one.details(["trackers"], options.choice)
        let trackers = details["trackers"]?.array ?? []
        if try output.print(details, records: trackers) { return }
        OutputFile.standard.print(DetailText.trackers(trackers, on: .of(STDOUT_FILENO)))
    }
}
