/// The commands that take torrents and nothing else: start, stop, verify, reannounce.
import ArgumentParser
import Foundation
import Notation
import Seedbox

/// Acts with one verb on the torrents selected; does nothing where a label or status finds none.
private func act(
    _ verb: String,
    told: String,
    with arguments: [String: Value] = [:],
    _ selection: SelectionArguments,
    _ change: ChangeOptions,
    _ choice: BoxChoice
) async throws {
    let selections = try selection.selections
    try await Backend.with(choice) { backend in
        let torrents = try await backend.targets(selections)
        guard !torrents.isEmpty else { return try await change.finishEmpty() }
        let arguments = arguments.merging(["hashes": torrents.hashes]) { own, _ in own }
        try await change.carryOut(
            Change(verb: verb, arguments: arguments, targets: torrents.map(\.hash)),
            on: torrents,
            told: told,
            backend
        )
    }
}

extension [Torrent] {
    var hashes: Value { .array(map { .string($0.hash.hex) }) }
}

extension ChangeOptions {
    /// A selection by label, status or `all` found nothing: nothing is done, and that is no failure.
    func finishEmpty() async throws {
        if try output.print(["hashes": [], "state": "done"], records: []) { return }
        OutputFile.error.print("farseed: no torrent is selected; nothing was done.")
    }
}

struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "start", abstract: "Start torrents.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var selection: SelectionArguments

    @Flag(name: .long, help: "At once, whatever the queue.")
    var now = false

    func run() async throws {
        try await act(now ? "torrent.start_now" : "torrent.start", told: "started", selection, change, options.choice)
    }
}

struct StopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "stop", abstract: "Stop torrents.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var selection: SelectionArguments

    func run() async throws { try await act("torrent.stop", told: "stopped", selection, change, options.choice) }
}

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check torrents' data on the disk."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var selection: SelectionArguments

    func run() async throws { try await act("torrent.verify", told: "verifying", selection, change, options.choice) }
}

struct ReannounceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reannounce",
        abstract: "Ask the trackers for more peers."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var selection: SelectionArguments

    func run() async throws {
        try await act("torrent.reannounce", told: "reannounced", selection, change, options.choice)
    }
}

struct QueueCommand: AsyncParsableCommand {
    enum Place: String, Sendable, CaseIterable, ExpressibleByArgument {
        case top, up, down, bottom
    }

    static let configuration = CommandConfiguration(commandName: "queue", abstract: "Move torrents in the queue.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions

    @Argument(help: "Where to.")
    var place: Place

    @OptionGroup var selection: SelectionArguments

    func run() async throws {
        try await act(
            "torrent.queue",
            told: "queued",
            with: ["to": .string(place.rawValue)],
            selection,
            change,
            options.choice
        )
    }
}

struct MoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Move torrents' data to another directory of the seedbox."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var selection: SelectionArguments

    @Option(name: .long, help: "The directory, an absolute path on the seedbox.")
    var to: String

    @Flag(name: .long, help: "The data are there already: only look for them there.")
    var noData = false

    func validate() throws {
        if !to.hasPrefix("/") { throw ValidationError("--to takes an absolute path on the seedbox.") }
    }

    func run() async throws {
        let arguments: [String: Value] = ["directory": .string(to), "move_data": .bool(!noData)]
        try await act("torrent.move", told: "moved", with: arguments, selection, change, options.choice)
    }
}

struct RemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove torrents; their data stay unless told otherwise.",
        discussion: "On a terminal it asks before data are deleted or several torrents removed; --yes says so before."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var selection: SelectionArguments

    @Flag(name: .long, help: "Delete the data on the seedbox too. This cannot be undone.")
    var deleteData = false

    @Flag(name: [.short, .long], help: "Do not ask.")
    var yes = false

    func validate() throws {
        if change.waiting.wait != nil {
            throw ValidationError("--wait waits for a state, and a removed torrent has none.")
        }
    }

    func run() async throws {
        let selections = try selection.selections
        try await Backend.with(options.choice) { backend in
            let mayAsk = !yes && isatty(STDIN_FILENO) == 1
            // Whoever is asked sees names.
            let looks = mayAsk && Self.asks(of: selections.count, deleting: deleteData)
            let torrents = try await looks ? backend.selected(selections) : backend.targets(selections)
            guard !torrents.isEmpty else { return try await change.finishEmpty() }
            if mayAsk, Self.asks(of: torrents.count, deleting: deleteData) {
                let names = torrents.prefix(20).map { "  " + visible($0.name, atMost: 100) }
                let more = torrents.count > 20 ? ["  and \(torrents.count - 20) more"] : []
                OutputFile.error.print(names + more)
                let what = deleteData ? "Remove them AND DELETE their data?" : "Remove them?"
                guard Question.isConfirmed(what) else {
                    throw Problem(.cancelled, "Nothing was removed.")
                }
            }
            try await change.carryOut(
                Change(
                    verb: "torrent.remove",
                    arguments: ["hashes": torrents.hashes, "delete_data": .bool(deleteData)],
                    targets: torrents.map(\.hash)
                ),
                on: torrents,
                told: "removed",
                backend
            )
        }
    }
}

extension RemoveCommand {
    /// Whether a person must say yes before so many are removed.
    private static func asks(of count: Int, deleting: Bool) -> Bool { deleting || count > 1 }
}

/// Asks the person at the terminal.
enum Question {
    static func isConfirmed(_ question: String) -> Bool {
        let answer = text(question + " [y/N]")
        return answer.map { ["y", "yes"].contains($0.lowercased()) } ?? false
    }

    /// The line answered; nil at the end of input.
    static func text(_ question: String) -> String? {
        FileHandle.standardError.write(Data((question + " ").utf8))
        return readLine(strippingNewline: true)?.trimmingCharacters(in: .whitespaces)
    }
}
