/// `farseed session`, `stats` and `free`: the torrent daemon as a whole.
import ArgumentParser
import Foundation
import Notation
import Seedbox

struct SessionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session",
        abstract: "Show or change the torrent daemon's settings.",
        subcommands: [Show.self, Change.self, PortTest.self, Blocklist.self],
        defaultSubcommand: Show.self
    )

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "show", abstract: "Show the settings.")

        @OptionGroup var options: BoxOptions
        @OptionGroup var output: FormatOptions<FigureRecord>

        func run() async throws { try await print("session.get", [:], options.choice, output) }
    }

    struct Change: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set",
            abstract: "Change settings, as in: farseed session set alt_speed_enabled=true speed_limit_down=2M",
            discussion: "The names are those that `farseed session` shows. Speeds take 500k, 2M."
        )

        @OptionGroup var options: BoxOptions
        @OptionGroup var change: ChangeOptions

        @Argument(help: "Settings as name=value.")
        var settings: [String]

        func validate() throws {
            for setting in settings where SettingArgument(setting) == nil {
                throw ValidationError("\"\(visible(setting, atMost: 80))\" is no setting: write name=value.")
            }
        }

        func run() async throws {
            let parsed = settings.compactMap(SettingArgument.init)
            let arguments = Dictionary(parsed.map { ($0.name, $0.value) }) { _, last in last }
            try await Backend.with(options.choice) { backend in
                try await change.carryOut(
                    Controller.Change(verb: "session.set", arguments: arguments),
                    on: [],
                    told: "",
                    backend
                )
            }
        }
    }

    struct PortTest: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "port-test",
            abstract: "Ask whether peers can reach the seedbox's port."
        )

        @OptionGroup var options: BoxOptions
        @OptionGroup var output: FormatOptions<FigureRecord>

        func run() async throws { try await print("session.port_test", [:], options.choice, output) }
    }

    struct Blocklist: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "blocklist-update",
            abstract: "Fetch the blocklist anew."
        )

        @OptionGroup var options: BoxOptions
        @OptionGroup var change: ChangeOptions

        func run() async throws {
            try await Backend.with(options.choice) { backend in
                try await change.carryOut(
                    Controller.Change(verb: "session.blocklist_update", arguments: [:]),
                    on: [],
                    told: "",
                    backend
                )
            }
        }
    }
}

/// Asks and prints figures.
private func print(
    _ verb: String,
    _ arguments: [String: Value],
    _ choice: BoxChoice,
    _ output: FormatOptions<FigureRecord>
) async throws {
    let reply = try await Backend.with(choice) { try await $0.ask(verb, arguments) }
    if try output.print(record: reply) { return }
    OutputFile.standard.print(DetailText.figures(reply, on: .of(STDOUT_FILENO)))
}

struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "stats", abstract: "Show how much was transferred.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<FigureRecord>

    func run() async throws { try await print("session.stats", [:], options.choice, output) }
}

struct FreeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "free", abstract: "Show the space left for downloads.")

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<FigureRecord>

    @Argument(help: "A directory of the seedbox; without it the session's download directory.")
    var path: String?

    func validate() throws {
        if let path, !path.hasPrefix("/") { throw ValidationError("The directory is an absolute path on the seedbox.") }
    }

    func run() async throws {
        let reply = try await Backend.with(options.choice) { backend in
            var directory = path
            if directory == nil { directory = try await backend.ask("session.get")["download_dir"]?.string }
            guard let directory else { throw Problem(.notFound, "The session names no download directory: give one.") }
            return try await backend.ask("session.free_space", ["path": .string(directory)])
        }
        if try output.print(record: reply) { return }
        let directory = visible(reply["path"]?.string ?? "", atMost: 500)
        OutputFile.standard.print("\(Amounts.bytes(reply["free"]?.int ?? 0)) free in \(directory)")
    }
}

/// One `name=value` of `session set`.
struct SettingArgument: Sendable, Equatable {
    var name: String
    var value: Value

    /// Nil where there is no `=` or the name is none.
    init?(_ text: String) {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else { return nil }
        name = String(text[..<equals].replacing("-", with: "_"))
        guard name.utf8.allSatisfy({ $0 == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) })
        else { return nil }
        let word = String(text[text.index(after: equals)...])
        switch word {
        case "true", "on", "yes": value = true
        case "false", "off", "no": value = false
        default:
            let isSpeed = name.hasPrefix("speed_limit") || name.hasPrefix("alt_speed")
            if isSpeed, let rate = RateArgument(argument: word) {
                value = rate.value
            } else if let number = Int64(word) {
                value = .int(number)
            } else if let number = Double(word), number.isFinite {
                value = .double(number)
            } else {
                value = .string(word)
            }
        }
    }
}
