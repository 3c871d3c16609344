/// `farseed list`: the torrents of a seedbox.
import ArgumentParser
import Foundation
import Notation
import Seedbox

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List torrents.",
        discussion: """
            Without a selection all are listed. A selection is a hash or its first digits, a whole name, \
            `label:NAME`, `status:STATUS` or `all`.
            """
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<TorrentRecord>

    @Option(name: .long, help: "Seconds to wait for first data while the link is built; 0 fails at once. Otherwise 60.")
    var patience: Int?

    @Argument(help: "Which torrents.")
    var selection: [String] = []

    func validate() throws {
        if let patience, !(0...86_400).contains(patience) {
            throw ValidationError("--patience takes seconds from 0 to 86400.")
        }
    }

    func run() async throws {
        let selections = try selection.map { text throws(Problem) in try TorrentSelection(text) }
        let listing = try await Backend.with(options.choice) {
            try await $0.torrents(patience: patience.map { .seconds($0) })
        }
        var torrents = listing.sorted
        if !selections.isEmpty { torrents = try TorrentSelection.torrents(selections, in: torrents) }
        if try !output.print(TorrentList.value(listing, torrents), records: torrents.map(TorrentList.value)) {
            OutputFile.standard.print(TorrentList.lines(torrents, on: .of(STDOUT_FILENO)))
        }
        if let note = listing.staleness(now: .now) { OutputFile.error.print("farseed: " + note) }
    }
}

extension TorrentListing {
    /// A sentence for data that may be out of date; nil where they are live.
    func staleness(now: Date) -> String? {
        if let link, !StatusText.isLive(link) || link["problem"] != nil {
            let problem = link["problem"].flatMap(Problem.init)?.message
            let reason = problem.map { visible($0) } ?? "the link is being rebuilt."
            guard let at = link["data_at"]?.int else { return "these are old data: \(reason)" }
            let age = Int64(now.timeIntervalSince1970) - at / 1000
            return "these data are \(Amounts.duration(age)) old: \(reason)"
        }
        guard let daemon, daemon.state != .up else { return nil }
        return "Transmission is \(daemon.state.rawValue): \(visible(daemon.message))"
    }
}
