/// The command line `farseed`: its commands, and how each failure ends.
import ArgumentParser
import Foundation
import NIOCore
import Notation
import Seedbox

@main
struct Farseed: AsyncParsableCommand {
    static let version = "0.1.0"
    static let software = "farseed \(version)"

    static let configuration = CommandConfiguration(
        commandName: "farseed",
        abstract: "Drive a private seedbox that is reached only over Tor.",
        discussion: """
            Commands go through the running daemon (`farseed serve`) and its warm session; without one they open a \
            session of their own. Exit codes are listed in Docs/Operations.md: 64 is wrong usage, `exec` gives the \
            remote program's own.
            """,
        version: software,
        subcommands: [ManualCommand.self],
        groupedSubcommands: [
            CommandGroup(
                name: "Looking",
                subcommands: [
                    ListCommand.self, ShowCommand.self, FilesCommand.self, PeersCommand.self, TrackersCommand.self,
                    WatchCommand.self, StatsCommand.self, FreeCommand.self,
                ]
            ),
            CommandGroup(
                name: "Changing",
                subcommands: [
                    AddCommand.self, StartCommand.self, StopCommand.self, VerifyCommand.self, ReannounceCommand.self,
                    RemoveCommand.self, UndoCommand.self, MoveCommand.self, RenameCommand.self, SetCommand.self,
                    QueueCommand.self, SessionCommand.self, JobsCommand.self, ExecCommand.self,
                ]
            ),
            CommandGroup(
                name: "Running",
                subcommands: [
                    ServeCommand.self, StatusCommand.self, BoxesCommand.self, InitCommand.self, DoctorCommand.self,
                    DeployAgentCommand.self, ConfigCommand.self, UserCommand.self,
                ]
            ),
        ]
    )

    static func main() async {
        // A reader that has gone is an error of the write, not of the process.
        signal(SIGPIPE, SIG_IGN)
        if let exec = ExecRequest(line: Array(CommandLine.arguments.dropFirst())) {
            useOneLoop()
            CommandThread.run {
                do { try await exec.run() } catch { leave(with: error, in: nil) }
            }
        }
        do {
            var command = try parseAsRoot()
            if !(command is ServeCommand) { useOneLoop() }
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            leave(with: error, in: CommandLine.arguments.notation)
        }
    }

    /// For a command, which has a connection or two: counting the cores and starting a thread for each takes a millisecond.
    private static func useOneLoop() { NIOSingletons.groupLoopCountSuggestion = 1 }

    /// Tells what went wrong, a line a fault, and ends the process.
    private static func leave(with error: any Error, in notation: OutputOptions.Notation?) -> Never {
        // A status needs no words: the parser would put together its help before it ends.
        if let status = error as? ExitCode { Foundation.exit(status.rawValue) }
        guard let problem = Failure.problem(error) else { exit(withError: error) }
        OutputFile.error.print(Failure.lines(error, problem))
        if let text = try? notation?.text(["error": problem.value]) { OutputFile.standard.print(text) }
        Foundation.exit(problem.code.exitCode)
    }
}

extension [String] {
    /// What the caller's own arguments, not those of a program for `exec`, ask for.
    fileprivate var notation: OutputOptions.Notation? {
        guard dropFirst().first != "exec" else { return nil }
        let own = prefix { $0 != "--" }
        return own.contains("--json") ? .json : own.contains("--yaml") ? .yaml : nil
    }
}
