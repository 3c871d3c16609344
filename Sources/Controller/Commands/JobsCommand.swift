/// `farseed jobs` and `farseed undo`: the commands that are kept, and taking one back.
import ArgumentParser
import Foundation
import NIOCore
import Notation
import Seedbox

struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Show the commands that are kept, or cancel one.",
        subcommands: [List.self, Show.self, Cancel.self],
        defaultSubcommand: List.self
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List jobs, the newest first; or watch them.",
            discussion: "--watch prints a line for each job that has not ended, and then for each change, until Ctrl-C."
        )

        @OptionGroup var options: BoxOptions
        @OptionGroup var output: FormatOptions<JobRecord>

        @Flag(name: .long, help: "Only those that have not ended.")
        var open = false

        @Flag(name: .long, help: "Go on with a line for each change, the oldest first.")
        var watch = false

        @Option(name: .long, help: "How many at most; otherwise \(Self.most).")
        var limit: Int?

        private static let most = 50

        func validate() throws {
            if watch, open || limit != nil {
                throw ValidationError("--watch prints every job that has not ended: without --open and --limit.")
            }
        }

        func run() async throws {
            try await JobKeeper.with(options.choice) { keeper in
                var arguments: [String: Value] = ["limit": .int(Int64(limit ?? Self.most))]
                if let box = options.choice.box { arguments["box"] = .string(box) }
                if watch { return try await follow(keeper, .map(arguments)) }
                if open { arguments["open"] = true }
                let reply = try await keeper.ask("jobs", .map(arguments))
                let jobs = reply["jobs"]?.array ?? []
                if try !output.print(["jobs": .array(jobs)], records: jobs) {
                    let now = Int64(Date.now.timeIntervalSince1970 * 1000)
                    OutputFile.standard.print(JobText.lines(jobs, now: now, on: .of(STDOUT_FILENO)))
                }
            }
        }

        private func follow(_ keeper: JobKeeper, _ arguments: Value) async throws {
            let terminal = Terminal.of(STDOUT_FILENO)
            try await keeper.watch(arguments) { job in
                let line = try output.text(record: job) ?? JobText.line(job, on: terminal)
                return await OutputFile.standard.write(ByteBuffer(string: line + "\n"))
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "show", abstract: "Show all of one job.")

        @OptionGroup var options: BoxOptions
        @OptionGroup var output: FormatOptions<JobRecord>

        @Argument(help: "The job's number.")
        var id: Int

        func run() async throws {
            try await JobKeeper.with(options.choice) { keeper in
                let job = try await keeper.ask("job", ["id": .int(Int64(id))])
                if try !output.print(record: job) {
                    OutputFile.standard.print(try OutputOptions.Notation.yaml.text(job))
                }
            }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cancel",
            abstract: "Cancel jobs that were not sent yet."
        )

        @OptionGroup var options: BoxOptions

        @Argument(help: "The jobs' numbers.")
        var ids: [Int]

        func run() async throws {
            try await JobKeeper.with(options.choice) { keeper in
                for id in ids {
                    _ = try await keeper.ask("job.cancel", ["id": .int(Int64(id))])
                    OutputFile.standard.print("cancelled job \(id)")
                }
            }
        }
    }
}

struct UndoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undo",
        abstract: "Take the last command back, or the job of a number.",
        discussion: "What deleted data cannot be undone. `farseed jobs` shows what can be."
    )

    @OptionGroup var options: BoxOptions
    @OptionGroup var output: FormatOptions<JobRecord>
    @OptionGroup var waiting: WaitingOptions

    @Argument(help: "The job's number.")
    var id: Int?

    func run() async throws {
        let began = ContinuousClock.now
        let outcome = try await JobKeeper.with(options.choice, sends: true) { keeper in
            let outcome = try await keeper.undo(id.map(Int64.init), waiting.patience(since: began))
            if let backend = keeper.backend(of: outcome.job) {
                try await waiting.follow(outcome, outcome.hashes, since: began, backend)
            }
            return outcome
        }
        switch outcome {
        case .pending(let job, let told):
            if try !output.print(record: job) { OutputFile.standard.print(told) }
        case .done(_, let job):
            if try output.print(record: job) { return }
            OutputFile.standard.print(
                "job \(job["undoes"]?.int.map(String.init) ?? "?") was taken back by job \(Backend.number(job))"
            )
        }
    }
}
