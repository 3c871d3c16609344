/// `farseed exec`: a program on the seedbox, as `ssh host command` runs it.
import ArgumentParser

struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run a program on the seedbox, with its input, output and exit status here.",
        usage: "farseed exec [--box <box>] [-n] [--patience <seconds>] -- <program> [<argument> ...]",
        discussion: """
            The seedbox runs transmission-remote, and whatever else its agent's configuration allows. No shell takes \
            part: the arguments arrive as they are given. The exit status is the program's own, or 128 and the signal's \
            number. Ctrl-C ends the program there. On a terminal, control characters in the output are shown as signs; \
            to a file or a pipe it goes as it is.
            """
    )

    @OptionGroup var options: BoxOptions

    @Flag(name: [.customShort("n"), .customLong("no-input")], help: "Do not read standard input.")
    var noInput = false

    @Option(name: .long, help: "Seconds to wait for a link that is down; 0 fails at once. Otherwise 60.")
    var patience: Int?

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.")
    var argv: [String] = []

    /// What the line asks for; without the `--`, which the parser passes on.
    var request: ExecRequest {
        ExecRequest(
            choice: options.choice,
            noInput: noInput,
            patience: patience,
            command: argv.first == "--" ? Array(argv.dropFirst()) : argv
        )
    }

    func validate() throws {
        if let patience, !ExecRequest.patience.contains(patience) {
            throw ValidationError("--patience takes seconds from 0 to 86400.")
        }
        if argv.isEmpty || argv == ["--"] {
            throw ValidationError("What shall run? For example: farseed exec -- transmission-remote -l")
        }
    }

    func run() async throws { try await request.run() }
}
