/// `farseed config`: what the configuration says, and what is wrong with it.
import ArgumentParser
import Foundation
import Notation
import Seedbox

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Check the configuration, or show where it and the state are.",
        subcommands: [Check.self, Paths.self],
        defaultSubcommand: Check.self
    )

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Name every fault of the configuration, with its line and what is allowed.",
            discussion: """
                Looks at the files and addresses that it names too, as `serve` does before it listens. Exits with 0 where
                there is no fault, with 21 where the text has some, else with the code of the first: 22 for a secret or
                another file, 25 for an address in use, 31 for a missing tor.
                """
        )

        @OptionGroup var options: BoxOptions
        @OptionGroup var output: FormatOptions<FaultRecord>

        func run() async throws {
            do {
                let configuration = try options.choice.load(toServe: true)
                guard let path = configuration.path else {
                    throw Problem(
                        .configurationInvalid,
                        "No farseed.toml was found. Write one with `farseed init`, or name it with --config."
                    )
                }
                if try !output.print(["path": .string(path), "faults": []], records: []) {
                    let count = configuration.boxes.count
                    OutputFile.standard.print("\(path) is in order: \(count) seedbox\(count == 1 ? "" : "es").")
                }
            } catch let faults as ConfigurationFaults {
                let values = faults.faults.map(\.value)
                if try !output.print(["faults": .array(values)], records: values) {
                    OutputFile.error.print(faults.faults.map(\.description))
                }
                throw ExitCode(faults.problem.code.exitCode)
            }
        }
    }

    struct Paths: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "paths",
            abstract: "Show which files and directories are used."
        )

        @OptionGroup var options: BoxOptions

        func run() async throws {
            let configuration = try options.choice.load(acceptMissingFiles: true)
            OutputFile.standard.print([
                "configuration  \(configuration.path.map { visible($0) } ?? "none found")",
                "state          \(visible(configuration.stateDirectory))",
                "control socket \(visible(configuration.controlSocket))",
            ])
        }
    }
}

extension ConfigurationFault {
    var value: Value {
        [
            "path": path.map { .string($0) } ?? .null, "line": line.map { .int(Int64($0)) } ?? .null,
            "message": .string(message), "code": .string(code.rawValue), "secret": .bool(code == .secretUnreadable),
        ]
    }
}

extension ConfigurationFaults {
    /// All faults as one, for commands that need the configuration.
    var problem: Problem {
        let first = faults.first?.description ?? "The configuration is not in order."
        let more = faults.count > 1 ? " (and \(faults.count - 1) more: `farseed config check` names them all)" : ""
        return Problem(code, first + more)
    }
}
