/// What `farseed exec` is asked to run, read from its line and carried out.
import ArgumentParser
import Calls
import Foundation
import Seedbox

struct ExecRequest: Sendable, Equatable {
    /// What `--patience` may be, in seconds.
    static let patience = 0...86_400

    var choice: BoxChoice
    var noInput: Bool
    /// In seconds; nil for the usual one.
    var patience: Int?
    /// The program and its arguments; not empty.
    var command: [String]

    /// Runs the program with this process's input and output; always throws the `ExitCode` or the error to leave with.
    func run() async throws -> Never {
        let input = noInput ? nil : InputFile(STDIN_FILENO)
        // That there is none leaves in the packet of the call: nothing later has to wait for the acknowledgement of another.
        let hasInput = input?.isOver == false
        let interruption = Interruption()
        let signals = EndingSignals.stream()
        async let _ = interruption.watch(signals)
        let status = try await Backend.with(choice) { backend in
            try await backend.noting("exec", target: AuditLog.program(command, on: backend.box ?? "")) {
                let call = try await backend.exec(command, hasInput: hasInput, patience: patience.map { .seconds($0) })
                do {
                    return try await RemoteProgram(
                        input: hasInput ? input : nil,
                        output: .standard,
                        error: .error,
                        interruption: interruption
                    )
                    .run(call)
                } catch {
                    throw RemoteProgram.doubt(of: error) ?? error
                }
            }
        }
        throw ExitCode(status)
    }
}

extension ExecRequest {
    /// Reads `farseed`'s arguments where they are `exec`, options with their values apart, `--` and a program.
    ///
    /// The parser of all commands finds out by reflection what each takes, and that costs more than all else `exec` does
    /// here, which scripts call in great numbers. Nil for every other line, wrong ones among them: the parser reads them
    /// and says what is wrong.
    init?(line: [String]) {
        guard line.first == "exec", let end = line.firstIndex(of: "--"), end + 1 < line.count else { return nil }
        var config: String?
        var box: String?
        var isVerbose = false
        var noInput = false
        var patience: Int?

        var words = line[1..<end]
        while let word = words.popFirst() {
            switch word {
            case "-n", "--no-input": noInput = true
            case "-v", "--verbose": isVerbose = true
            default:
                guard let value = words.popFirst(), !value.hasPrefix("-") else { return nil }
                switch word {
                case "-b", "--box": box = value
                case "--config": config = value
                case "--patience":
                    guard let seconds = Int(value), Self.patience.contains(seconds) else { return nil }
                    patience = seconds
                default: return nil
                }
            }
        }
        self.init(
            choice: BoxChoice(config: config, box: box, verbose: isVerbose),
            noInput: noInput,
            patience: patience,
            command: Array(line[(end + 1)...])
        )
    }
}

extension RemoteProgram {
    /// What there is to know of a program whose connection was lost; nil where it ended otherwise.
    fileprivate static func doubt(of error: any Error) -> Problem? {
        guard var problem = Failure.problem(error), problem.code == .connectionLost else { return nil }
        problem.message +=
            " Whether the program has run to its end is not known; where it has not, the seedbox ends it. Look there before "
            + "you run it again."
        return problem
    }
}
